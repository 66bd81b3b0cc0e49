"""Where tools, resources and prompts come from: ours, other servers', fixtures. One shape for all.

A source answers for what is its own and returns None for the rest, so that a server is a list of sources,
asked in order. Whatever it lists, and whether it answers, is decided by the principal of the request that is
being served: nothing is remembered by session or connection. What a principal may not use is not his to know
of: it is answered like what does not exist.

Names and results are the protocol's own (MCP 2026-07-28, "Server features").
"""

from collections.abc import Mapping, Sequence
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import SubscriptionBus

from macroslow.authn.principal import Principal
from macroslow.values import value

Context = ServerRequestContext[Any, Any]


@value
class Caller:
    """Who asks, in which request of the gate, and the protocol's own context: progress, capabilities."""

    principal: Principal
    request_id: str
    context: Context


class Source:
    """Offers nothing; those that offer something override what they offer.

    Listings are of what the principal may use. The others raise MacroslowError for what is refused (shown to
    the model), MCPError for what the protocol has a code for, and return None for what is not theirs.
    """

    def join(self, bus: SubscriptionBus) -> None:
        """Called once, before anything is asked: changed lists are published on `bus` to who listens."""

    async def tools(self, principal: Principal) -> Sequence[types.Tool]:
        """The tools that `principal` may call."""
        return ()

    def input_schema(self, tool: str) -> Mapping[str, object] | None:
        """The schema of a tool's arguments, whoever asks, where some come in headers too (`x-mcp-header`)."""
        return None

    def scope_of(self, tool: str) -> str | None:
        """The scope that a call of one's own `tool` needs, for who lacks it to ask for ("step-up").

        None also where a tool is not to be known of by those who lack it.
        """
        return None

    async def call_tool(
        self, caller: Caller, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult | None:
        """Check the arguments and do it."""
        return None

    async def resources(self, principal: Principal) -> Sequence[types.Resource]:
        """The resources that `principal` may read."""
        return ()

    async def resource_templates(self, principal: Principal) -> Sequence[types.ResourceTemplate]:
        """The forms of URI that he may fill in."""
        return ()

    async def read_resource(
        self, caller: Caller, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult | types.InputRequiredResult | None:
        """Read one resource."""
        return None

    async def prompts(self, principal: Principal) -> Sequence[types.Prompt]:
        """The prompts that `principal` may take."""
        return ()

    async def get_prompt(
        self, caller: Caller, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | types.InputRequiredResult | None:
        """Fill in one prompt."""
        return None

    async def complete(self, caller: Caller, params: types.CompleteRequestParams) -> types.Completion | None:
        """Values that an argument of a prompt or of a template could have."""
        return None
