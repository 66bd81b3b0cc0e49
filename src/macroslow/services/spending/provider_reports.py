"""A provider's own report of what was used and what that cost, by day and model, in one shape.

Everything read here comes from outside: what has another shape than documented is no report at all,
rather than one of less money.

Sources: OpenAI API reference, "Usage" (/organization/usage/completions, /embeddings,
/organization/costs: dollars); Anthropic Admin API reference, "Usage and Cost"
(/organizations/usage_report/messages, /organizations/cost_report: cents as decimal strings). Days
are those of UTC, in both.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import Final, Protocol

from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.inference.dialect import Dialect
from macroslow.metering.ledger import MAX_COUNT
from macroslow.metering.money import MICROS_PER_CENT, MICROS_PER_USD

DEADLINE_S: Final = 120.0
_DAYS_A_PAGE: Final = 31  # the most that both give of tokens

Query = Mapping[str, str | int | Sequence[str]]


class Reports(Protocol):
    """A provider's administrative API. `path` follows its base URL."""

    async def get_pages(self, path: str, query: Query, *, deadline_s: float) -> list[object]:
        """The `data` of all pages. Raises UpstreamRefusedError and UpstreamUnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one model used. Input is all of it, from and into caches too."""

    input_tokens: int
    output_tokens: int

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


NO_TOKENS: Final = Tokens(0, 0)


@dataclass(frozen=True, slots=True)
class Reported:
    """What the provider counted: tokens by day and model (under its own names), dollars by day."""

    tokens: Mapping[tuple[str, str], Tokens]
    usd_micros: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Span:
    """Days of UTC, as 2026-01-31, both inclusive."""

    first_day: str
    last_day: str

    @property
    def begins(self) -> datetime:
        """The first moment."""
        return datetime.combine(date.fromisoformat(self.first_day), datetime.min.time(), UTC)

    @property
    def ends(self) -> datetime:
        """The first moment after it."""
        return datetime.combine(date.fromisoformat(self.last_day), datetime.min.time(), UTC) + timedelta(
            days=1
        )


async def report_of(dialect: Dialect, reports: Reports, span: Span, projects: Sequence[str] = ()) -> Reported:
    """What a provider of this dialect counted in `span`.

    With `projects` (Anthropic: workspaces) only theirs. Raises UpstreamRefusedError, and
    UpstreamUnavailableError also for what cannot be read.
    """
    read = _anthropic if dialect is Dialect.ANTHROPIC else _openai
    try:
        return await read(reports, span, projects)
    except (KeyError, TypeError, ValueError, InvalidOperation, OverflowError) as error:
        # Not the error's text: what stands in a report is the provider's business.
        raise UpstreamUnavailableError(
            "the provider sent a report that cannot be read", upstream=dialect, reason=type(error).__name__
        ) from None


async def _openai(reports: Reports, span: Span, projects: Sequence[str]) -> Reported:
    of_span: Query = {
        "start_time": int(span.begins.timestamp()),
        "end_time": int(span.ends.timestamp()),
        "bucket_width": "1d",
        **({"project_ids": projects} if projects else {}),
    }
    by_model = {**of_span, "group_by": ["model"], "limit": _DAYS_A_PAGE}
    found: dict[tuple[str, str], Tokens] = {}
    for bucket in [
        *await reports.get_pages("/organization/usage/completions", by_model, deadline_s=DEADLINE_S),
        *await _embeddings(reports, by_model),
    ]:
        _collect(found, bucket, _openai_day, _openai_tokens)
    costs = await reports.get_pages("/organization/costs", {**of_span, "limit": 180}, deadline_s=DEADLINE_S)
    return Reported(found, _costs(costs, _openai_day, _openai_micros))


async def _embeddings(reports: Reports, query: Query) -> list[object]:
    """None where the provider has no such report: not all that speak this API have embeddings."""
    try:
        return await reports.get_pages("/organization/usage/embeddings", query, deadline_s=DEADLINE_S)
    except UpstreamRefusedError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return []


