"""Our tools on the official SDK's low-level server: listed by scope, validated, answered as data.

The SDK speaks both eras of the protocol (2026-07-28 and the handshake versions before it); the
transport and authentication are the gate's. Arguments are checked here, since the low-level server
does not. Nothing is keyed by session or connection: every call carries its principal.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import jsonschema_rs
import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from macroslow.authn.principal import Principal
from macroslow.errors import MacroslowError, Problem, ProblemsError
from macroslow.mcp.catalogue import TOOLS, Tool

MAX_COMPLAINTS: Final = 20  # a model mends what it reads; more would only cost it context

Handler = Callable[[Principal, Mapping[str, object]], Awaitable[Mapping[str, object]]]
PrincipalOf = Callable[[ServerRequestContext], Principal]


class ToolServer:
    """The tools of TOOLS that have a handler, for whoever may use them."""

    def __init__(self, handlers: Mapping[str, Handler], principal_of: PrincipalOf) -> None:
        self._handlers = handlers
        self._principal_of = principal_of
        self._tools = {tool.name: tool for tool in TOOLS if tool.name in handlers}
        self._validators = {
            name: jsonschema_rs.Draft202012Validator(dict(tool.input_schema))
            for name, tool in self._tools.items()
        }

    def build(self, name: str, version: str) -> Server:
        """Return the SDK's server over these tools."""
        return Server(
            name,
            version=version,
            title="Macroslow",
            instructions="Models under a budget, workflow documents in a sandbox, proof of what happened.",
            cache_hints={"tools/list": CacheHint(ttl_ms=60_000, scope="private")},
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    def _input_schema(self, name: str) -> Mapping[str, object] | None:
        tool = self._tools.get(name)
        return tool.input_schema if tool else None

    async def _list(
        self, context: ServerRequestContext, _: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        allowed = self._principal_of(context).scopes
        return types.ListToolsResult(tools=[_shown(t) for t in self._tools.values() if t.scope in allowed])

    async def _call(
        self, context: ServerRequestContext, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        principal = self._principal_of(context)
        tool = self._tools.get(params.name)
        if tool is None or tool.scope not in principal.scopes:
            raise MCPError(types.INVALID_PARAMS, f"unknown tool: {params.name[:100]}")
        arguments = params.arguments or {}
        complaints = [
            f"/{'/'.join(map(str, error.instance_path))}: {error.message}"[:500]
            for error in self._validators[tool.name].iter_errors(arguments)
        ]
        if complaints:
            return _failure("the arguments do not fit the tool's input schema", complaints[:MAX_COMPLAINTS])
        try:
            result = await self._handlers[tool.name](principal, arguments)
        except MacroslowError as error:
            return _refusal(error)
        text = types.TextContent(type="text", text=json.dumps(result, ensure_ascii=False))
        return types.CallToolResult(content=[text], structured_content=dict(result))


def _shown(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=dict(tool.input_schema),
        output_schema=dict(tool.output_schema),
        annotations=types.ToolAnnotations(
            read_only_hint=not tool.writes, destructive_hint=False, idempotent_hint=not tool.writes
        ),
    )


def _refusal(error: MacroslowError) -> types.CallToolResult:
    problems = error.problems if isinstance(error, ProblemsError) else ()
    lines = [_line(problem) for problem in problems[:MAX_COMPLAINTS]]
    if error.fix:
        lines.append(f"fix: {error.fix}")
    return _failure(f"{error.title}: {error.detail}", lines)


def _line(problem: Problem) -> str:
    where = "" if problem.line is None else f"line {problem.line}"
    said = ": ".join(part for part in (where, problem.field, problem.message) if part)
    return f"{said} (fix: {problem.fix})" if problem.fix else said


def _failure(message: str, lines: list[str]) -> types.CallToolResult:
    text = types.TextContent(type="text", text="\n".join([message, *lines]))
    return types.CallToolResult(content=[text], is_error=True)
