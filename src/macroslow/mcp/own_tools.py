"""The gateway's own tools as a source: the catalogue, with a handler for each tool.

Arguments are held against the tool's input schema here, since the SDK's low-level server does not; so are
results against its output schema: one that does not fit is a defect, and no client sees it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import jsonschema_rs
import mcp_types as types
import orjson

from macroslow.authn.principal import Principal
from macroslow.authz.decision import require_scope
from macroslow.mcp.ask import Ask, Handler, Tell
from macroslow.mcp.catalogue import TOOLS
from macroslow.mcp.refusals import unfit_call
from macroslow.mcp.schemas import MAX_COMPLAINTS
from macroslow.mcp.source import Caller, Context, Source
from macroslow.mcp.tools.tool import Tool

MAX_COMPLAINT_CHARACTERS: Final = 500


class UnfitResultError(Exception):
    """A tool's result does not fit its output schema."""


class OwnTools(Source):
    """The tools of TOOLS that have a handler."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._tools = {
            tool.name: _Served(tool, handlers[tool.name]) for tool in TOOLS if tool.name in handlers
        }

    async def tools(self, principal: Principal) -> Sequence[types.Tool]:
        return [one.shown for one in self._tools.values() if one.tool.scope in principal.scopes]

    def scope_of(self, tool: str) -> str | None:
        served = self._tools.get(tool)
        return served.tool.scope if served else None

    async def call_tool(
        self, caller: Caller, params: types.CallToolRequestParams
    ) -> types.CallToolResult | None:
        served = self._tools.get(params.name)
        if served is None:
            return None
        require_scope(caller.principal, served.tool.scope)
        arguments = params.arguments or {}
        if complaints := served.complaints(arguments):
            return unfit_call(complaints)
        return await served.call(Ask(caller.principal, caller.request_id, arguments, _tell(caller.context)))


class _Served:
    """A tool with all that is made of it once."""

    def __init__(self, tool: Tool, handler: Handler) -> None:
        self.tool = tool
        self.shown = _shown(tool)
        self._handler = handler
        self._arguments = jsonschema_rs.Draft202012Validator(dict(tool.input_schema))
        self._results = jsonschema_rs.Draft202012Validator(dict(tool.output_schema))

    def complaints(self, arguments: Mapping[str, object]) -> list[str]:
        """What is wrong with the arguments, in a bounded number of bounded lines."""
        if self._arguments.is_valid(arguments):
            return []
        found = zip(range(MAX_COMPLAINTS), self._arguments.iter_errors(arguments), strict=False)
        return [
            f"/{'/'.join(map(str, error.instance_path))}: {error.message}"[:MAX_COMPLAINT_CHARACTERS]
            for _, error in found
        ]

    async def call(self, ask: Ask) -> types.CallToolResult:
        """The result as data, and the same as text for clients of older versions."""
        result = dict(await self._handler(ask))
        if not self._results.is_valid(result):
            raise UnfitResultError
        text = types.TextContent(type="text", text=orjson.dumps(result).decode())
        return types.CallToolResult(content=[text], structured_content=result)


def _tell(context: Context) -> Tell | None:
    """How to tell the caller of progress, if he asked for it."""
    if context.meta is None or "progress_token" not in context.meta:
        return None
    return context.session.report_progress


def _shown(tool: Tool) -> types.Tool:
    effect = tool.effect
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=dict(tool.input_schema),
        output_schema=dict(tool.output_schema),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=effect.read_only,
            destructive_hint=effect.destructive,
            idempotent_hint=effect.idempotent,
            open_world_hint=effect.open_world,
        ),
    )
