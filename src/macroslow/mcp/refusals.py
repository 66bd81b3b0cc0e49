"""Refusals in words that a model can act on: what is wrong, where, and how to mend it.

A refused call of a tool is a result (`isError`), so that the model sees it; whatever else is refused is an
error of JSON-RPC.
"""

from collections.abc import Sequence

import mcp_types as types
from mcp.shared.exceptions import MCPError

from macroslow.errors import BadRequestError, MacroslowError, NotFoundError, Problem, ProblemsError
from macroslow.mcp.schemas import MAX_COMPLAINTS


def refused_call(error: MacroslowError) -> types.CallToolResult:
    """The result of a call of a tool that was refused."""
    return failed_call("\n".join(_lines(error)))


def failed_call(text: str) -> types.CallToolResult:
    """The result of a call that did not do what it should."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)


def unfit_call(complaints: Sequence[str]) -> types.CallToolResult:
    """The result of a call whose arguments do not fit."""
    told = ["the arguments do not fit the tool's input schema", *complaints[:MAX_COMPLAINTS]]
    return failed_call("\n".join(told))


def refused_request(error: MacroslowError) -> MCPError:
    """The JSON-RPC error of anything else that was refused."""
    theirs = isinstance(error, BadRequestError | NotFoundError)
    code = types.INVALID_PARAMS if theirs else types.INTERNAL_ERROR
    return MCPError(code, "\n".join(_lines(error)), {"type": error.code})


def _lines(error: MacroslowError) -> list[str]:
    problems = error.problems if isinstance(error, ProblemsError) else ()
    lines = [f"{error.title}: {error.detail}", *map(_line, problems[:MAX_COMPLAINTS])]
    return [*lines, f"fix: {error.fix}"] if error.fix else lines


def _line(problem: Problem) -> str:
    where = "" if problem.line is None else f"line {problem.line}"
    said = ": ".join(part for part in (where, problem.field, problem.message) if part)
    return f"{said} (fix: {problem.fix})" if problem.fix else said
