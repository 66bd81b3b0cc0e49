"""One call of a fixture: who asks, with what, and how it may answer on the way.

What is asked of the client is asked only for what the client declared that it can do: anything else is the
protocol's error for a missing capability, with the capability that would help.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import mcp_types as types
from mcp.server.subscriptions import SubscriptionBus
from mcp.shared.exceptions import MCPError

from macroslow.mcp.source import Caller
from macroslow.values import value

Params = types.CallToolRequestParams | types.GetPromptRequestParams
Pause = Callable[[], Awaitable[None]]
"""Waits about as long as the suites need to see that messages came one by one."""

_CAPABILITIES: Final[Mapping[str, str]] = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}


@value
class Call:
    """One `tools/call` or `prompts/get`."""

    caller: Caller
    params: Params
    bus: SubscriptionBus
    pause: Pause

    def argument(self, name: str) -> str:
        """An argument as text, or "" if it did not come."""
        return str((self.params.arguments or {}).get(name, ""))

    def can(self, request: types.InputRequest) -> bool:
        """Whether the client declared that it can answer `request`."""
        declared = self.caller.context.session.client_capabilities
        return getattr(declared, _CAPABILITIES[request.method], None) is not None

    def require(self, request: types.InputRequest) -> None:
        """MCPError -32021, which names the capability, if the client cannot answer `request`."""
        if not self.can(request):
            capability = _CAPABILITIES[request.method]
            raise MCPError(
                types.MISSING_REQUIRED_CLIENT_CAPABILITY,
                f"this needs the client's capability {capability!r}",
                {"requiredCapabilities": {capability: {}}},
            )


def ask_user(message: str, schema: Mapping[str, object]) -> types.ElicitRequest:
    """A form for the user."""
    return types.ElicitRequest(
        params=types.ElicitRequestFormParams(message=message, requested_schema=dict(schema))
    )


def ask_model(prompt: str, max_tokens: int = 100) -> types.CreateMessageRequest:
    """A question to the client's model."""
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=prompt))
    params = types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    return types.CreateMessageRequest(params=params)
