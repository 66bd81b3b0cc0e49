"""All that another MCP server offers: every list that it promises, every page of each, within bounds.

Source: MCP 2026-07-28, "Utilities" (pagination, caching).
"""

from typing import Any, Final

from macroslow.mcp.client.greeting import Greeting
from macroslow.mcp.client.rpc import METHOD_NOT_FOUND, Ask, NoAnswerError, RPCError, fresh_s
from macroslow.mcp.upstream import (
    JSON,
    MAX_CATALOGUE_BYTES,
    MAX_FRESH_S,
    MAX_ITEMS,
    MAX_PAGES,
    MIN_FRESH_S,
    Found,
)

_LISTS: Final = (
    ("tools", "tools/list", "tools"),
    ("prompts", "prompts/list", "prompts"),
    ("resources", "resources/list", "resources"),
    ("resources", "resources/templates/list", "resourceTemplates"),
)
"""Which capability promises a list, how it is asked for, and the member that has it."""


async def everything(greeting: Greeting, ask: Ask) -> Found:
    """All that the server offers, as its capabilities promise. NoAnswerError beyond the bounds."""
    found: dict[str, tuple[JSON, ...]] = {}
    lasts_s, budget = greeting.fresh_s, _Budget()
    for capability, method, member in _LISTS:
        if capability not in greeting.capabilities:
            found[member] = ()
            continue
        try:
            found[member], list_lasts_s = await _all_pages(ask, method, member, budget)
        except RPCError as error:
            if error.code != METHOD_NOT_FOUND or member != "resourceTemplates":
                raise
            found[member], list_lasts_s = (), MAX_FRESH_S  # many servers with resources have no templates
        lasts_s = min(lasts_s, list_lasts_s)
    return Found(
        greeting.identity,
        found["tools"],
        found["prompts"],
        found["resources"],
        found["resourceTemplates"],
        max(MIN_FRESH_S, lasts_s),
    )


class _Budget:
    """What is left of MAX_CATALOGUE_BYTES."""

    def __init__(self) -> None:
        self._left = MAX_CATALOGUE_BYTES

    def take(self, length_bytes: int) -> None:
        self._left -= length_bytes
        if self._left < 0:
            raise NoAnswerError(f"its lists have more than {MAX_CATALOGUE_BYTES} bytes")


async def _all_pages(ask: Ask, method: str, member: str, budget: _Budget) -> tuple[tuple[JSON, ...], float]:
    items: list[JSON] = []
    params: dict[str, Any] = {}
    seen: set[str] = set()
    lasts_s = MAX_FRESH_S
    for _ in range(MAX_PAGES):
        result, length_bytes = await ask(method, params)
        budget.take(length_bytes)
        page = result.get(member)
        if not isinstance(page, list) or not all(isinstance(item, dict) for item in page):
            raise NoAnswerError(f"no list of {member}")
        items += page
        if len(items) > MAX_ITEMS:
            raise NoAnswerError(f"more than {MAX_ITEMS} {member}")
        lasts_s = min(lasts_s, fresh_s(result))
        cursor = result.get("nextCursor")
        if cursor is None:
            return tuple(items), lasts_s
        if not isinstance(cursor, str) or cursor in seen:
            raise NoAnswerError(f"its pages of {member} have no end")
        seen.add(cursor)
        params = {"cursor": cursor}
    raise NoAnswerError(f"more than {MAX_PAGES} pages of {member}")
