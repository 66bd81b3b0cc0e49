"""Metrics keep their size, whatever callers send, and Prometheus reads them."""

import asyncio
import re

from prometheus_client.parser import text_string_to_metric_families

from macroslow.limits.admission import Charge, LimitReport, LineReport, Window
from macroslow.metering.ledger import UsageRow
from macroslow.services.spending.read_figures import BudgetFill, Figures
from macroslow.web.book_metrics import MAX_BUDGETS
from macroslow.web.metrics import MAX_LINES, MAX_REASONS, Metrics
from macroslow.web.model_metrics import MAX_MODELS

NAME = re.compile(r"(macroslow|gen_ai)_[a-z0-9_]+")


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus's own parser reads; a series that is there twice is an error."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def line(number: int) -> LineReport:
    limits = (LimitReport("rpm", 60, number), LimitReport("tpm", 1000, 7))
    return LineReport(
        "openai", f"m{number}", "openai", limits, number, 1, 2.5, "open", Window.BUCKET, Charge.USED
    )


async def test_models_beyond_the_bound_are_summed_under_one_name() -> None:
    rows = [UsageRow(f"m{number}", 1, 2, 3, number, 0, None) for number in range(MAX_MODELS + 50)]
    text = (await Metrics().text(Figures(rows))).decode()
    assert text.count("macroslow_model_calls_total{") == MAX_MODELS + 1
    assert 'macroslow_model_calls_total{model="other"} 50.0' in text
    assert 'macroslow_model_usd_micros_total{model="other"} 1225.0' in text


async def test_reasons_beyond_the_bound_are_counted_together() -> None:
    metrics = Metrics()
    for number in range(MAX_REASONS * 3):
        metrics.refusal(f"r{number}")
    text = (await metrics.text(Figures())).decode()
    assert text.count("macroslow_refusals_total{") == MAX_REASONS + 1


async def test_the_fullest_budgets_have_lines_of_their_own_and_the_rest_is_added_up() -> None:
    budgets = [BudgetFill("key", f"k{number}", "total", 1000, number, 1) for number in range(300)]
    found = samples(await Metrics().text(Figures(budgets=budgets)))
    shown = {dict(labels)["name"] for name, labels in found if name == "macroslow_budget_spent_usd_micros"}
    assert shown == {f"k{number}" for number in range(300 - MAX_BUDGETS, 300)} | {"other"}
    rest = (("name", "other"), ("period", "total"), ("scope", "key"))
    assert found["macroslow_budget_spent_usd_micros", rest] == sum(range(200))
    assert found["macroslow_budget_limit_usd_micros", rest] == 200_000
    assert found["macroslow_budget_held_usd_micros", rest] == 200


async def test_a_budget_that_may_not_be_named_is_other_and_that_of_all_needs_no_name() -> None:
    budgets = [
        BudgetFill("tag", "", "day", 10, 9, 0),
        BudgetFill("all", "", "month", 100, 50, 3),
        BudgetFill("team", "lab", "day", 0, 0, 0),
    ]
    found = samples(await Metrics().text(Figures(budgets=budgets, open_reservations=3)))
    spent = "macroslow_budget_spent_usd_micros"
    assert found[spent, (("name", "other"), ("period", "day"), ("scope", "tag"))] == 9
    assert found[spent, (("name", ""), ("period", "month"), ("scope", "all"))] == 50
    assert found[spent, (("name", "lab"), ("period", "day"), ("scope", "team"))] == 0
    assert found["macroslow_open_reservations", ()] == 3


async def test_everything_is_there_and_parses() -> None:
    metrics = Metrics(
        alerts={"budget.reached": 2},
        lines=lambda: [line(5)],
        messages=lambda: {"delivered": 4, "given_up": 1},
        spans=lambda: {"exported": 9, "dropped": 0},
    )
    metrics.request("/v1/chat/completions", 200, 0.3)
    metrics.request("/v1/chat/completions", 429, 0.001)
    metrics.refusal("rate-limited")
    metrics.watch_body_bytes(lambda: 512.0)
    rows = [UsageRow("gpt-4o", 2, 10, 20, 30, 0, None)]
    found = samples(await metrics.text(Figures(rows, [BudgetFill("all", "", "day", 5, 4, 1)], 1)))
    assert all(NAME.fullmatch(name) for name, _ in found)
    account = (("account", "openai"), ("model", "m5"), ("provider", "openai"))
    rpm = (*account[:1], ("limit", "rpm"), *account[1:])
    assert {
        "requests": found["macroslow_requests_total", (("route", "/v1/chat/completions"), ("status", "4xx"))],
        "refusals": found["macroslow_refusals_total", (("reason", "rate-limited"),)],
        "tokens": found["macroslow_model_tokens_total", (("direction", "output"), ("model", "gpt-4o"))],
        "money": found["macroslow_model_usd_micros_total", (("model", "gpt-4o"),)],
        "waiting": found["macroslow_waiting_calls", (("model", "m5"), ("provider", "openai"))],
        "remaining": found["macroslow_provider_limit_remaining", rpm],
        "limit": found["macroslow_provider_limit", rpm],
        "under way": found["macroslow_calls_under_way", account],
        "breaker": found["macroslow_account_resting", account],
        "held": found["macroslow_account_held_seconds", account],
        "alerts": found["macroslow_alerts_total", (("kind", "budget.reached"),)],
        "given up": found["macroslow_alert_messages_total", (("result", "given_up"),)],
        "spans": found["macroslow_spans_total", (("result", "exported"),)],
        "bodies": found["macroslow_body_bytes_in_flight", ()],
    } == {
        "requests": 1, "refusals": 1, "tokens": 20, "money": 30, "waiting": 5, "remaining": 5, "limit": 60,
        "under way": 1, "breaker": 1, "held": 2.5, "alerts": 2, "given up": 1, "spans": 9, "bodies": 512,
    }  # fmt: skip


async def test_ten_thousand_of_everything_stay_a_bounded_page() -> None:
    metrics = Metrics(lines=lambda: [line(number) for number in range(10_000)])
    for number in range(10_000):
        metrics.refusal(f"r{number}")
    rows = [UsageRow(f'm{number}"\n\\', 1, 2, 3, 4, 0, None) for number in range(10_000)]
    budgets = [BudgetFill("key", f'k{number}"\n', "day", 5, 4, 1) for number in range(10_000)]
    text = await metrics.text(Figures(rows, budgets, 10_000))
    found = samples(text)
    assert len(found) < 4 * MAX_MODELS + MAX_REASONS + 3 * MAX_BUDGETS + 8 * MAX_LINES + 100
    assert found["macroslow_model_calls_total", (("model", "other"),)] == 10_000 - MAX_MODELS


async def test_a_page_is_read_while_calls_are_counted() -> None:
    metrics = Metrics()
    stopped = False

    async def count() -> None:
        number = 0
        while not stopped:
            number += 1
            metrics.refusal(f"r{number}")
            metrics.request(f"/p{number % 1000}", 200, 0.1)
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    for _ in range(5):
        samples(await metrics.text(Figures()))
    stopped = True
    await counting
