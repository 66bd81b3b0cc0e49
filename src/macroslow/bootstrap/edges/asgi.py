"""The gateway inside somebody else's server, as an ASGI application."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

from macroslow.bootstrap.edges.opening import Edges, open_edges
from macroslow.bootstrap.gateway import open_gateway
from macroslow.errors import ConfigurationError
from macroslow.settings import Settings, load
from macroslow.web.messages import ASGIApp, Receive, Scope, Send


def create_app(config: Settings | Path | None = None) -> ASGIApp:
    """The gateway as an ASGI application; its lifespan opens and closes everything.

    `config` is a configuration file, or what was read from one; None: as commands find it.
    """
    settings = config if isinstance(config, Settings) else load(config, os.environ)
    serving: list[Edges] = []  # one while the lifespan lasts

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(settings, serving, receive, send)
        elif serving:
            await serving[0].gate(scope, receive, send)
        else:
            raise RuntimeError("the gateway is not open: serve this application with its lifespan on")

    return app


async def _live(settings: Settings, serving: list[Edges], receive: Receive, send: Send) -> None:
    """Open the gateway, tell the server, and close it when the server says so or goes away."""
    await receive()
    async with AsyncExitStack() as stack:
        try:
            gateway = await stack.enter_async_context(open_gateway(settings))
            edges = await stack.enter_async_context(open_edges(gateway))
        except ConfigurationError as error:
            told = "; ".join([error.detail, *(problem.message for problem in error.problems)])
            await send({"type": "lifespan.startup.failed", "message": told})
            return
        serving.append(edges)
        edges.lifecycle.serve()
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            edges.lifecycle.stop()
            serving.clear()
    await send({"type": "lifespan.shutdown.complete"})
