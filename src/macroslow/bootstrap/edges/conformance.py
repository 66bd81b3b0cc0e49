"""`serve --conformance`: all that serves in production, with what the official suites call beside it.

The suites cannot send a credential. So the outermost layer, before the gate and all that it does, adds a
throw-away key to requests that have none: authentication, limits and the log are under test with the rest.
Nothing of a real gateway is here: no configuration, state in a temporary folder, loopback alone.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from macroslow.authz import scopes
from macroslow.bootstrap.edges import agents
from macroslow.bootstrap.edges.modes import Mode
from macroslow.bootstrap.gateway import Gateway
from macroslow.bootstrap.machine import entropy
from macroslow.errors import ConfigurationError
from macroslow.settings import Settings
from macroslow.settings.fields import is_loopback
from macroslow.web.mcp.transport import Serves
from macroslow.web.messages import ASGIApp, Receive, Scope, Send
from macroslow.web.routes import Mount, Route

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

    from macroslow.mcp.source import Context, Source

PRINCIPAL: Final = "conformance"
PAUSE_S: Final = 0.05
_CREDENTIALS: Final = frozenset({b"x-api-key", b"authorization"})


@contextmanager
def throw_away(load: Callable[[Mapping[str, object]], Settings]) -> Iterator[Settings]:
    """Settings of a gateway that leaves nothing behind. `load` reads what there is, with what is given.

    ConfigurationError if there is any configuration, or it would listen beyond this machine.
    """
    found = load({})
    if found.source.describes_gateway:
        raise ConfigurationError(
            "a gateway for conformance tests takes no configuration, and here is one",
            fix="start it in an empty folder, without --config and MACROSLOW__ variables",
        )
    if not is_loopback(found.server.host):
        raise ConfigurationError(
            f"a gateway for conformance tests lets everybody in who reaches it: not on {found.server.host}",
            fix="--listen 127.0.0.1:PORT",
        )
    with tempfile.TemporaryDirectory(prefix="macroslow-conformance-") as folder:
        # What is signed is gone with the folder: nothing outside it is to remember that.
        yield load({"state.folder": folder, "log.high_water": "off"})


def _sources(gateway: Gateway) -> "Sequence[Source]":
    from macroslow.mcp.conformance import Fixtures  # with it comes the SDK, which is slow to import

    return (*agents.sources(gateway), Fixtures(partial(asyncio.sleep, PAUSE_S)))


def _sessions(server: "Server[Any]", max_body_bytes: int) -> Serves:
    from macroslow.mcp.conformance import KEY_BYTES, Events, arm
    from macroslow.web.mcp.sessions import OwnedSessions

    arm(server, entropy.random(KEY_BYTES), _principal_of)
    return OwnedSessions(server, Events(), max_body_bytes)


def _principal_of(context: "Context") -> str:
    assert context.request is not None  # noqa: S101 (over HTTP there always is one)
    name: str = context.request.scope["state"]["principal"].name
    return name


def _route(method: str) -> Route:
    return Route(method, "/mcp", scopes.MCP_CONNECT, Mount(lambda application: application.mcp))


async def _keyed(gateway: Gateway, gate: ASGIApp) -> ASGIApp:
    """`gate`, behind a layer that lets no request come without a credential."""
    made = await gateway.administration.perform("keys.create", {"principal": PRINCIPAL})
    assert isinstance(made, Mapping)  # noqa: S101 (the verb's own shape)
    key = str(made["key"]).encode("ascii")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _CREDENTIALS.isdisjoint(name for name, _ in scope["headers"]):
            scope = {**scope, "headers": [*scope["headers"], (b"x-api-key", key)]}
        await gate(scope, receive, send)

    return app


CONFORMANCE: Final = Mode(
    "conformance",
    _sources,
    _sessions,
    routes=(_route("GET"), _route("DELETE")),  # of the handshake versions' sessions
    before=_keyed,
    notes=("FOR CONFORMANCE TESTS ONLY: everybody on this machine is let in, and nothing is kept",),
)
