"""Metrics keep their size, whatever callers send."""

from macroslow.metering.ledger import UsageRow
from macroslow.web.metrics import MAX_MODELS, MAX_REASONS, Metrics


def test_models_beyond_the_bound_are_summed_under_one_name() -> None:
    rows = [UsageRow(f"m{number}", 1, 2, 3, number, 0, None) for number in range(MAX_MODELS + 50)]
    text = Metrics().text(rows).decode()
    assert text.count("macroslow_model_calls_total{") == MAX_MODELS + 1
    assert 'macroslow_model_calls_total{model="other"} 50.0' in text
    assert 'macroslow_model_usd_micros_total{model="other"} 1225.0' in text


def test_reasons_beyond_the_bound_are_counted_together() -> None:
    metrics = Metrics()
    for number in range(MAX_REASONS * 3):
        metrics.refusal(f"r{number}")
    assert metrics.text([]).decode().count("macroslow_refusals_total{") == MAX_REASONS + 1
