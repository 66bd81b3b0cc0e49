"""Each of our tools has one handler."""

import pytest

from macroslow.bootstrap.edges.agents import merged
from macroslow.mcp.ask import Ask


async def one(ask: Ask) -> dict[str, object]:
    return {}


def test_handlers_of_several_tables_are_there_together() -> None:
    assert [*merged([{"a": one}, {}, {"b": one}])] == ["a", "b"]


def test_a_name_that_is_there_twice_does_not_hide_a_handler() -> None:
    with pytest.raises(RuntimeError, match="b, c: "):
        merged([{"a": one, "b": one, "c": one}, {"c": one, "b": one}])
