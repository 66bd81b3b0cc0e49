"""The operator's verbs about other MCP servers: what they offer beside what was approved, and approval.

An approval names the digest of what was shown. If anything is different by then, nothing is approved.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

import orjson
from pydantic import Field

from macroslow.authn.principal import THE_OPERATOR
from macroslow.errors import ConflictError, MacroslowError, NotFoundError
from macroslow.mcp.clean_text import clean, suspicions
from macroslow.mcp.pins import Approved, Kind, Place, Standing, State, proposal_digest, waits
from macroslow.ports import Clock
from macroslow.services.upstreams.watch_servers import WatchServers, beside, facts_of, hidden_of
from macroslow.services.upstreams.watched_server import WatchedServer
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books

MAX_NAMES: Final = 200
Names = Annotated[Sequence[str], Field(max_length=MAX_NAMES)]


class PinStore(Protocol):
    """Where approved pins are kept, by server."""

    def load(self) -> dict[str, dict[Place, str]]:
        """All of them."""
        ...

    def save(self, pins: Mapping[str, Approved]) -> None:
        """Replace all of them at once, durably."""
        ...


@dataclass(frozen=True, slots=True)
class PinVerbs:
    """Every verb takes JSON and returns JSON. `own` are the names of the gateway's own tools and prompts."""

    servers: Mapping[str, WatchedServer]
    watch: WatchServers
    store: PinStore
    books: Books
    clock: Clock
    own: frozenset[str] = frozenset()

    async def list(self) -> object:
        """Every server, and how many of its items stand how."""
        return {"servers": [await self._listed(server) for server in self.servers.values()]}

    async def diff(self, server: str, tools: Names = ()) -> object:
        """What of a server waits, was refused or is approved, with both texts where they differ."""
        found = self._known(server)
        await self.watch.look(found)
        chosen = _chosen(found.standings, tools)
        return {
            "server": server,
            "digest": proposal_digest(chosen),
            "waiting": sum(map(waits, chosen)),
            "items": [self._shown(found, one) for one in chosen],
        }

    async def approve(self, server: str, digest: str, tools: Names = ()) -> object:
        """Approve what waits, if it is what `digest` was told of. ConflictError otherwise."""
        found = self._known(server)
        if not found.looks:
            await self.watch.look(found)
        chosen = [one for one in _chosen(found.standings, tools) if waits(one)]
        if proposal_digest(chosen) != digest:
            raise ConflictError(
                f"what the server {server} offers is not what was shown",
                fix=f"look again: macroslow mcp pins diff {server}",
            )
        if chosen:
            await self._approve(found, chosen, digest)
        return {"name": server, "digest": digest, "approved": len(chosen)}

    async def _approve(self, server: WatchedServer, chosen: Sequence[Standing], digest: str) -> None:
        pins = {**server.approved}
        for one in chosen:
            if one.now is None:
                pins.pop(one.place, None)
            else:
                pins[one.place] = one.now.text
        facts = {"server": server.name, "by": THE_OPERATOR, "digest": digest, **facts_of(chosen)}
        event = Event(EventType.MCP_PINS_APPROVED, self.clock.now_ns(), THE_OPERATOR, facts)
        await self.books.commit(Append(event))  # first: what is in force is in the log
        self.store.save({name: each.approved for name, each in self.servers.items()} | {server.name: pins})
        server.approve(pins)
        await self.watch.offers_changed()

    async def _listed(self, server: WatchedServer) -> dict[str, object]:
        try:
            if not server.looks:
                await self.watch.look(server)
        except MacroslowError:
            pass  # it is told as `trouble`
        counts = {state.value: 0 for state in State}
        for one in server.standings:
            counts[one.state.value] += 1
        return {
            "name": server.name,
            "where": server.port.where,
            "scope": server.rules.scope,
            "offered": len(server.offers),
            **counts,
            "trouble": server.trouble,
        }

    def _known(self, name: str) -> WatchedServer:
        server = self.servers.get(name)
        if server is None:
            named = ", ".join(self.servers) or "none"
            raise NotFoundError(f"no MCP server {name!r} is configured", fix=f"there is {named}")
        return server

    def _shown(self, server: WatchedServer, one: Standing) -> dict[str, object]:
        now = None if one.now is None else one.now.text
        return {
            "kind": one.place.kind.value,
            "name": clean(one.place.name)[0],
            "state": one.state.value,
            "fault": "" if one.now is None else one.now.fault,
            "sha256": None if one.now is None else one.now.digest,
            "renamed_from": one.was,
            "beside": beside(self.servers, self.own, server.name, one),
            "hidden_characters": hidden_of(one),
            "suspicions": [] if now is None else suspicions(orjson.loads(now)),
            "before": None if one.approved is None else _lines(one.approved),
            "now": None if now is None else _lines(now),
        }


def _chosen(standings: Sequence[Standing], tools: Sequence[str]) -> list[Standing]:
    """All, or the tools of these names with the server's identity, without which none is offered."""
    if not tools:
        return [*standings]
    chosen = [one for one in standings if one.place.kind is Kind.TOOL and one.place.name in tools]
    if missing := set(tools) - {one.place.name for one in chosen}:
        raise NotFoundError(f"no tool {min(missing)!r}", fix="see `macroslow mcp pins diff SERVER`")
    return [one for one in standings if one.place.kind is Kind.SERVER] + chosen


def _lines(text: str) -> list[str]:
    """An item's text for people: hidden characters are written as escapes."""
    return json.dumps(orjson.loads(text), indent=2, ensure_ascii=True, sort_keys=True).splitlines()
