"""An operator approves what a server offers, in the form that was shown."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from macroslow.authn.principal import THE_OPERATOR
from macroslow.mcp.pins import Approved, Place, Standing
from macroslow.ports import Clock
from macroslow.services.upstreams.watch_servers import WatchServers, facts_of
from macroslow.services.upstreams.watched_server import WatchedServer
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books


class PinStore(Protocol):
    """Where approved pins are kept, by server."""

    def load(self) -> dict[str, dict[Place, str]]:
        """All of them."""
        ...

    def save(self, pins: Mapping[str, Approved]) -> None:
        """Replace all of them at once, durably."""
        ...


@dataclass(frozen=True, slots=True)
class ApprovePins:
    """Its fields are everything that it touches."""

    servers: Mapping[str, WatchedServer]
    watch: WatchServers
    store: PinStore
    books: Books
    clock: Clock
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, server: WatchedServer, chosen: Sequence[Standing], digest: str) -> None:
        """Pin what is there now of `chosen`, and forget what is gone; `digest` is of what was shown."""
        async with self._one_at_a_time:  # each starts from the pins that the one before left
            pins = _with(chosen, server.approved)
            await server.try_out(pins)  # before anything is kept
            facts = {"server": server.name, "by": THE_OPERATOR, "digest": digest, **facts_of(chosen)}
            event = Event(EventType.MCP_PINS_APPROVED, self.clock.now_ns(), THE_OPERATOR, facts)
            await self.books.commit(Append(event))  # first: what is in force is in the log
            kept = {name: each.approved for name, each in self.servers.items()}
            self.store.save(kept | {server.name: pins})
            await server.approve(pins)
        await self.watch.offers_changed()


def _with(chosen: Sequence[Standing], approved: Approved) -> Approved:
    pins = {**approved}
    for one in chosen:
        if one.now is None:
            pins.pop(one.place, None)
        else:
            pins[one.place] = one.now.text
    return pins
