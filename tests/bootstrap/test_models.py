"""Which provider serves which model, at which price and within which limits."""

from decimal import Decimal

import pytest
from tests.metering.vocabulary import catalogue

from macroslow.bootstrap.models import complete_catalogue, micros, quotas
from macroslow.settings import Settings, load


def settings(tmp_path, text: str) -> Settings:
    path = tmp_path / "macroslow.toml"
    path.write_text(text)
    return load(path, {})


def provider(name: str, more: str = "") -> str:
    return f'[providers.{name}]\nbase_url = "http://127.0.0.1:1/v1"\n{more}\n'


def served(tmp_path, text: str, model: str) -> str:
    return complete_catalogue(settings(tmp_path, text), catalogue()).models[model].provider


def test_a_model_is_served_by_the_longest_pattern_that_names_it(tmp_path) -> None:
    text = (
        provider("any")
        + provider("small", 'models = ["gpt-4o-mini"]')
        + provider("most", 'models = ["gpt-*"]')
        + provider("all4o", 'models = ["gpt-4o*"]')
        + '[models.gpt-5x]\ninput_usd = "1"\noutput_usd = "1"\n'
        + '[models.o9]\ninput_usd = "1"\noutput_usd = "1"\n'
    )
    assert served(tmp_path, text, "gpt-4o-mini") == "small"
    assert served(tmp_path, text, "gpt-4o") == "all4o"
    assert served(tmp_path, text, "gpt-5x") == "most"
    assert served(tmp_path, text, "o9") == "any"


def test_a_model_that_nobody_names_goes_to_the_provider_that_names_none(tmp_path) -> None:
    text = provider("one", 'models = ["x"]') + provider("two")
    assert served(tmp_path, text, "gpt-4o") == "two"
    assert served(tmp_path, provider("one", 'models = ["x"]'), "gpt-4o") == ""
    assert served(tmp_path, "", "gpt-4o") == ""


def test_the_operators_models_are_priced_as_he_says_and_rounded_up(tmp_path) -> None:
    text = (
        provider("own")
        + """
[models.mine]
input_usd = "1.0000005"
output_usd = "2"
[models.cached]
input_usd = "3"
cached_input_usd = "0"
output_usd = "0"
"""
    )
    models = complete_catalogue(settings(tmp_path, text), catalogue()).models
    assert (models["mine"].input_usd_micros, models["mine"].cached_input_usd_micros) == (1_000_001, 1_000_001)
    assert models["cached"].cached_input_usd_micros == 0  # free, which is not the same as not given
    assert models["mine"].provider == "own"


@pytest.mark.parametrize(
    ("usd", "expected"), [("0", 0), ("0.000001", 1), ("0.0000001", 1), ("2.5", 2_500_000), ("1e3", 10**9)]
)
def test_dollars_become_micros_rounded_up(usd: str, expected: int) -> None:
    assert micros(Decimal(usd)) == expected


def test_quotas_are_those_of_the_provider_that_serves_the_model(tmp_path) -> None:
    text = provider("a", 'models = ["gpt-4o"]\nlimits = {rpm = 60, tpm = 6000, concurrency = 3}') + provider(
        "b"
    )
    configured = settings(tmp_path, text)
    made = quotas(configured, complete_catalogue(configured, catalogue()))
    limited = made["a", "gpt-4o"]
    assert limited.requests is not None
    assert limited.tokens is not None
    assert limited.concurrent == 3
    free = made["b", "gpt-4o-mini"]
    assert (free.requests, free.tokens, free.concurrent) == (None, None, None)
    assert ("a", "gpt-4o-mini") not in made


def test_without_a_provider_nothing_is_limited(tmp_path) -> None:
    configured = settings(tmp_path, "")
    assert quotas(configured, complete_catalogue(configured, catalogue())) == {}