async def _anthropic(reports: Reports, span: Span, projects: Sequence[str]) -> Reported:
    of_span: Query = {
        "starting_at": f"{span.begins:%Y-%m-%dT%H:%M:%SZ}",
        "ending_at": f"{span.ends:%Y-%m-%dT%H:%M:%SZ}",
        "bucket_width": "1d",
        "limit": _DAYS_A_PAGE,
    }
    by_model = {**of_span, "group_by[]": ["model"], **({"workspace_ids[]": projects} if projects else {})}
    found: dict[tuple[str, str], Tokens] = {}
    path = "/organizations/usage_report/messages"
    for bucket in await reports.get_pages(path, by_model, deadline_s=DEADLINE_S):
        _collect(found, bucket, _anthropic_day, _anthropic_tokens)
    by_workspace = {**of_span, **({"group_by[]": ["workspace_id"]} if projects else {})}
    costs = await reports.get_pages("/organizations/cost_report", by_workspace, deadline_s=DEADLINE_S)
    return Reported(found, _costs(costs, _anthropic_day, _anthropic_micros(projects)))


def _collect(
    found: dict[tuple[str, str], Tokens],
    bucket: object,
    day_of: Callable[[Mapping[str, object]], str],
    tokens_of: Callable[[Mapping[str, object]], Tokens],
) -> None:
    """Add one day's results to those found."""
    table = _table(bucket)
    day = day_of(table)
    for result in _results(table):
        name = result["model"]
        key = (day, name if isinstance(name, str) else "")
        found[key] = found.get(key, NO_TOKENS) + tokens_of(result)


def _costs(
    buckets: Sequence[object],
    day_of: Callable[[Mapping[str, object]], str],
    micros_of: Callable[[Mapping[str, object]], Decimal],
) -> dict[str, int]:
    """Micro-dollars by day, rounded down once for the day: no difference is made up here."""
    found: dict[str, Decimal] = {}
    for bucket in buckets:
        table = _table(bucket)
        day = day_of(table)
        found[day] = sum((micros_of(result) for result in _results(table)), found.get(day, Decimal(0)))
    return {day: int(micros) for day, micros in found.items()}


def _openai_day(bucket: Mapping[str, object]) -> str:
    return f"{datetime.fromtimestamp(_count(bucket['start_time']), UTC):%Y-%m-%d}"


def _openai_tokens(result: Mapping[str, object]) -> Tokens:
    return Tokens(_count(result["input_tokens"]), _count(result.get("output_tokens", 0)))


def _openai_micros(result: Mapping[str, object]) -> Decimal:
    amount = _table(result["amount"])
    return _money(amount["value"], amount.get("currency")) * MICROS_PER_USD


def _anthropic_day(bucket: Mapping[str, object]) -> str:
    return f"{datetime.fromisoformat(str(bucket['starting_at'])).astimezone(UTC):%Y-%m-%d}"


def _anthropic_tokens(result: Mapping[str, object]) -> Tokens:
    written = _table(result.get("cache_creation") or {})
    parts = [
        result["uncached_input_tokens"],
        result.get("cache_read_input_tokens") or 0,
        written.get("ephemeral_5m_input_tokens") or 0,
        written.get("ephemeral_1h_input_tokens") or 0,
    ]
    return Tokens(sum(map(_count, parts)), _count(result["output_tokens"]))


def _anthropic_micros(projects: Sequence[str]) -> Callable[[Mapping[str, object]], Decimal]:
    def micros(result: Mapping[str, object]) -> Decimal:
        if projects and result["workspace_id"] not in projects:
            return Decimal(0)
        return _money(result["amount"], result.get("currency")) * MICROS_PER_CENT

    return micros


def _money(value: object, currency: object) -> Decimal:
    """An amount of 0 or more of dollars. ValueError for another currency: it is not converted here."""
    amount = Decimal(str(value)) if isinstance(value, str | int | float) else Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MAX_COUNT or str(currency).lower() != "usd":
        raise ValueError("not an amount of dollars")
    return amount


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ValueError("not a count")
    return value


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _results(bucket: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    results = bucket["results"]
    if not isinstance(results, list):
        raise TypeError("not a list")
    return map(_table, results)
