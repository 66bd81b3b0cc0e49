"""The operator's verbs about other MCP servers: what they offer beside what was approved, and approval.

An approval names the digest of what was shown. If anything is different by then, nothing is approved.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Final

import orjson
from pydantic import Field

from macroslow.errors import ConflictError, MacroslowError, NotFoundError
from macroslow.mcp.clean_text import one_line, suspicions
from macroslow.mcp.pins import Kind, Standing, State, proposal_digest, waits
from macroslow.services.upstreams.watch_servers import beside, hidden_of
from macroslow.services.upstreams.watched_server import WatchedServer

MAX_NAMES: Final = 200
LIST_WAIT_S: Final = 5.0  # for servers that were not looked at yet, all at the same time
STARTING: Final = "is starting still: nothing was heard of it so far"
Names = Annotated[Sequence[str], Field(max_length=MAX_NAMES)]


Look = Callable[[WatchedServer], Awaitable[None]]
Approve = Callable[[WatchedServer, Sequence[Standing], str], Awaitable[None]]


async def _nothing(*_: object) -> None:
    """Where there are no servers, nothing is looked at and nothing approved."""


@dataclass(frozen=True, slots=True)
class PinVerbs:
    """Every verb takes JSON and returns JSON. `own` are the names of the gateway's own tools and prompts."""

    servers: Mapping[str, WatchedServer] = field(default_factory=lambda: MappingProxyType({}))
    look: Look = _nothing
    approve_chosen: Approve = _nothing
    own: frozenset[str] = frozenset()
    list_wait_s: float = LIST_WAIT_S

    async def list(self) -> object:
        """Every server, and how many of its items stand how."""
        return {"servers": await asyncio.gather(*map(self._listed, self.servers.values()))}

    async def diff(self, server: str, tools: Names = ()) -> object:
        """What of a server waits, was refused or is approved, with both texts where they differ."""
        found = self._known(server)
        await self.look(found)
        chosen = _chosen(found.standings, tools)
        return {
            "server": server,
            "digest": proposal_digest(chosen),
            "waiting": sum(map(waits, chosen)),
            "items": await asyncio.to_thread(self._all_shown, found, chosen),  # beside the requests
        }

    async def approve(self, server: str, digest: str, tools: Names = ()) -> object:
        """Approve what waits, if it is what `digest` was told of. ConflictError otherwise.

        Where nothing waits there is nothing to approve, whatever was shown before.
        """
        found = self._known(server)
        if not found.looks:
            await self.look(found)
        chosen = [one for one in _chosen(found.standings, tools) if waits(one)]
        if not chosen:
            return {"name": server, "digest": digest, "approved": 0}
        if proposal_digest(chosen) != digest:
            raise ConflictError(
                f"what the server {server} offers is not what was shown",
                fix=f"look again: macroslow mcp pins diff {server}",
            )
        await self.approve_chosen(found, chosen, digest)
        return {"name": server, "digest": digest, "approved": len(chosen)}

    async def _listed(self, server: WatchedServer) -> dict[str, object]:
        late = ""
        try:
            async with asyncio.timeout(self.list_wait_s):
                if not server.looks:
                    await self.look(server)
        except TimeoutError:
            late = STARTING
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
            "trouble": server.trouble or late,
        }

    def _known(self, name: str) -> WatchedServer:
        server = self.servers.get(name)
        if server is None:
            named = ", ".join(self.servers) or "none"
            raise NotFoundError(f"no MCP server {name!r} is configured", fix=f"there are: {named}")
        return server

    def _all_shown(self, server: WatchedServer, chosen: Sequence[Standing]) -> Sequence[dict[str, object]]:
        return [self._shown(server, one) for one in chosen]

    def _shown(self, server: WatchedServer, one: Standing) -> dict[str, object]:
        now = None if one.now is None else one.now.text
        return {
            "kind": one.place.kind.value,
            "name": one_line(one.place.name),
            "state": one.state.value,
            "fault": "" if one.now is None else one.now.fault,
            "sha256": None if one.now is None else one.now.digest,
            "renamed_from": one_line(one.was),
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
