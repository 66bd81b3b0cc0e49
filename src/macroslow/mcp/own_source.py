"""The gateway's own tools, as a source: the catalogue, with a handler for each tool."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence

import jsonschema_rs
import mcp_types as types

from macroslow.authn.principal import Principal
from macroslow.authz.decision import require_scope
from macroslow.mcp.catalogue import TOOLS, Tool
from macroslow.mcp.refusals import unfit_call
from macroslow.mcp.source import Caller, Source

Handler = Callable[[Principal, Mapping[str, object]], Awaitable[Mapping[str, object]]]


class OwnSource(Source):
    """The tools of TOOLS that have a handler."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._tools = {tool.name: tool for tool in TOOLS if tool.name in handlers}
        self._validators = {
            name: jsonschema_rs.Draft202012Validator(dict(tool.input_schema))
            for name, tool in self._tools.items()
        }

    async def tools(self, principal: Principal) -> Sequence[types.Tool]:
        return [_shown(tool) for tool in self._tools.values() if tool.scope in principal.scopes]

    def input_schema(self, tool: str) -> Mapping[str, object] | None:
        known = self._tools.get(tool)
        return known.input_schema if known else None

    def scope_of(self, tool: str) -> str | None:
        known = self._tools.get(tool)
        return known.scope if known else None

    async def call_tool(
        self, caller: Caller, params: types.CallToolRequestParams
    ) -> types.CallToolResult | None:
        tool = self._tools.get(params.name)
        if tool is None:
            return None
        require_scope(caller.principal, tool.scope)
        arguments = params.arguments or {}
        complaints = [
            f"/{'/'.join(map(str, error.instance_path))}: {error.message}"[:500]
            for error in self._validators[tool.name].iter_errors(arguments)
        ]
        if complaints:
            return unfit_call(complaints)
        result = await self._handlers[tool.name](caller.principal, arguments)
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
