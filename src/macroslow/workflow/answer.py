"""The answer of a run: what the code did, concluded and put into the shape that callers see.

Everything that comes out of the sandbox was written by the document's code. It is parsed with caps
and must be JSON that any reader understands alike (RFC 8785: finite numbers, integers within
plus or minus 2**53, no member twice), or the run fails and says why.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.crypto import strict_json
from macroslow.errors import ProblemsError
from macroslow.metering.ledger import UsageRow
from macroslow.workflow.sandbox import BlockOutcome, BlockStatus, Outcome

MAX_RESULT_BYTES: Final = 16 * 1024 * 1024  # the sandbox bounds it further; this bounds the parser
MAX_RESULT_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a run ended for its caller: `error` is empty exactly if `success`."""

    success: bool
    result: object
    error: str = ""


def conclude(outcome: Outcome, check_result: Callable[[object], None]) -> Conclusion:
    """Decide success or failure; `check_result` raises ProblemsError if Output_Schema is not met."""
    for block in outcome.blocks:
        if block.status not in {BlockStatus.OK, BlockStatus.SKIPPED}:
            return Conclusion(False, None, block.error or f"block {block.name!r} ended with {block.status}")
    try:
        result = parse_result(outcome.result_json)
        check_result(result)
    except ValueError as error:
        return Conclusion(False, None, f"the result is not usable: {error}")
    except ProblemsError as error:
        return Conclusion(False, None, "; ".join([error.detail, *(p.message for p in error.problems)]))
    return Conclusion(True, result)


def parse_result(result_json: bytes | None) -> object:
    """Return the document's result; None where it has none. ValueError says what is wrong with it."""
    if result_json is None:
        return None
    value = strict_json.parse(
        result_json, limit_bytes=MAX_RESULT_BYTES, max_depth=MAX_RESULT_DEPTH, floats=True
    )
    _check_numbers(value)
    return value


def _check_numbers(value: object) -> None:
    match value:
        case int() if abs(value) > strict_json.MAX_SAFE_INTEGER:
            raise ValueError("it has an integer beyond 2**53, which readers of JSON round: use a string")
        case float() if not math.isfinite(value):
            raise ValueError("it has a number larger than JSON's readers hold")
        case dict():
            for member in value.values():
                _check_numbers(member)
        case list():
            for member in value:
                _check_numbers(member)
        case _:
            return


def outputs(blocks: Sequence[BlockOutcome]) -> list[dict[str, object]]:
    """One object a block, with the limit and its measured peak only where one was hit."""
    return [_output(block) for block in blocks]


def _output(block: BlockOutcome) -> dict[str, object]:
    shown: dict[str, object] = {
        "language": block.language,
        "name": block.name,
        "status": block.status.value,
        "exit_code": block.exit_code,
        "stdout": block.stdout,
        "stderr": block.stderr,
        "duration_ms": block.duration_ms,
    }
    if block.error:
        shown["error"] = block.error
    if block.limit:
        shown["limit"], shown["peak"] = block.limit, block.peak
    return shown


def usage(rows: Sequence[UsageRow]) -> dict[str, object]:
    """Sum of all model calls of a run, and each model's part."""
    return {
        "input_tokens": sum(row.input_tokens for row in rows),
        "output_tokens": sum(row.output_tokens for row in rows),
        "usd_micros": sum(row.usd_micros for row in rows),
        "by_model": {
            row.key: {
                "calls": row.calls,
                "input_tokens": row.input_tokens,
                "output_tokens": row.output_tokens,
                "usd_micros": row.usd_micros,
            }
            for row in rows
        },
    }


def finished_fields(answer: Mapping[str, object]) -> dict[str, object]:
    """The facts of an answer that its log entry states, in the log's restricted profile."""
    used = answer["usage"]
    assert isinstance(used, Mapping)  # noqa: S101 (made by `usage` above)
    return {
        "run_id": answer["run_id"],
        "status": answer["status"],
        "signer": answer["signer"],
        "sandbox": answer["sandbox"],
        "input_tokens": used["input_tokens"],
        "output_tokens": used["output_tokens"],
        "usd_micros": used["usd_micros"],
        "duration_ms": answer["duration_ms"],
    }
