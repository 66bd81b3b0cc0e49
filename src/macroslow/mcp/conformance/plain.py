"""Tools that answer at once, and those that say something on the way: text, images, progress, log lines."""

import json
from collections.abc import Mapping
from typing import Final

import mcp_types as types
from mcp.server.subscriptions import PromptsListChanged, ServerEvent, ToolsListChanged

from macroslow.mcp.conformance.calls import Call, ask_model
from macroslow.mcp.conformance.contents import answer, audio, embedded, image, text

ANSWERS: Final[Mapping[str, types.CallToolResult]] = {
    "test_simple_text": answer(text("This is a simple text response for testing.")),
    "test_image_content": answer(image()),
    "test_audio_content": answer(audio()),
    "test_embedded_resource": answer(
        embedded("test://embedded-resource", "This is an embedded resource content.")
    ),
    "test_multiple_content_types": answer(
        text("Multiple content types test:"),
        image(),
        embedded(
            "test://mixed-content-resource", json.dumps({"test": "data", "value": 123}), "application/json"
        ),
    ),
    "test_error_handling": answer(
        text("This tool intentionally returns an error for testing"), is_error=True
    ),
    "json_schema_2020_12_tool": answer(text("json_schema_2020_12_tool")),
}
"""The tools that only have an answer."""


async def progress(call: Call) -> types.CallToolResult:
    """Say how far it is, thrice."""
    session = call.caller.context.session
    for done in (0, 50, 100):
        await session.report_progress(done, 100, f"Completed step {done} of 100")
        await call.pause()
    return answer(text("Completed all steps"))


async def logging(call: Call) -> types.CallToolResult:
    """Say three things in the client's log."""
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await _log(call, said)
        await call.pause()
    return answer(text("Tool with logging executed successfully"))


async def log_once(call: Call) -> types.CallToolResult:
    """Say one thing in the client's log, where the client wants to hear it."""
    await _log(call, "Tool executed")
    return answer(text("Tool executed successfully"))


async def reconnection(call: Call) -> types.CallToolResult:
    """Close the stream of the answer in the middle: what comes after waits for a client that resumes it."""
    context = call.caller.context
    await _log(call, "Before disconnect")
    if context.close_sse_stream is not None:
        await context.close_sse_stream()
    await call.pause()
    await _log(call, "After reconnect")
    return answer(text("Reconnection test completed"))


async def header(call: Call) -> types.CallToolResult:
    """Say the argument that a header must repeat (SEP-2243)."""
    return answer(text(f"region={call.argument('region')}"))


async def missing_capability(call: Call) -> types.CallToolResult:
    """Insist on a client that samples, and do not ask it to."""
    call.require(ask_model(""))
    return answer(text("Client declared sampling capability; proceeding."))


async def tool_change(call: Call) -> types.CallToolResult:
    """Tell who listens that the tools changed."""
    return await _changed(call, ToolsListChanged(), "tool list changed")


async def prompt_change(call: Call) -> types.CallToolResult:
    """Tell who listens that the prompts changed."""
    return await _changed(call, PromptsListChanged(), "prompt list changed")


async def _changed(call: Call, event: ServerEvent, said: str) -> types.CallToolResult:
    await call.bus.publish(event)
    return answer(text(said))


async def _log(call: Call, said: str) -> None:
    params = types.LoggingMessageNotificationParams(level="info", data=said)
    context = call.caller.context
    await context.session.send_notification(
        types.LoggingMessageNotification(params=params), related_request_id=context.request_id
    )
