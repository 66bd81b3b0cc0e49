"""The boundary that seals states: time (N17), which the suites cannot wait for."""

from types import SimpleNamespace
from typing import Any

import pytest
from mcp.server import request_state
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from macroslow.mcp.conformance import KEY_BYTES, arm
from macroslow.mcp.conformance.arming import STATE_TTL_S

ASKED = {"resultType": "input_required", "inputRequests": {}, "requestState": "what the tool keeps"}


async def called(server: Server[Any], **params: Any) -> Any:
    """What a client is answered, and what the tool is shown, by a call."""
    shown: list[Any] = []

    async def tool(context: ServerRequestContext[Any, Any]) -> Any:
        assert context.params is not None
        shown.append(context.params.get("requestState"))
        return ASKED

    context = ServerRequestContext[Any, Any](
        session=None,  # type: ignore[arg-type]
        lifespan_context={},
        protocol_version="2026-07-28",
        method="tools/call",
        params={"name": "ask", "arguments": {}, **params},
    )
    answer = await server.middleware[-1](context, tool)
    assert isinstance(answer, dict)
    return answer["requestState"], shown[0]


@pytest.mark.parametrize(
    ("later_s", "counts"), [(1, True), (STATE_TTL_S - 1, True), (STATE_TTL_S + 1, False)]
)
async def test_a_state_counts_for_its_time_N17(
    later_s: float, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = SimpleNamespace(time=lambda: 1_000_000.0)
    monkeypatch.setattr(request_state, "time", now)
    server: Server[Any] = Server("test")
    arm(server, b"k" * KEY_BYTES, lambda _: "ann")
    state, _ = await called(server)
    now.time = lambda: 1_000_000.0 + later_s
    if counts:
        assert (await called(server, requestState=state))[1] == "what the tool keeps"
    else:
        with pytest.raises(MCPError, match="Invalid or expired requestState"):
            await called(server, requestState=state)


async def test_a_state_of_another_server_is_refused_N17() -> None:
    one, other = Server[Any]("test"), Server[Any]("test")
    arm(one, b"k" * KEY_BYTES, lambda _: "ann")
    arm(other, b"l" * KEY_BYTES, lambda _: "ann")
    state, _ = await called(one)
    with pytest.raises(MCPError, match="Invalid or expired requestState"):
        await called(other, requestState=state)
