"""Inputs against Input_Schema, a result against Output_Schema.

Both come from outside: inputs from whoever asks for a run, a result from the document's code. Each is
measured before it is checked, so that no schema and value together take long.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Final

from macroslow.errors import InvalidDocumentError, InvalidInputsError, Problem
from macroslow.maml.complaints import did_you_mean, listed, quoted
from macroslow.maml.document import Parsed, Schema
from macroslow.maml.schema import apply_schema

MAX_DEPTH: Final = 64
MAX_NODES: Final = 500_000


def check_inputs(parsed: Parsed, inputs: Mapping[str, object], *, signed: bool) -> dict[str, object]:
    """The inputs to run with: `inputs`, and the schema's defaults where nothing was given.

    A signed document takes only inputs that its schema names, because its signer vouches for what it
    reads. Raises InvalidInputsError with all problems.
    """
    problems = [*_not_json(dict(inputs), "inputs")]
    schema = parsed.input_schema
    if signed and not problems:
        problems += _unnamed(schema, inputs)
    filled = dict(inputs)
    if schema is not None and not problems:
        filled = _with_defaults(schema.value, inputs)
        problems += apply_schema(schema, filled, what="inputs")
    if problems:
        fix = "mend each input named"
        raise InvalidInputsError(
            "the inputs do not fit the document", listed(problems), fix=fix, step="inputs"
        )
    return filled


def check_result(parsed: Parsed, value: object) -> None:
    """Check what the document's code returned; InvalidDocumentError if it is not what its author promised."""
    problems = [*_not_json(value, "result")]
    if parsed.output_schema is not None and not problems:
        problems += apply_schema(parsed.output_schema, value, what="result")
    if problems:
        detail, fix = "the result does not fit Output_Schema", "mend the code or the schema"
        raise InvalidDocumentError(detail, listed(problems), fix=fix, step="result")


def _unnamed(schema: Schema | None, inputs: Mapping[str, object]) -> Iterator[Problem]:
    names = _named(schema.value) if schema else set()
    for name in inputs:
        if name not in names:
            fix = did_you_mean(name, names, "leave it out, or have it named in Input_Schema and signed anew")
            message = f"the signed document does not name the input {quoted(name)}"
            yield Problem(message, fix, schema.line if schema else None, f"inputs.{name[:64]}")


def _named(value: object) -> set[str]:
    """Property names at the root: those of the schema itself and of `allOf`."""
    if not isinstance(value, Mapping):
        return set()
    names = set(_mapping(value.get("properties")))
    parts = value.get("allOf")
    for part in parts if isinstance(parts, list) else []:
        names |= _named(part)
    return names


def _with_defaults(schema: object, value: Mapping[str, object]) -> dict[str, object]:
    """`value` and the defaults along `properties`; not through references or lists.

    So each part of the schema is used once at most, and the result is no larger than both together.
    """
    filled = dict(value)
    properties = _mapping(_mapping(schema).get("properties"))
    for name, below in properties.items():
        present = filled.get(name)
        if isinstance(present, Mapping):
            filled[name] = _with_defaults(below, present)
        elif name not in filled and "default" in _mapping(below):
            filled[name] = _mapping(below)["default"]
    return filled


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _not_json(value: object, what: str) -> Iterator[Problem]:
    """The first reason why `value` is not JSON of a bearable size."""
    level: list[object] = [value]
    nodes = 0
    for _ in range(MAX_DEPTH):
        nodes += len(level)
        below: list[object] = []
        for node in level:
            if isinstance(node, dict):
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
            elif reason := _not_scalar(node):
                yield Problem(reason, "send JSON", field=what)
                return
        if not below:
            return
        if nodes + len(below) > MAX_NODES:
            yield Problem(f"{what} has more than {MAX_NODES} values", "send less at once", field=what)
            return
        level = below
    yield Problem(f"{what} is nested deeper than {MAX_DEPTH}", "make it flatter", field=what)


def _not_scalar(node: object) -> str:
    if isinstance(node, float) and not math.isfinite(node):
        return "a number is not finite"
    return "" if node is None or isinstance(node, str | int | float) else "a value is not JSON"
