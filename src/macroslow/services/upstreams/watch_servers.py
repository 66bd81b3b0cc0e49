"""The look at other servers, again and again: what changed is told in the log, to receivers and to listeners.

Nothing here approves anything. What waits for an operator is told once for each form that it has: a log entry
(`mcp-blocked`), an alert, and a line in the server's own log.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from macroslow.authn.principal import THE_GATEWAY
from macroslow.errors import ConflictError, LogUnavailableError, MacroslowError
from macroslow.mcp.pins import Kind, Place, Standing, State, hidden_in, proposal_digest, skeleton, waits
from macroslow.mcp.upstream import MIN_FRESH_S
from macroslow.ports import DAY_NS, HOUR_NS, Clock
from macroslow.services.alerts.send_alerts import Outlet, message_of
from macroslow.services.upstreams.watched_server import RETRY_S, WatchedServer
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books
from macroslow.workflow.replies import ClaimReply

log: Final = logging.getLogger("macroslow.mcp")

KIND: Final = "mcp.blocked"
TOLD_NS: Final = 365 * DAY_NS
PAUSES: Final = 10  # a look is followed by a pause of so many times what it took, up to the next look due
MAX_TOLD: Final = 6  # forms of one server that are told of in an hour
MAX_NAME: Final = 200  # characters of an item's name in entries and alerts
MAX_LISTED: Final = 50  # items that an entry or an alert names


class WatchServers:
    """Looks at every server until it is cancelled. Each of `changed` is awaited when offers changed."""

    def __init__(
        self,
        servers: Mapping[str, WatchedServer],
        books: Books,
        clock: Clock,
        outlet: Outlet,
        *,
        gateway: str,
    ) -> None:
        self._servers = servers
        self._books = books
        self._clock = clock
        self._outlet = outlet
        self._gateway = gateway
        self._said: dict[str, str] = {}  # the last form that was told of each
        self._told_ns: dict[str, list[int]] = {}  # when, within the last hour
        self.changed: list[Callable[[], Awaitable[None]]] = []
        self.raised = {KIND: 0}
        """Alerts that this process has told; for the metrics."""

    async def run(self) -> None:
        """Look, wait, look again. Ends by cancellation."""
        async with asyncio.TaskGroup() as group:
            for server in self._servers.values():
                group.create_task(self._watch(server))

    async def look(self, server: WatchedServer) -> None:
        """Look once, and tell what is to be told. Raises what the port raises, and LogUnavailableError."""
        before = server.generation
        await server.look()
        if server.generation != before:
            await self.offers_changed()
        await self.tell(server)

    async def offers_changed(self) -> None:
        """Tell those who listen that lists changed."""
        for told in self.changed:
            await told()

    async def tell(self, server: WatchedServer) -> None:
        """Tell what waits for an operator, unless it was told before in this very form.

        Who changes again and again is told of MAX_TOLD times an hour, and then of what stands at its end.
        """
        waiting = [one for one in server.standings if waits(one) and one.state is not State.GONE]
        if not waiting:
            return
        now_ns = self._clock.now_ns()
        facts = {"server": server.name, **facts_of(waiting), "digest": proposal_digest(server.standings)}
        claim = f"mcp {server.name} {facts['digest']}"
        if self._said.get(server.name) == claim or not self._may_tell(server.name):
            return
        log.warning("%s", summary(server))
        digest = hashlib.sha256(claim.encode()).hexdigest()
        told = ClaimReply(THE_GATEWAY, claim, digest, now_ns, now_ns + TOLD_NS)
        event = Event(EventType.MCP_BLOCKED, now_ns, THE_GATEWAY, facts)
        with suppress(ConflictError):  # told before
            await self._books.commit(told, Append(event))
            self.raised[KIND] += 1
            self._outlet.send(message_of(KIND, digest[:32], self._gateway, facts, now_ns))
        self._said[server.name] = claim

    def _may_tell(self, server: str) -> bool:
        now_ns = self._clock.monotonic_ns()
        recent = [at_ns for at_ns in self._told_ns.get(server, ()) if now_ns - at_ns < HOUR_NS]
        if len(recent) >= MAX_TOLD:
            return False
        self._told_ns[server] = [*recent, now_ns]
        if len(recent) + 1 == MAX_TOLD:
            log.warning("the MCP server %s changes again and again: no more is told for an hour", server)
        return True

    async def _watch(self, server: WatchedServer) -> None:
        failures = 0
        while True:
            try:
                await self.look(server)
                failures = 0
                with suppress(TimeoutError):
                    async with asyncio.timeout(server.fresh_s):
                        await server.port.changed()
                        # Who tells of changes all the time, or of many, waits.
                        await asyncio.sleep(max(MIN_FRESH_S / 10, server.took_s * PAUSES))
                continue
            except LogUnavailableError as error:
                log.warning("what changed at the server %s is not told: %s", server.name, error.detail)
            except MacroslowError:
                if failures == 0:
                    log.warning("the MCP server %s cannot be looked at: %s", server.name, server.trouble)
            except Exception as error:  # noqa: BLE001 - the outermost handler: the looks at others go on
                server.trouble = f"the look at it failed: {type(error).__name__}"
                log.error("the MCP server %s: %s", server.name, server.trouble)
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1


def facts_of(waiting: Sequence[Standing]) -> dict[str, object]:
    """What waits, as entries and alerts tell it."""
    listed = [
        {"kind": one.place.kind.value, "name": told_name(one.place), "state": one.state.value}
        for one in waiting[:MAX_LISTED]
    ]
    return {"items": listed, "more": max(0, len(waiting) - MAX_LISTED)}


def summary(server: WatchedServer) -> str:
    """One line for people: what waits, and what to do."""
    counted = Counter(one.state.value for one in server.standings if waits(one))
    unfit = sum(one.state is State.UNFIT for one in server.standings)
    said = [f"{count} {state}" for state, count in sorted(counted.items())]
    said += [f"{unfit} that cannot be offered"] if unfit else []
    return (
        f"the MCP server {server.name} has items that are not approved ({', '.join(said)}):"
        f" macroslow mcp pins diff {server.name}"
    )


def beside(
    servers: Mapping[str, WatchedServer], own: frozenset[str], name: str, standing: Standing
) -> list[str]:
    """What of ours, or of what was approved, the name of a tool or prompt could be taken for."""
    if standing.place.kind not in {Kind.TOOL, Kind.PROMPT}:
        return []
    looks = skeleton(standing.place.name)
    found = [f"the gateway's own {each}" for each in sorted(own) if skeleton(each) == looks]
    for other, server in servers.items():
        for place in server.approved:
            same = other == name and place == standing.place
            if place.kind is standing.place.kind and not same and skeleton(place.name) == looks:
                found.append(f"{other}: {place.name}")
    return found


def hidden_of(standing: Standing) -> int:
    """How many characters were taken out of what is shown of an item."""
    return 0 if standing.now is None else hidden_in(standing.now.text)


def told_name(place: Place) -> str:
    """An item's name in entries and alerts: ASCII, cut."""
    return place.name.encode("ascii", "backslashreplace").decode("ascii")[:MAX_NAME]
