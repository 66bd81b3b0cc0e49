"""The fixtures as a source, beside the gateway's own."""

from collections.abc import Mapping, Sequence

import mcp_types as types
from mcp.server.subscriptions import InMemorySubscriptionBus, SubscriptionBus

from macroslow.authn.principal import Principal
from macroslow.mcp.conformance import prompts, resources
from macroslow.mcp.conformance.calls import Call, Params, Pause
from macroslow.mcp.conformance.tools import RUNS, TOOLS
from macroslow.mcp.source import Caller, Source


class Fixtures(Source):
    """All tools, prompts and resources that the suites look for, for everybody who may connect.

    `pause` lets a moment pass between two messages of one answer.
    """

    def __init__(self, pause: Pause) -> None:
        self._bus: SubscriptionBus = InMemorySubscriptionBus()  # that of nobody, until `join`
        self._pause = pause

    def join(self, bus: SubscriptionBus) -> None:
        self._bus = bus

    async def tools(self, principal: Principal) -> Sequence[types.Tool]:
        return [*TOOLS.values()]

    def input_schema(self, tool: str) -> Mapping[str, object] | None:
        return TOOLS[tool].input_schema if tool in TOOLS else None

    async def call_tool(
        self, caller: Caller, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult | None:
        run = RUNS.get(params.name)
        return None if run is None else await run(self._call(caller, params))

    async def resources(self, principal: Principal) -> Sequence[types.Resource]:
        return resources.RESOURCES

    async def resource_templates(self, principal: Principal) -> Sequence[types.ResourceTemplate]:
        return resources.TEMPLATES

    async def read_resource(
        self, caller: Caller, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult | types.InputRequiredResult | None:
        return resources.contents_of(str(params.uri))

    async def prompts(self, principal: Principal) -> Sequence[types.Prompt]:
        return prompts.PROMPTS

    async def get_prompt(
        self, caller: Caller, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | types.InputRequiredResult | None:
        return prompts.filled_in(self._call(caller, params))

    async def complete(self, caller: Caller, params: types.CompleteRequestParams) -> types.Completion | None:
        name = params.ref.name if isinstance(params.ref, types.PromptReference) else params.ref.uri
        known = {*(one.name for one in prompts.PROMPTS), *(one.uri_template for one in resources.TEMPLATES)}
        return types.Completion(values=[], total=0, has_more=False) if name in known else None

    def _call(self, caller: Caller, params: Params) -> Call:
        return Call(caller, params, self._bus, self._pause)
