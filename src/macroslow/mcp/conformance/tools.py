"""The table of the fixtures' tools: what each takes, and what runs."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import mcp_types as types

from macroslow.mcp.conformance import live, plain
from macroslow.mcp.conformance.calls import Call
from macroslow.mcp.conformance.contents import answer, text
from macroslow.mcp.conformance.rounds import DIALOGUES, Dialogue
from macroslow.mcp.conformance.schemas import JSON_SCHEMA_2020_12, NOTHING, STRING, Schema, form

Result = types.CallToolResult | types.InputRequiredResult
Run = Callable[[Call], Awaitable[Result]]


async def _answered(result: types.CallToolResult, _: Call) -> Result:
    return result


async def _in_rounds(dialogue: Dialogue, call: Call) -> Result:
    concluded = dialogue.next(call)
    return answer(text(concluded)) if isinstance(concluded, str) else concluded


async def _streamed(call: Call) -> Result:
    """Report progress, then ask: on a stream there is no request of the server, only this result."""
    await call.caller.context.session.report_progress(0, 1, "Asking")
    return await _in_rounds(DIALOGUES["test_input_required_result_elicitation"], call)


RUNS: Final[Mapping[str, Run]] = {
    **{name: partial(_answered, result) for name, result in plain.ANSWERS.items()},
    "test_tool_with_progress": plain.progress,
    "test_tool_with_logging": plain.logging,
    "test_logging_tool": plain.log_once,
    "test_reconnection": plain.reconnection,
    "test_x_mcp_header": plain.header,
    "test_missing_capability": plain.missing_capability,
    "test_trigger_tool_change": plain.tool_change,
    "test_trigger_prompt_change": plain.prompt_change,
    "test_sampling": live.sampling,
    "test_elicitation": live.elicitation,
    "test_elicitation_sep1034_defaults": live.defaults,
    "test_elicitation_sep1330_enums": live.enums,
    "test_streaming_elicitation": _streamed,
    **{name: partial(_in_rounds, dialogue) for name, dialogue in DIALOGUES.items()},
}

_TAKES: Final[Mapping[str, Schema]] = {
    "json_schema_2020_12_tool": JSON_SCHEMA_2020_12,
    "test_x_mcp_header": {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    },
    "test_sampling": form(prompt=STRING),
    "test_elicitation": form(message=STRING),
}
"""Those that take arguments."""

TOOLS: Final[Mapping[str, types.Tool]] = {
    name: types.Tool(
        name=name,
        description=f"A fixture of the conformance suites: {name.removeprefix('test_').replace('_', ' ')}",
        input_schema=dict(_TAKES.get(name, NOTHING)),
    )
    for name in RUNS
}
