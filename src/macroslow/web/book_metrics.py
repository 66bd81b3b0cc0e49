"""What the ledger says, as metrics: it includes streams and runs, and goes on counting over a restart.

    macroslow_model_calls_total, macroslow_model_tokens_total, macroslow_model_usd_micros_total
    macroslow_budget_limit_usd_micros, …_spent_usd_micros, …_held_usd_micros      by scope, name, period
    macroslow_open_reservations

At most MAX_MODELS models and MAX_BUDGETS budgets, the fullest first, have lines of their own; the rest is
added up under "other". A budget's lines go on with the next day or month, when it begins at nought again.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from macroslow.metering.ledger import UsageRow
from macroslow.services.spending.read_figures import BudgetFill, Figures
from macroslow.web.model_metrics import MAX_MODELS, OTHER

MAX_BUDGETS: Final = 100


class BookMetrics(Collector):
    """One look at the books as families of metrics."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """The families of metrics."""
        yield from _usage(self._figures.by_model)
        yield from _budgets(self._figures.budgets)
        yield GaugeMetricFamily(
            "macroslow_open_reservations", "Calls that are not settled yet", self._figures.open_reservations
        )


def _usage(by_model: Iterable[UsageRow]) -> Iterator[Metric]:
    tokens = CounterMetricFamily(
        "macroslow_model_tokens", "Tokens by model and direction", labels=("model", "direction")
    )
    calls = CounterMetricFamily("macroslow_model_calls", "Calls by model", labels=("model",))
    cost = CounterMetricFamily(
        "macroslow_model_usd_micros", "Millionths of a US dollar by model", labels=("model",)
    )
    rows = sorted(by_model, key=lambda row: row.usd_micros, reverse=True)
    for model, same in _named(rows):
        calls.add_metric((model,), sum(row.calls for row in same))
        tokens.add_metric((model, "input"), sum(row.input_tokens for row in same))
        tokens.add_metric((model, "output"), sum(row.output_tokens for row in same))
        cost.add_metric((model,), sum(row.usd_micros for row in same))
    yield from (calls, tokens, cost)


def _named(rows: Sequence[UsageRow]) -> Iterable[tuple[str, Sequence[UsageRow]]]:
    yield from ((row.key, (row,)) for row in rows[:MAX_MODELS])
    if rest := rows[MAX_MODELS:]:
        yield OTHER, rest


def _budgets(budgets: Iterable[BudgetFill]) -> Iterator[Metric]:
    labels = ("scope", "name", "period")
    limit, spent, held = (
        GaugeMetricFamily(f"macroslow_budget_{what}_usd_micros", text, labels=labels)
        for what, text in (
            ("limit", "What a budget allows"),
            ("spent", "What is spent of it"),
            ("held", "What is held by calls under way"),
        )
    )
    for key, same in _fullest(budgets).items():
        limit.add_metric(key, sum(one.limit_usd_micros for one in same))
        spent.add_metric(key, sum(one.spent_usd_micros for one in same))
        held.add_metric(key, sum(one.held_usd_micros for one in same))
    yield from (limit, spent, held)


def _fullest(budgets: Iterable[BudgetFill]) -> dict[tuple[str, str, str], list[BudgetFill]]:
    """The budgets by their labels, the fullest under their own names."""
    found: dict[tuple[str, str, str], list[BudgetFill]] = {}
    for rank, one in enumerate(sorted(budgets, key=_fill, reverse=True)):
        told = rank < MAX_BUDGETS and (one.name or one.scope == "all")
        found.setdefault((one.scope, one.name if told else OTHER, one.period), []).append(one)
    return found


def _fill(budget: BudgetFill) -> float:
    used = budget.spent_usd_micros + budget.held_usd_micros
    return used / budget.limit_usd_micros if budget.limit_usd_micros else float(used > 0)
