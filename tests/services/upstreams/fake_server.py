"""Other servers in memory, a house around them, and who asks."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import mcp_types as types
from tests.contract.fake_books import FakeBooks
from tests.machine import SetClock

from macroslow.authn.principal import Principal
from macroslow.errors import MacroslowError
from macroslow.limits.tallies import Tallies
from macroslow.mcp.pins import Approved, Place
from macroslow.mcp.source import Caller
from macroslow.mcp.upstream import Found, Identity
from macroslow.services.alerts.send_alerts import Message
from macroslow.services.upstreams.approve_pins import ApprovePins
from macroslow.services.upstreams.call_server import CallServer, Counts
from macroslow.services.upstreams.pin_verbs import PinVerbs
from macroslow.services.upstreams.source import UpstreamSource
from macroslow.services.upstreams.watch_servers import WatchServers
from macroslow.services.upstreams.watched_server import Rule, ServerRules, WatchedServer

ADD = {
    "name": "add",
    "description": "Adds.",
    "inputSchema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    "outputSchema": {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]},
}
SAY = {"name": "say", "inputSchema": {"type": "object"}}


class FakeServer:
    """Offers what it is told to, and answers what it is told to; `asked` is everything that came."""

    where = "https://mcp.example/mcp"

    def __init__(self, *tools: dict[str, Any]) -> None:
        self.tools = tools or (ADD, SAY)
        self.prompts: tuple[dict[str, Any], ...] = ()
        self.resources: tuple[dict[str, Any], ...] = ()
        self.templates: tuple[dict[str, Any], ...] = ()
        self.version = "1"
        self.answer: Any = {"content": [], "structuredContent": {"sum": 3}}
        self.down: MacroslowError | None = None
        self.asked: list[tuple[Any, ...]] = []

    async def discover(self) -> Found:
        if self.down is not None:
            raise self.down
        return Found(
            Identity("fake", self.version, "2026-07-28"),
            self.tools,
            self.prompts,
            self.resources,
            self.templates,
            60.0,
        )

    async def call_tool(self, name, arguments, *, timeout_s, progress=None):
        self.asked.append((name, arguments, timeout_s))
        return await self._answered()

    async def get_prompt(self, name, arguments, *, timeout_s):
        self.asked.append((name, arguments, timeout_s))
        return await self._answered()

    async def read_resource(self, uri, *, timeout_s):
        self.asked.append((uri, timeout_s))
        return await self._answered()

    async def _answered(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return await self.answer() if callable(self.answer) else self.answer

    async def changed(self) -> None:
        return

    async def close(self) -> None:
        return


class PinsInMemory:
    def __init__(self) -> None:
        self.kept: dict[str, dict[Place, str]] = {}

    def load(self) -> dict[str, dict[Place, str]]:
        return self.kept

    def save(self, pins: Mapping[str, Approved]) -> None:
        self.kept = {server: {**approved} for server, approved in pins.items()}


class Outlet:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)


def rules(name: str, **more: Any) -> ServerRules:
    """The rules of one server, unless told otherwise."""
    own = {"timeout_s": 60.0, "calls_per_minute": 600, "tools": None, "rules": {}, **more}
    return ServerRules(f"mcp:{name}", **own)


class Servers:
    """A gateway's other servers, wired as they are for real, over books in memory."""

    def __init__(self, *, approved: Mapping[str, Approved] | None = None, **servers: FakeServer) -> None:
        self.clock = SetClock()
        self.books = FakeBooks()
        self.outlet = Outlet()
        self.store = PinsInMemory()
        self.ports = servers
        self.watched = {
            name: WatchedServer(name, port, rules(name), self.clock, (approved or {}).get(name, {}))
            for name, port in servers.items()
        }
        self.watch = WatchServers(self.watched, self.books, self.clock, self.outlet, gateway="g")
        self.approve = ApprovePins(self.watched, self.watch, self.store, self.books, self.clock)
        self.verbs = PinVerbs(self.watched, self.watch.look, self.approve, frozenset({"run_document"}))
        self.call = CallServer(self.books, self.clock, Tallies(self.clock, 100), Counts())
        self.source = UpstreamSource(self.watched, self.call, self.watch.changed.append)

    async def approved(self) -> "Servers":
        """Look at everything and approve it."""
        for name in self.watched:
            shown: Any = await self.verbs.diff(name)
            await self.verbs.approve(name, shown["digest"])
        return self

    async def events(self, of_type: int) -> list[Any]:
        """The fields of the entries of one type."""
        entries = await self.books.entries(0, 1000)
        return [json.loads(one.event or b"{}")["fields"] for one in entries if one.type == of_type]


def principal(*scopes: str, name: str = "ann") -> Principal:
    return Principal(name, name, scopes=frozenset({"mcp:connect", *scopes}))


def caller(*scopes: str, name: str = "ann") -> Caller:
    """Somebody who asks without a progress token."""
    context: Any = SimpleNamespace(meta=None, session=None)
    return Caller(principal(*scopes, name=name), "req-1", context)


def wanting(name: str = "s__add", **arguments: object) -> types.CallToolRequestParams:
    """A call of a tool."""
    return types.CallToolRequestParams(name=name, arguments=arguments)


__all__ = ["ADD", "SAY", "FakeServer", "Rule", "Servers", "caller", "principal", "rules", "wanting"]
