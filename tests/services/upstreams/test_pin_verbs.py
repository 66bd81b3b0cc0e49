"""What an operator is told where there is nothing to show or to approve."""

import asyncio
from typing import Any

from tests.services.upstreams.fake_server import FakeServer, Servers

from macroslow.mcp.upstream import Found
from macroslow.services.upstreams.pin_verbs import STARTING, PinVerbs


class Silent(FakeServer):
    """A program that is there and says nothing."""

    async def discover(self) -> Found:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_server_that_says_nothing_keeps_nobody_from_the_list() -> None:
    servers = Servers(silent=Silent(), other=FakeServer())
    await servers.verbs.diff("other")
    verbs = PinVerbs(servers.watched, servers.watch.look, list_wait_s=0)
    listed: Any = await verbs.list()
    silent, other = listed["servers"]
    assert silent["trouble"] == STARTING
    assert (other["trouble"], other["new"] > 0) == ("", True)


async def test_what_is_approved_is_not_approved_again() -> None:
    servers = Servers(one=FakeServer())
    shown: Any = await servers.verbs.diff("one")
    first: Any = await servers.verbs.approve("one", shown["digest"])
    logged = len(await servers.books.entries(0, 1000))
    again: Any = await servers.verbs.approve("one", shown["digest"])
    assert (first["approved"], again["approved"]) == (shown["waiting"], 0)
    assert len(await servers.books.entries(0, 1000)) == logged
