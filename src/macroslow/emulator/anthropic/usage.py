"""What was used and what it costs, as the organization's administrator may read it.

    GET /v1/organizations/usage_report/messages
    GET /v1/organizations/cost_report               by days alone, in cents

A bucket is reported if it ends by `ending_at`; without that, up to the one that is running.

Source: Anthropic Admin API reference, "Get Messages Usage Report", "Get Cost Report".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from macroslow.emulator import reports
from macroslow.emulator.anthropic import refusals
from macroslow.emulator.reports import LIMITS, Buckets, Query, QueryError
from macroslow.emulator.usage_book import Bill, Line, UsageBook
from macroslow.emulator.work import refuse
from macroslow.metering.money import MICROS_PER_CENT

_FILTERS: Final = ("models", "api_key_ids", "workspace_ids", "service_tiers", "context_window")
_PARAMS: Final = (*_FILTERS, "starting_at", "ending_at", "bucket_width", "group_by", "limit", "page")
_COST_LIMITS: Final = {"1d": (7, 31)}

# What a line is by each group that a report can have. The default workspace has no id.
_GROUPS: Final[Mapping[str, Callable[[Line], Any]]] = {
    "api_key_id": lambda line: f"apikey_{line.key_digest[:24]}",
    "workspace_id": lambda _: None,
    "model": lambda line: line.model,
    "service_tier": lambda _: "standard",
    "context_window": lambda _: "0-200k",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """The reports from one book."""

    book: UsageBook

    def messages(self, pairs: list[tuple[str, str]], now_s: int) -> bytes:
        """What messages used."""
        query, groups, page = _read(pairs, now_s, tuple(_GROUPS), LIMITS)
        return _body(
            page,
            {
                start_s: [
                    _result(bill)
                    | {name: _GROUPS[name](line) if name in groups else None for name in _GROUPS}
                    for line, bill in self._lines(start_s, page.width_s, query, groups)
                ]
                for start_s in page.starts_s
            },
        )

    def costs(self, pairs: list[tuple[str, str]], now_s: int) -> bytes:
        """What messages cost; by description, input and output of each model apart."""
        query, groups, page = _read(pairs, now_s, ("workspace_id", "description"), _COST_LIMITS)
        by_model = ("model",) if "description" in groups else ()
        return _body(
            page,
            {
                start_s: [
                    cost
                    for line, bill in self._lines(start_s, page.width_s, query, by_model)
                    for cost in _costs(line if by_model else None, bill)
                ]
                for start_s in page.starts_s
            },
        )

    def _lines(
        self, start_s: int, width_s: int, query: Query, groups: Sequence[str]
    ) -> Iterator[tuple[Line, Bill]]:
        return reports.grouped(
            self.book,
            start_s,
            width_s,
            lambda line: line.api == "messages" and _passes(query, line),
            lambda line: tuple(_GROUPS[name](line) for name in groups),
        )


def _read(
    pairs: list[tuple[str, str]],
    now_s: int,
    possible: tuple[str, ...],
    widths: Mapping[str, tuple[int, int]],
) -> tuple[Query, Sequence[str], Buckets]:
    """The query, its groups and the page that it asks for. Raises RefusedError."""
    try:
        query = Query.of(pairs, _PARAMS)
        groups = query.chosen("group_by", possible)
        if "starting_at" not in query.values:
            raise QueryError("starting_at", "Field required")
        width_s = reports.WIDTHS_S.get(query.one("bucket_width", "1d"), 1)
        end_s = now_s + 1
        if "ending_at" in query.values:
            end_s = _time_s(query, "ending_at") // width_s * width_s
        return query, groups, reports.buckets(query, _time_s(query, "starting_at"), end_s, widths)
    except QueryError as error:
        refuse(refusals.bad(error.param, error.message))


def _time_s(query: Query, name: str) -> int:
    try:
        moment = datetime.fromisoformat(query.one(name))
        if moment.tzinfo is None:
            raise ValueError("no offset from UTC")
        return max(0, int(moment.timestamp()))
    except (ValueError, OverflowError):
        raise QueryError(name, "Input should be a valid datetime (RFC 3339)") from None


def _passes(query: Query, line: Line) -> bool:
    filters = {
        "models": line.model,
        "api_key_ids": _GROUPS["api_key_id"](line),
        "workspace_ids": None,
        "service_tiers": "standard",
        "context_window": "0-200k",
    }
    return all(query.allows(name, value) for name, value in filters.items())


def _result(bill: Bill) -> dict[str, Any]:
    return {
        "uncached_input_tokens": bill.input_tokens,
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
        "cache_read_input_tokens": 0,
        "output_tokens": bill.output_tokens,
        "server_tool_use": {"web_search_requests": 0},
    }


def _costs(line: Line | None, bill: Bill) -> Iterator[dict[str, Any]]:
    if line is None:
        yield _cost(bill.usd_micros, {})
        return
    amounts = {
        "uncached_input_tokens": ("Input Tokens", bill.input_usd_micros),
        "output_tokens": ("Output Tokens", bill.usd_micros - bill.input_usd_micros),
    }
    for token_type, (words, usd_micros) in amounts.items():
        yield _cost(
            usd_micros,
            {
                "description": f"{line.model} Usage - {words}",
                "model": line.model,
                "cost_type": "tokens",
                "token_type": token_type,
                "service_tier": "standard",
                "context_window": "0-200k",
            },
        )


def _cost(usd_micros: int, described: Mapping[str, str]) -> dict[str, Any]:
    """`amount` is in cents, as a decimal."""
    names = ("description", "model", "cost_type", "token_type", "service_tier", "context_window")
    return {
        "amount": f"{usd_micros // MICROS_PER_CENT}.{usd_micros % MICROS_PER_CENT:04}",
        "currency": "USD",
        "workspace_id": None,
        **{name: described.get(name) for name in names},
    }


def _body(page: Buckets, results: Mapping[int, list[dict[str, Any]]]) -> bytes:
    data = [
        {"starting_at": _text(start_s), "ending_at": _text(start_s + page.width_s), "results": found}
        for start_s, found in results.items()
    ]
    return orjson.dumps({"data": data, "has_more": page.next_page is not None, "next_page": page.next_page})


def _text(time_s: int) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
