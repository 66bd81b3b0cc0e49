"""A real MCP server, made with the official SDK, on a port of its own. It counts what it was asked."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server

TOOLS = [
    types.Tool(
        name="add",
        title="Add",
        description="Adds two numbers.",
        input_schema={
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
        output_schema={
            "type": "object",
            "properties": {"sum": {"type": "integer"}},
            "required": ["sum"],
        },
    ),
    types.Tool(name="slow", description="Reports progress.", input_schema={"type": "object"}),
]


class Real:
    """What the server offers, which a test may change while it runs, and the requests that came."""

    def __init__(self) -> None:
        self.tools = list(TOOLS)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.bodies = bytearray()
        self.version = "1.0"
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def server(self) -> Server:
        return Server(
            "real",
            version=self.version,
            on_list_tools=self._list,
            on_call_tool=self._call,
            on_list_prompts=self._prompts,
            on_get_prompt=self._prompt,
            on_list_resources=self._resources,
            on_read_resource=self._read,
        )

    async def _list(self, context, params):
        return types.ListToolsResult(tools=self.tools)

    async def _call(self, context, params):
        if params.name == "slow":
            for done in (1, 2, 3):
                await context.session.report_progress(done, 3, f"step {done}")
            return types.CallToolResult(content=[types.TextContent(type="text", text="done")])
        found = {"sum": params.arguments["a"] + params.arguments["b"]}
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=str(found["sum"]))], structured_content=found
        )

    async def _prompts(self, context, params):
        return types.ListPromptsResult(
            prompts=[types.Prompt(name="greet", arguments=[types.PromptArgument(name="who", required=True)])]
        )

    async def _prompt(self, context, params):
        said = types.TextContent(type="text", text=f"Greet {params.arguments['who']}.")
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=said)])

    async def _resources(self, context, params):
        return types.ListResourcesResult(
            resources=[types.Resource(uri="file:///notes.txt", name="notes", mime_type="text/plain")]
        )

    async def _read(self, context, params):
        found = types.TextResourceContents(uri=params.uri, mime_type="text/plain", text="noted")
        return types.ReadResourceResult(contents=[found])

    def app(self, *, modern: bool, sessions: bool):
        inner = self.server().streamable_http_app(json_response=not sessions, stateless_http=not sessions)

        async def counting(scope, receive, send):
            if scope["type"] == "http":
                headers = {name.decode().lower(): told.decode() for name, told in scope["headers"]}
                self.requests.append((scope["method"], headers))
                if not modern and headers.get("mcp-protocol-version") == "2026-07-28":
                    await send({"type": "http.response.start", "status": 400, "headers": []})
                    await send({"type": "http.response.body", "body": b"Bad Request: unsupported version"})
                    return

            async def received():
                message = await receive()
                self.bodies.extend(message.get("body", b""))
                return message

            await inner(scope, received, send)

        return counting


@asynccontextmanager
async def serving(
    real: Real | None = None, *, modern: bool = True, sessions: bool = False
) -> AsyncIterator[Real]:
    """The server, while the context lasts. `modern` False: as one that knows only the handshake."""
    real = real or Real()
    bound = socket.create_server(("127.0.0.1", real.port))
    real.port = bound.getsockname()[1]
    config = uvicorn.Config(
        real.app(modern=modern, sessions=sessions), log_level="critical", lifespan="on", ws="none"
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    task = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started:
        await asyncio.sleep(0)
    try:
        yield real
    finally:
        server.should_exit = server.force_exit = True
        await task
