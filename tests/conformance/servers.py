"""Servers that the suites are run against: ours, and ours with something missing. `python servers.py NAME`.

Prints a line of JSON when it serves, as `serve --json` does, until SIGTERM.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from macroslow.bootstrap.edges import agents
from macroslow.bootstrap.edges.conformance import CONFORMANCE, throw_away
from macroslow.bootstrap.edges.modes import Mode
from macroslow.bootstrap.edges.serving import Started, serve
from macroslow.bootstrap.gateway import Gateway
from macroslow.settings import Settings, load
from macroslow.web.mcp.transport import Sessionless
from macroslow.web.messages import ASGIApp, Receive, Scope, Send


async def _unwary(gateway: Gateway, gate: ASGIApp) -> ASGIApp:
    """The gate as if it did not look at Host and Origin."""
    inner = await CONFORMANCE.before(gateway, gate)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            kept = [header for header in scope["headers"] if header[0] not in {b"host", b"origin"}]
            scope = {**scope, "headers": [*kept, (b"host", b"127.0.0.1")]}
        await inner(scope, receive, send)

    return app


async def _shut(_: Gateway, gate: ASGIApp) -> ASGIApp:
    """The gate itself: nobody adds a key."""
    return gate


MODES: Final[Mapping[str, Mode]] = {
    "believes any host": replace(CONFORMANCE, before=_unwary),
    "has no fixtures": replace(CONFORMANCE, sources=agents.sources),
    "has no sessions": replace(CONFORMANCE, transport=Sessionless),
    "lets nobody in": replace(CONFORMANCE, before=_shut),
}


def main(name: str) -> None:
    def settings(given: Mapping[str, object]) -> Settings:
        return load(None, os.environ, {"server.listen": "127.0.0.1:0", **given})

    with throw_away(settings) as found:

        def announce(started: Started) -> None:
            said = {"url": started.url, "state": str(found.state_folder), "notes": started.notes}
            print(json.dumps(said), flush=True)

        asyncio.run(serve(found, announce, MODES[name]))


if __name__ == "__main__":
    main(sys.argv[1])
