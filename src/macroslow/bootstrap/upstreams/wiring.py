"""Other MCP servers: a port to each, what was approved of them, and the look at them beside the requests."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from macroslow.bootstrap.machine import clock
from macroslow.bootstrap.state.core import Core
from macroslow.errors import ConfigurationError
from macroslow.limits.tallies import Tallies
from macroslow.mcp.catalogue import TOOLS
from macroslow.secretstore.secret import Secret
from macroslow.services.alerts.send_alerts import Outlet
from macroslow.settings.mcp import MCPServer

if TYPE_CHECKING:
    from macroslow.mcp.upstream import UpstreamServer
    from macroslow.services.upstreams.call_server import CallServer
    from macroslow.services.upstreams.pin_verbs import PinVerbs
    from macroslow.services.upstreams.watch_servers import WatchServers
    from macroslow.services.upstreams.watched_server import ServerRules, WatchedServer

OWN_NAMES: Final = frozenset(tool.name for tool in TOOLS)
MAX_COUNTED: Final = 20_000  # principals, servers and tools whose calls are counted at a time


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The servers of one gateway, not yet looked at."""

    servers: "Mapping[str, WatchedServer]"
    watch: "WatchServers"
    call: "CallServer"
    verbs: "PinVerbs"

    async def close(self) -> None:
        """End all connections, at the same time: a program is given a moment to end itself."""
        await asyncio.gather(*(server.port.close() for server in self.servers.values()))


def open_upstreams(
    core: Core,
    secrets: Mapping[str, Secret],
    outlet: Outlet,
    programs: "Mapping[str, UpstreamServer]",
) -> Upstreams | None:
    """Wire what is configured; None where nothing is. `programs` are the servers that are no URL.

    ConfigurationError for a URL or a secret that cannot be used, and for pins that cannot be read.
    """
    configured = core.settings.mcp.servers
    if not configured:
        return None
    # Here: most gateways stand before no other server.
    from macroslow.adapters.pins_file import PinsFile
    from macroslow.services.upstreams.approve_pins import ApprovePins
    from macroslow.services.upstreams.call_server import CallServer, Counts
    from macroslow.services.upstreams.pin_verbs import PinVerbs
    from macroslow.services.upstreams.watch_servers import WatchServers
    from macroslow.services.upstreams.watched_server import WatchedServer

    store = PinsFile(core.folder.path)
    pins = store.load()
    servers = {}
    for name, one in configured.items():
        port = programs.get(name) or _over_http(name, one, secrets)
        servers[name] = WatchedServer(name, port, _rules(name, one), clock, pins.get(name, {}))
    watch = WatchServers(servers, core.books, clock, outlet, gateway=core.settings.gateway.name)
    call = CallServer(core.books, clock, Tallies(clock, MAX_COUNTED), Counts())
    approve = ApprovePins(servers, watch, store, core.books, clock)
    return Upstreams(servers, watch, call, PinVerbs(servers, watch.look, approve, OWN_NAMES))


def _over_http(name: str, one: MCPServer, secrets: Mapping[str, Secret]) -> "UpstreamServer":
    from macroslow.adapters.mcp_http import Endpoint, MCPOverHTTP

    if one.url is None:
        raise ConfigurationError(
            f"mcp.servers.{name}: its program cannot be started here",
            fix="start the gateway where a sandbox works, or remove the server",
        )
    headers = {header: secrets[f"mcp.servers.{name}.headers.{header}"] for header in one.headers}
    endpoint = Endpoint(name, one.url, headers, private_network=one.private_network)
    return MCPOverHTTP(name, endpoint, max_result_bytes=one.max_result_bytes)


def _rules(name: str, one: MCPServer) -> "ServerRules":
    from macroslow.services.upstreams.watched_server import Rule, ServerRules

    rules = {
        tool: Rule(one.scope_of(name, tool), rule.timeout_s or one.timeout_s, rule.calls_per_minute)
        for tool, rule in one.rules.items()
    }
    return ServerRules(
        one.scope_of(name, ""),
        one.timeout_s,
        one.calls_per_minute,
        None if one.tools is None else frozenset(one.tools),
        rules,
    )
