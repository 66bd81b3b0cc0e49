"""Other servers' tools, prompts and resources as a source of the gateway's own MCP server.

Tools and prompts are named SERVER__name, resources by `mcp.foreign_uris`. Who lacks the scope of an item sees
nothing of it. What is shown is what was approved; what a server says of its own tools (annotations) is shown
too, and believed by nobody here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import mcp_types as types
from mcp.server.subscriptions import (
    PromptsListChanged,
    ResourcesListChanged,
    SubscriptionBus,
    ToolsListChanged,
)

from macroslow.authn.principal import Principal
from macroslow.errors import UpstreamUnavailableError
from macroslow.mcp.foreign_uris import filled_in, theirs
from macroslow.mcp.pins import SEPARATOR, Kind, Place
from macroslow.mcp.refusals import unfit_call
from macroslow.mcp.source import Caller, Source
from macroslow.mcp.upstream import JSON, Progress
from macroslow.services.upstreams.call_server import CallServer, UpstreamCall
from macroslow.services.upstreams.offers import Offer
from macroslow.services.upstreams.watched_server import WatchedServer

Changed = Callable[[], Awaitable[None]]


class UpstreamSource(Source):
    """See above. `follow` takes what is to be called when what is offered changed."""

    def __init__(
        self,
        servers: Mapping[str, WatchedServer],
        call: CallServer,
        follow: Callable[[Changed], None],
    ) -> None:
        self._servers = servers
        self._call = call
        self._follow = follow

    def join(self, bus: SubscriptionBus) -> None:
        """See `Source`."""

        async def changed() -> None:
            for event in (ToolsListChanged(), PromptsListChanged(), ResourcesListChanged()):
                await bus.publish(event)

        self._follow(changed)

    async def tools(self, principal: Principal) -> Sequence[types.Tool]:
        """See `Source`."""
        return await self._of(Kind.TOOL, principal)

    async def prompts(self, principal: Principal) -> Sequence[types.Prompt]:
        """See `Source`."""
        return await self._of(Kind.PROMPT, principal)

    async def resources(self, principal: Principal) -> Sequence[types.Resource]:
        """See `Source`."""
        return await self._of(Kind.RESOURCE, principal)

    async def resource_templates(self, principal: Principal) -> Sequence[types.ResourceTemplate]:
        """See `Source`."""
        return await self._of(Kind.TEMPLATE, principal)

    async def call_tool(
        self, caller: Caller, params: types.CallToolRequestParams
    ) -> types.CallToolResult | None:
        """See `Source`."""
        arguments = params.arguments or {}
        asked = await self._asked(caller, Kind.TOOL, params.name, arguments)
        if asked is None:
            return None
        if asked.offer.inputs is not None and (complaints := asked.offer.inputs.complaints(arguments)):
            return unfit_call(complaints)
        return cast("types.CallToolResult", await self._call(asked, _progress_of(caller)))

    async def get_prompt(
        self, caller: Caller, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | None:
        """See `Source`."""
        asked = await self._asked(caller, Kind.PROMPT, params.name, params.arguments or {})
        return None if asked is None else cast("types.GetPromptResult", await self._call(asked))

    async def read_resource(
        self, caller: Caller, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult | None:
        """See `Source`."""
        found = theirs(str(params.uri))
        server = None if found is None else self._servers.get(found[0])
        if found is None or server is None or server.rules.scope not in caller.principal.scopes:
            return None
        await server.looked()
        for offer in server.offers.values():
            if (uri := _covered(offer, found[1])) is not None:
                asked = UpstreamCall(
                    caller.principal, caller.request_id, server, offer, {"uri": uri}, str(params.uri)
                )
                return cast("types.ReadResourceResult", await self._call(asked))
        return None

    async def _of(self, kind: Kind, principal: Principal) -> list[Any]:
        found: list[Any] = []
        for server in self._servers.values():
            if self._may_use_some(server, principal):
                await server.looked()
                found += [
                    offer.shown
                    for place, offer in server.offers.items()
                    if place.kind is kind and server.rules.of(place).scope in principal.scopes
                ]
        return found

    async def _asked(self, caller: Caller, kind: Kind, name: str, arguments: JSON) -> UpstreamCall | None:
        found = self._named(kind, name)
        if found is None or found[0].rules.of(found[1]).scope not in caller.principal.scopes:
            return None
        server, place = found
        await server.looked()
        offer = server.offers.get(place)
        if offer is not None:
            return UpstreamCall(caller.principal, caller.request_id, server, offer, arguments)
        if server.blocked(place):
            raise UpstreamUnavailableError(
                server.trouble or f"{name} is not what was approved, and waits for the operator",
                upstream=server.name,
                fix=f"the operator looks at it: macroslow mcp pins diff {server.name}",
            )
        return None

    def _named(self, kind: Kind, name: str) -> tuple[WatchedServer, Place] | None:
        server, separator, own = name.partition(SEPARATOR)
        found = self._servers.get(server) if separator else None
        return None if found is None else (found, Place(kind, own))

    @staticmethod
    def _may_use_some(server: WatchedServer, principal: Principal) -> bool:
        scopes = {server.rules.scope} | {rule.scope for rule in server.rules.rules.values()}
        return not scopes.isdisjoint(principal.scopes)


def _covered(offer: Offer, uri: str) -> str | None:
    match offer.place.kind:
        case Kind.RESOURCE:
            return uri if offer.place.name == uri else None
        case Kind.TEMPLATE:
            return filled_in(offer.place.name, uri)
        case _:
            return None


def _progress_of(caller: Caller) -> Progress | None:
    """Passes progress on to a client that asked for it."""
    context = caller.context
    if not (context.meta or {}).get("progress_token"):
        return None

    async def told(done: float, of: float | None, words: str) -> None:
        await context.session.report_progress(done, of, words or None)

    return told
