"""Everything that a server offers, counted as it came over the wire."""

from collections.abc import Iterator
from typing import Any

import pytest

from macroslow.mcp.client.catalogue import everything
from macroslow.mcp.client.greeting import greeted
from macroslow.mcp.client.rpc import NoAnswerError, Reply, RPCError
from macroslow.mcp.upstream import MAX_CATALOGUE_BYTES, MAX_FRESH_S, MIN_FRESH_S, Found


def replies(*pages: tuple[Any, int]) -> Iterator[Reply]:
    return (Reply(result, length_bytes) for result, length_bytes in pages)


async def found(told: Iterator[Reply], *capabilities: str) -> Found:
    async def ask(method: str, params: Any) -> Reply:
        if method == "resources/templates/list":
            raise RPCError(-32601, "")
        return next(told)

    promised = {name: {} for name in capabilities}
    return await everything(greeted({"protocolVersion": "2025-06-18", "capabilities": promised}), ask)


async def test_bytes_are_those_of_all_pages_of_all_lists_together() -> None:
    half = MAX_CATALOGUE_BYTES // 2
    pages = [({"tools": [], "nextCursor": "2"}, half), ({"tools": []}, half)]
    assert (await found(replies(*pages), "tools")).tools == ()
    with pytest.raises(NoAnswerError, match=f"more than {MAX_CATALOGUE_BYTES} bytes"):
        await found(replies(*pages, ({"prompts": []}, 1)), "tools", "prompts")


async def test_a_server_with_resources_and_no_templates_has_none() -> None:
    offered = await found(replies(({"resources": [{"uri": "a:b"}]}, 1)), "resources")
    assert (offered.resources, offered.templates) == (({"uri": "a:b"},), ())


@pytest.mark.parametrize("cursor", ["1", 3, [], {}, True])
async def test_pages_whose_cursor_is_none_or_came_before_end_the_look(cursor: Any) -> None:
    pages = ({"tools": [], "nextCursor": "1"}, 1), ({"tools": [], "nextCursor": cursor}, 1)
    with pytest.raises(NoAnswerError, match="no end"):
        await found(replies(*pages), "tools")


@pytest.mark.parametrize("ttl_ms", [True, -1, 0, 1, 10**30, "9", None, [1]])
async def test_a_look_holds_for_a_time_within_bounds(ttl_ms: Any) -> None:
    offered = await found(replies(({"tools": [], "ttlMs": ttl_ms}, 1)), "tools")
    assert MIN_FRESH_S <= offered.fresh_s <= MAX_FRESH_S
