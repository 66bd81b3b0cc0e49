"""A server in memory, and handlers of our tools that remember what they were asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from mcp.client.client import Client
from tests.mcp.samples import RESULTS

from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.mcp.ask import Ask, Handler
from macroslow.mcp.catalogue import TOOLS
from macroslow.mcp.server import ComposedServer
from macroslow.mcp.source import Caller, Context, Source

MODERN = "auto"
ERAS = pytest.mark.parametrize("era", ["legacy", MODERN], ids=["handshake", "2026-07-28"])
ANN = Principal("ann", "key/ann", "ann0", scopes=scopes.CLIENT_DEFAULT)


class Tools:
    """Answers with what fits, refuses, breaks or waits."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Ask]] = []
        self.outcome: Callable[[], object] = lambda: None
        self.hold: asyncio.Event | None = None
        self.under_way = 0
        self.replaced: dict[str, Handler] = {}

    @property
    def handlers(self) -> dict[str, Handler]:
        return {tool.name: self._handler(tool.name) for tool in TOOLS} | self.replaced

    def _handler(self, name: str) -> Handler:
        async def handle(ask: Ask) -> object:
            self.asked.append((name, ask))
            self.under_way += 1
            try:
                if self.hold is not None:
                    await self.hold.wait()
                outcome = self.outcome()
                if isinstance(outcome, BaseException):
                    raise outcome
                return RESULTS[name] if outcome is None else outcome
            finally:
                self.under_way -= 1

        return handle  # type: ignore[return-value]


class Site:
    """Sources behind a server. `principal` is who asks, `reported` the defects that came to light."""

    def __init__(self, *sources: Source) -> None:
        self.principal = ANN
        self.reported: list[tuple[str, Exception]] = []
        self.composed = ComposedServer(
            sources, self._caller, lambda method, error: self.reported.append((method, error))
        )
        self.server = self.composed.build("macroslow", "1.2.3")

    def _caller(self, context: Context) -> Caller:
        return Caller(self.principal, "r1", context)

    @asynccontextmanager
    async def client(self, era: str = MODERN) -> AsyncIterator[Client]:
        """The official client, in memory."""
        async with Client(self.server, mode=era) as client:
            yield client
