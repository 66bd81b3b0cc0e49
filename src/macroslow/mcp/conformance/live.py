"""Tools that ask the client in the middle of a call: until 2025-11-25, a request from server to client.

The question goes out on the stream of the call's own answer. On the later protocol there is no such request:
see `rounds`.
"""

import json

import mcp_types as types
from mcp.shared.message import ServerMessageMetadata

from macroslow.mcp.conformance.calls import Call, ask_model, ask_user
from macroslow.mcp.conformance.contents import answer, text
from macroslow.mcp.conformance.schemas import DEFAULTS, ENUMS, STRING, Schema, form


async def sampling(call: Call) -> types.CallToolResult:
    """Ask the client's model what the argument says."""
    request = ask_model(call.argument("prompt"))
    call.require(request)
    said = await call.caller.context.session.send_request(
        request, types.CreateMessageResult, metadata=_on_its_stream(call)
    )
    response = said.content.text if isinstance(said.content, types.TextContent) else "No response"
    return answer(text(f"LLM response: {response}"))


async def elicitation(call: Call) -> types.CallToolResult:
    """Ask the user what the argument says."""
    return await _elicit(call, call.argument("message"), form(response=STRING), "User response")


async def defaults(call: Call) -> types.CallToolResult:
    """Ask the user with a form in which everything has a default."""
    return await _elicit(call, "Please provide user information", DEFAULTS, "Elicitation result")


async def enums(call: Call) -> types.CallToolResult:
    """Ask the user to choose."""
    said = "Please select values using different enum schema types"
    return await _elicit(call, said, ENUMS, "Elicitation completed")


async def _elicit(call: Call, message: str, schema: Schema, outcome: str) -> types.CallToolResult:
    request = ask_user(message, schema)
    call.require(request)
    result = await call.caller.context.session.send_request(
        request, types.ElicitResult, metadata=_on_its_stream(call)
    )
    content = json.dumps(result.content if result.action == "accept" and result.content else {})
    return answer(text(f"{outcome}: action={result.action}, content={content}"))


def _on_its_stream(call: Call) -> ServerMessageMetadata:
    return ServerMessageMetadata(related_request_id=call.caller.context.request_id)
