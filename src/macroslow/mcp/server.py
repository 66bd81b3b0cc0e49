"""Sources of tools, resources and prompts, as one server on the official SDK's low-level one.

The SDK speaks both eras of the protocol (2026-07-28 and the handshake versions before it); transport and
authentication are the gate's. Nothing is kept by session or connection: every request carries its
principal, and what is listed or answered is decided for it anew. Lists have one page.

A refusal of a tool is a result that a model reads, any other an error of JSON-RPC. A defect says nothing of
itself: `report` hears of it, and the client gets the code of an internal error.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import mcp_types as types
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from macroslow.authn.principal import Principal
from macroslow.errors import MacroslowError
from macroslow.mcp.listeners import Listeners
from macroslow.mcp.refusals import refused_call, refused_request
from macroslow.mcp.source import Caller, Context, Source

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R")
CallerOf = Callable[[Context], Caller]
Report = Callable[[str, Exception], None]
"""Hears of a defect: in the answer to which method, and what it was."""

INSTRUCTIONS: Final = "Models under a budget, workflow documents in a sandbox, proof of what happened."
SHOWN_CHARACTERS: Final = 200  # of a name that does not exist
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_OF_A_MINUTE: Final = CacheHint(ttl_ms=60_000, scope="private")  # lists differ by principal
_STALE: Final = CacheHint(ttl_ms=0, scope="private")
CACHE_HINTS: Final[Mapping[CacheableMethod, CacheHint]] = {
    "tools/list": _OF_A_MINUTE,
    "prompts/list": _OF_A_MINUTE,
    "resources/list": _STALE,  # runs come and go
    "resources/templates/list": _OF_A_MINUTE,
    "resources/read": _STALE,
    "server/discover": _OF_A_MINUTE,
}


class ComposedServer:
    """What the sources offer, asked in their order, for whoever asks."""

    def __init__(self, sources: Sequence[Source], caller_of: CallerOf, report: Report) -> None:
        self._sources = sources
        self._caller_of = caller_of
        self._report = report
        bus = InMemorySubscriptionBus()
        self._listeners = Listeners(bus)
        for source in sources:
            source.join(bus)

    def build(self, name: str, version: str) -> Server[Any]:
        """Return the SDK's server over these sources."""
        server: Server[Any] = Server(
            name,
            version=version,
            title="Macroslow",
            instructions=INSTRUCTIONS,
            cache_hints=CACHE_HINTS,
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._ours(self._list_tools),
            on_call_tool=self._ours(self._call_tool),
            on_list_resources=self._ours(self._list_resources),
            on_list_resource_templates=self._ours(self._list_templates),
            on_read_resource=self._ours(self._read_resource),
            on_list_prompts=self._ours(self._list_prompts),
            on_get_prompt=self._ours(self._get_prompt),
            on_completion=self._ours(self._complete),
            on_subscriptions_listen=self._listen,
        )
        # In place of the SDK's own spans: the gate and the use cases have theirs.
        server.middleware = [self._guard]
        return server

    def scope_of(self, tool: str) -> str | None:
        """The scope that a call of `tool` needs, where whoever lacks it may be told so."""
        return _first(source.scope_of(tool) for source in self._sources)

    def close(self) -> None:
        """End the streams of those who listen."""
        self._listeners.close()

    async def _guard(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        try:
            return await call_next(ctx)
        except (MCPError, ValidationError):  # the protocol's own; of the latter it tells no text
            raise
        except MacroslowError as error:
            raise refused_request(error) from None
        except Exception as error:  # noqa: BLE001 - the outermost handler of every message
            raise self._defect(ctx, error) from None

    def _ours(self, handler: Callable[[Context, P], Awaitable[R]]) -> Callable[[Context, P], Awaitable[R]]:
        """What is found unfit in there is of our own making; outside of it, it is the request's fault."""

        async def handle(context: Context, params: P) -> R:
            try:
                return await handler(context, params)
            except ValidationError as error:
                raise self._defect(context, error) from None

        return handle

    def _defect(self, context: Context, error: Exception) -> MCPError:
        self._report(_asked(context), error)
        return MCPError(types.INTERNAL_ERROR, "the gateway failed: this is not your fault")

    def _input_schema(self, tool: str) -> Mapping[str, object] | None:
        return _first(source.input_schema(tool) for source in self._sources)

    async def _list_tools(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        principal = self._listing(context, params)
        return types.ListToolsResult(tools=[t for s in self._sources for t in await s.tools(principal)])

    async def _call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        caller = self._caller_of(context)
        try:
            for source in self._sources:
                if (result := await source.call_tool(caller, params)) is not None:
                    return result
        except MacroslowError as error:
            return refused_call(error)
        raise _unknown("tool", params.name)

    async def _list_resources(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        principal = self._listing(context, params)
        return types.ListResourcesResult(
            resources=[r for s in self._sources for r in await s.resources(principal)]
        )

    async def _list_templates(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        principal = self._listing(context, params)
        return types.ListResourceTemplatesResult(
            resource_templates=[t for s in self._sources for t in await s.resource_templates(principal)]
        )

    async def _read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult | types.InputRequiredResult:
        caller = self._caller_of(context)
        for source in self._sources:
            if (result := await source.read_resource(caller, params)) is not None:
                return result
        raise _unknown("resource", str(params.uri))

    async def _list_prompts(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        principal = self._listing(context, params)
        return types.ListPromptsResult(prompts=[p for s in self._sources for p in await s.prompts(principal)])

    async def _get_prompt(
        self, context: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | types.InputRequiredResult:
        caller = self._caller_of(context)
        for source in self._sources:
            if (result := await source.get_prompt(caller, params)) is not None:
                return result
        raise _unknown("prompt", params.name)

    async def _complete(self, context: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        caller = self._caller_of(context)
        for source in self._sources:
            if (completion := await source.complete(caller, params)) is not None:
                return types.CompleteResult(completion=completion)
        return types.CompleteResult(completion=types.Completion(values=[]))

    async def _listen(
        self, context: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        return await self._listeners(self._caller_of(context).principal, context, params)

    def _listing(self, context: Context, params: types.PaginatedRequestParams | None) -> Principal:
        """For whom a list is made. It has one page, so that any cursor is not ours."""
        if params is not None and params.cursor is not None:
            raise MCPError(types.INVALID_PARAMS, "unknown cursor: this list has one page")
        return self._caller_of(context).principal


def _asked(context: Context) -> str:
    """What was asked, for the log: a tool by its name, if that is one."""
    name = (context.params or {}).get("name")
    named = isinstance(name, str) and _NAME.fullmatch(name)
    return f"{context.method} {name}" if named else context.method


def _first(found: Iterable[T | None]) -> T | None:
    return next((one for one in found if one is not None), None)


def _unknown(kind: str, name: str) -> MCPError:
    return MCPError(types.INVALID_PARAMS, f"unknown {kind}: {name[:SHOWN_CHARACTERS]}")
