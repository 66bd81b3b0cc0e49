"""How a gateway serves agents: as it is meant to, or for the conformance suites. One value says all of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from macroslow.bootstrap.edges import agents
from macroslow.bootstrap.gateway import Gateway
from macroslow.web.mcp.endpoint import Transport
from macroslow.web.mcp.transport import Sessionless
from macroslow.web.messages import ASGIApp
from macroslow.web.routes import Route

if TYPE_CHECKING:
    from macroslow.mcp.source import Source


async def _nothing(_: Gateway, gate: ASGIApp) -> ASGIApp:
    return gate


@dataclass(frozen=True, slots=True)
class Mode:
    """What is found at /mcp, how it is spoken to, by which further routes, and what stands before the gate.

    `name` is what GET /info says, `notes` what a start does.
    """

    name: str
    sources: Callable[[Gateway], "Sequence[Source]"]
    transport: Transport
    routes: tuple[Route, ...] = ()
    before: Callable[[Gateway, ASGIApp], Awaitable[ASGIApp]] = _nothing
    notes: tuple[str, ...] = ()


PRODUCTION: Final = Mode("production", agents.sources, Sessionless)
