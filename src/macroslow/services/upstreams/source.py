"""Other servers' tools, prompts and resources as a source of the gateway's own MCP server.

Tools and prompts are named SERVER__name, resources by `mcp.foreign_uris`. Who lacks the scope of an item sees
nothing of it. What is shown is what was approved; what a server says of its own tools (annotations) is shown
too, and believed by nobody here.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import mcp_types as types
from mcp.server.subscriptions import (
    PromptsListChanged,
    ResourcesListChanged,
    SubscriptionBus,
    ToolsListChanged,
)
from pydantic import BaseModel, ValidationError

from macroslow.authn.principal import Principal
from macroslow.errors import UpstreamUnavailableError
from macroslow.mcp.foreign_uris import filled_in, our_template, ours, theirs
from macroslow.mcp.pins import SEPARATOR, Kind, Place
from macroslow.mcp.refusals import unfit_call
from macroslow.mcp.source import Caller, Source
from macroslow.mcp.upstream import JSON, Progress
from macroslow.services.upstreams.call_server import Asked, CallServer
from macroslow.services.upstreams.watched_server import Offer, WatchedServer

M = TypeVar("M", bound=BaseModel)
Changed = Callable[[], Awaitable[None]]
_MADE_OF: Final[Mapping[Kind, type[BaseModel]]] = {
    Kind.TOOL: types.Tool,
    Kind.PROMPT: types.Prompt,
    Kind.RESOURCE: types.Resource,
    Kind.TEMPLATE: types.ResourceTemplate,
}
_BY_CLIENTS: Final = ("http://", "https://")  # links that a client follows by itself


class OtherServers(Source):
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
        self._shown: dict[str, tuple[int, dict[Place, Any]]] = {}

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

    def input_schema(self, tool: str) -> Mapping[str, object] | None:
        """See `Source`."""
        found = self._named(Kind.TOOL, tool)
        offer = None if found is None else found[0].offers.get(found[1])
        return None if offer is None else offer.item["inputSchema"]

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
        result = await self._call(asked, _progress_of(caller))
        return _made(types.CallToolResult, asked, _with_our_links(asked.server.name, result))

    async def get_prompt(
        self, caller: Caller, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | None:
        """See `Source`."""
        asked = await self._asked(caller, Kind.PROMPT, params.name, params.arguments or {})
        return None if asked is None else _made(types.GetPromptResult, asked, await self._call(asked))

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
                asked = Asked(caller.principal, caller.request_id, server, offer, {"uri": uri})
                return _read(asked, str(params.uri), await self._call(asked))
        return None

    async def _of(self, kind: Kind, principal: Principal) -> list[Any]:
        found: list[Any] = []
        for server in self._servers.values():
            if self._may_use_some(server, principal):
                await server.looked()
                shown = self._shown_of(server).items()
                found += [
                    one
                    for place, one in shown
                    if place.kind is kind and server.rules.of(place).scope in principal.scopes
                ]
        return found

    async def _asked(self, caller: Caller, kind: Kind, name: str, arguments: JSON) -> Asked | None:
        found = self._named(kind, name)
        if found is None or found[0].rules.of(found[1]).scope not in caller.principal.scopes:
            return None
        server, place = found
        await server.looked()
        offer = server.offers.get(place)
        if offer is not None:
            return Asked(caller.principal, caller.request_id, server, offer, arguments)
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

    def _shown_of(self, server: WatchedServer) -> dict[Place, Any]:
        """What is offered, as the SDK's values; made once for each change."""
        known = self._shown.get(server.name)
        if known is None or known[0] != server.generation:
            known = (server.generation, dict(_shown(server)))
            self._shown[server.name] = known
        return known[1]


def _shown(server: WatchedServer) -> Iterator[tuple[Place, Any]]:
    for place, offer in server.offers.items():
        told = dict(offer.item)
        match place.kind:
            case Kind.RESOURCE:
                told["uri"] = ours(server.name, place.name)
            case Kind.TEMPLATE:
                told["uriTemplate"] = our_template(server.name, place.name)
            case _:
                told["name"] = f"{server.name}{SEPARATOR}{place.name}"
        yield place, _MADE_OF[place.kind].model_validate(told)


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


def _made(model: type[M], asked: Asked, result: JSON) -> M:
    try:
        return model.model_validate(result)
    except ValidationError:
        raise UpstreamUnavailableError(
            f"the server {asked.server.name} gave a result that is none", upstream=asked.server.name
        ) from None


def _read(asked: Asked, uri: str, result: JSON) -> types.ReadResourceResult:
    """The contents under the URI that was asked for: a server's own would lead a client elsewhere."""
    contents = result.get("contents")
    named = (
        [{**one, "uri": uri} for one in contents if isinstance(one, dict)]
        if isinstance(contents, list)
        else None
    )
    return _made(types.ReadResourceResult, asked, {"contents": named})


def _with_our_links(server: str, result: JSON) -> JSON:
    """Links to a server's own resources, as our clients would read them."""
    content = result.get("content")
    if not isinstance(content, list):
        return result
    return {**result, "content": [_with_our_link(server, block) for block in content]}


def _with_our_link(server: str, block: object) -> object:
    if not isinstance(block, dict) or block.get("type") != "resource_link":
        return block
    uri = block.get("uri")
    theirs_alone = isinstance(uri, str) and not uri.startswith(_BY_CLIENTS)
    return {**block, "uri": ours(server, str(uri))} if theirs_alone else block
