"""What was used and what it costs, as the organization's administrator may read it.

    GET /v1/organization/usage/completions    chat completions and responses
    GET /v1/organization/usage/embeddings
    GET /v1/organization/costs                by days alone

Source: OpenAI API reference, "Usage", "Costs".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow.emulator import reports
from macroslow.emulator.openai import refusals
from macroslow.emulator.reports import LIMITS, Buckets, Query, QueryError
from macroslow.emulator.usage_book import Bill, Line, UsageBook
from macroslow.emulator.work import refuse
from macroslow.metering.money import MICROS_PER_USD

_FILTERS: Final = ("models", "api_key_ids", "project_ids", "user_ids")
_PARAMS: Final = (*_FILTERS, "start_time", "end_time", "bucket_width", "group_by", "limit", "page", "batch")
_COST_LIMITS: Final = {"1d": (7, 180)}
_PROJECT: Final = "proj_emulator"
_USER: Final = "user-emulator"

# What a line is by each group that a report can have.
_GROUPS: Final[Mapping[str, Callable[[Line], Any]]] = {
    "model": lambda line: line.model,
    "api_key_id": lambda line: f"key_{line.key_digest[:24]}",
    "project_id": lambda _: _PROJECT,
    "user_id": lambda _: _USER,
    "batch": lambda _: False,
    "service_tier": lambda _: "default",
}
_EMBEDDING_GROUPS: Final = ("model", "api_key_id", "project_id", "user_id")


@dataclass(frozen=True, slots=True)
class Usage:
    """The reports from one book."""

    book: UsageBook

    def completions(self, pairs: list[tuple[str, str]], now_s: int) -> bytes:
        """What chat completions and responses used."""
        return self._usage(pairs, now_s, "completions", tuple(_GROUPS))

    def embeddings(self, pairs: list[tuple[str, str]], now_s: int) -> bytes:
        """What embeddings used."""
        return self._usage(pairs, now_s, "embeddings", _EMBEDDING_GROUPS)

    def costs(self, pairs: list[tuple[str, str]], now_s: int) -> bytes:
        """What everything that OpenAI serves cost, in dollars."""
        try:
            query = Query.of(pairs, _PARAMS)
            groups = query.chosen("group_by", ("line_item", "project_id", "api_key_id", "user_id"))
            page = _page(query, now_s, _COST_LIMITS)
        except QueryError as error:
            refuse(_refusal(error))
        results = {
            start_s: list(self._costs(start_s, page.width_s, query, groups)) for start_s in page.starts_s
        }
        return _body(page, results)

    def _usage(self, pairs: list[tuple[str, str]], now_s: int, api: str, possible: tuple[str, ...]) -> bytes:
        try:
            query = Query.of(pairs, _PARAMS)
            groups = query.chosen("group_by", possible)
            page = _page(query, now_s, LIMITS)
        except QueryError as error:
            refuse(_refusal(error))
        results = {
            start_s: [
                _result(api, bill)
                | {name: _GROUPS[name](line) if name in groups else None for name in possible}
                for line, bill in reports.grouped(
                    self.book,
                    start_s,
                    page.width_s,
                    lambda line: line.api == api and _passes(query, line),
                    lambda line: tuple(_GROUPS[name](line) for name in groups),
                )
            ]
            for start_s in page.starts_s
        }
        return _body(page, results)

    def _costs(self, start_s: int, width_s: int, query: Query, groups: Any) -> Iterator[dict[str, Any]]:
        """The costs of one day; by line item, input and output of each model apart."""
        by_item = "line_item" in groups
        others = [name for name in groups if name != "line_item"]
        lines = reports.grouped(
            self.book,
            start_s,
            width_s,
            lambda line: line.api != "messages" and _passes(query, line),
            lambda line: (line.model if by_item else None, *(_GROUPS[name](line) for name in others)),
        )
        for line, bill in lines:
            named = {
                name: _GROUPS[name](line) if name in groups else None
                for name in ("project_id", "api_key_id", "user_id")
            }
            if not by_item:
                yield _cost(bill.usd_micros, None) | named
                continue
            yield _cost(bill.input_usd_micros, f"{line.model}, input") | named
            if output_usd_micros := bill.usd_micros - bill.input_usd_micros:
                yield _cost(output_usd_micros, f"{line.model}, output") | named


def _page(query: Query, now_s: int, widths: Mapping[str, tuple[int, int]]) -> Buckets:
    if "start_time" not in query.values:
        raise QueryError("start_time", "is required")
    start_s = reports.seconds(query, "start_time", 1)
    return reports.buckets(query, start_s, reports.seconds(query, "end_time", now_s + 1), widths)


def _passes(query: Query, line: Line) -> bool:
    filters = {
        "models": line.model,
        "api_key_ids": _GROUPS["api_key_id"](line),
        "project_ids": _PROJECT,
        "user_ids": _USER,
        "batch": "false",
    }
    return all(query.allows(name, value) for name, value in filters.items())


def _result(api: str, bill: Bill) -> dict[str, Any]:
    result = {
        "object": f"organization.usage.{api}.result",
        "input_tokens": bill.input_tokens,
        "num_model_requests": bill.calls,
    }
    if api == "completions":
        none = dict.fromkeys(("input_cached_tokens", "input_audio_tokens", "output_audio_tokens"), 0)
        result |= {"output_tokens": bill.output_tokens, **none}
    return result


def _cost(usd_micros: int, line_item: str | None) -> dict[str, Any]:
    return {
        "object": "organization.costs.result",
        "amount": {"value": usd_micros / MICROS_PER_USD, "currency": "usd"},
        "line_item": line_item,
    }


def _body(page: Buckets, results: Mapping[int, list[dict[str, Any]]]) -> bytes:
    data = [
        {"object": "bucket", "start_time": start_s, "end_time": start_s + page.width_s, "results": found}
        for start_s, found in results.items()
    ]
    more = {"has_more": page.next_page is not None, "next_page": page.next_page}
    return orjson.dumps({"object": "page", "data": data, **more})


def _refusal(error: QueryError) -> refusals.Refusal:
    return refusals.bad_value(error.param, f"Invalid value for '{error.param}': it {error.message}.")
