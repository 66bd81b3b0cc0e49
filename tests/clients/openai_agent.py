"""An agent of OpenAI's framework whose model is a script: it calls one tool of a gateway, and says what came.

MCP_URL and MACROSLOW_API_KEY say where and who; or MCP_COMMAND, in JSON, is what it starts.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Runner, set_tracing_disabled
from agents.items import ModelResponse
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from agents.models.interface import Model
from agents.usage import Usage
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

CALL = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Answer with exactly: forty-two"}],
}


class Script(Model):
    """Calls complete_chat at first, then repeats its result."""

    async def get_response(self, *asked: Any, **named: Any) -> ModelResponse:
        items = named.get("input", asked[1] if len(asked) > 1 else None)
        outputs = [
            each for each in items if isinstance(each, dict) and each.get("type") == "function_call_output"
        ]
        return ModelResponse(output=[self._said(outputs)], usage=Usage(), response_id=None)

    def _said(self, outputs: list[Any]) -> Any:
        if not outputs:
            return ResponseFunctionToolCall(
                type="function_call", name="complete_chat", call_id="1", arguments=json.dumps(CALL)
            )
        text = ResponseOutputText(type="output_text", text=json.dumps(outputs[0]["output"]), annotations=[])
        return ResponseOutputMessage(
            type="message", id="1", role="assistant", status="completed", content=[text]
        )

    def stream_response(self, *asked: Any, **named: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def server() -> MCPServerStdio | MCPServerStreamableHttp:
    if "MCP_COMMAND" in os.environ:
        command, *arguments = json.loads(os.environ["MCP_COMMAND"])
        params: Any = {"command": command, "args": arguments, "env": dict(os.environ)}
        return MCPServerStdio(params=params, client_session_timeout_seconds=60)
    bearer = {"Authorization": f"Bearer {os.environ['MACROSLOW_API_KEY']}"}
    return MCPServerStreamableHttp(
        params={"url": os.environ["MCP_URL"], "headers": bearer}, client_session_timeout_seconds=60
    )


async def main() -> None:
    set_tracing_disabled(True)
    async with server() as gateway:
        agent = Agent(name="test", model=Script(), mcp_servers=[gateway])
        print((await Runner.run(agent, "go")).final_output)


asyncio.run(main())
