"""MCP servers to compare with, each run by an interpreter that has its library.

    mcp_servers.py sdk PORT RESULT          the official SDK's low-level server, without a key
    mcp_servers.py fastmcp PORT RESULT      FastMCP, with a bearer key
    mcp_servers.py proxy PORT URL           FastMCP as a proxy of the server at URL, with a bearer key
    mcp_servers.py upstream PORT            what gateways stand in front of: the SDK's server, and at
                                            GET /count how many requests it had

`sdk` and `fastmcp` have one tool, count_tokens, which answers the JSON in the file RESULT, as text and as
structured content. `upstream` has one tool, echo. All answer plain JSON without sessions.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn

KEY = os.environ.get("KEY", "")


def _sdk(name: str, result: dict[str, Any] | None) -> Any:
    """The low-level server's ASGI application; without a result its tool repeats what it was told."""
    import mcp_types as types
    from mcp.server.lowlevel import Server

    text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    schema: dict[str, Any] = {"type": "object"} if result is not None else text

    async def list_tools(_: Any, __: Any) -> Any:
        return types.ListToolsResult(tools=[types.Tool(name=name, description=name, input_schema=schema)])

    async def call_tool(_: Any, params: Any) -> Any:
        said = result if result is not None else {"text": params.arguments["text"]}
        content = [types.TextContent(type="text", text=json.dumps(said))]
        return types.CallToolResult(content=content, structured_content=said)

    # With the schemas at hand it need not list its tools for every call, to find headers that must match.
    server = Server(
        "bench",
        version="1",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda tool: schema if tool == name else None,
    )
    return server.streamable_http_app(json_response=True, stateless_http=True)


def _fastmcp(result: dict[str, Any]) -> Any:
    from fastmcp import FastMCP
    from fastmcp.server.auth.providers.jwt import StaticTokenVerifier

    server: Any = FastMCP(
        "bench", auth=StaticTokenVerifier(tokens={KEY: {"client_id": "bench", "scopes": []}})
    )

    @server.tool
    async def count_tokens(model: str, messages: list[dict[str, str]]) -> dict[str, Any]:
        """Answer what was given."""
        return result

    return server.http_app(path="/mcp", stateless_http=True, json_response=True)


def _proxy(url: str) -> Any:
    from fastmcp.server import create_proxy
    from fastmcp.server.auth.providers.jwt import StaticTokenVerifier

    auth = StaticTokenVerifier(tokens={KEY: {"client_id": "bench", "scopes": []}})
    proxy: Any = create_proxy(url, name="bench", auth=auth)
    return proxy.http_app(path="/mcp", stateless_http=True, json_response=True)


class Counted:
    """An application whose requests are counted."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._count = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/count":
            body = str(self._count).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
            return
        self._count += scope["type"] == "http"
        await self._app(scope, receive, send)


def main(kind: str, port: str, given: str = "") -> None:
    """Serve until killed."""
    logging.disable(logging.INFO)
    result = json.loads(Path(given).read_text()) if kind in {"sdk", "fastmcp"} else {}
    match kind:
        case "sdk":
            app = _sdk("count_tokens", result)
        case "fastmcp":
            app = _fastmcp(result)
        case "proxy":
            app = _proxy(given)
        case "upstream":
            app = Counted(_sdk("echo", None))
        case _:
            sys.exit(f"no server is called {kind}")
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
