"""Input_Schema and Output_Schema: JSON Schema 2020-12, checked when the document is read, bounded when used.

Nothing is ever fetched: references stay within the document. Regular expressions run in linear time.
A schema is refused, with its line, if it is no valid 2020-12 schema or would cost too much (see
`maml.schema_cost`). `format` is an annotation, as section 7.2.1 of the validation vocabulary says by default.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from macroslow.errors import Problem
from macroslow.maml.body import Body, of_section
from macroslow.maml.complaints import MAX_LISTED, Complaints
from macroslow.maml.document import Schema, Section
from macroslow.maml.json_text import JSONTextError, Located, Path, read_json
from macroslow.maml.schema_cost import Graph, SchemaError

MAX_DEPTH: Final = 64
MAX_NODES: Final = 10_000
MAX_EXPLAINED_COST: Final = 20_000
"""Above this only the verdict is given: explanations take some 20 µs and 1 KiB for each evaluation."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_META: Final = jsonschema_rs.Draft202012Validator({"$ref": _DIALECT}, offline=True)
_FENCE_LANGUAGES: Final = {"", "json", "jsonschema", "json-schema", "schema"}
_EXAMPLE: Final = '{"type": "object", "properties": {"name": {"type": "string"}}}'


def read_schema(body: Body, name: str, complaints: Complaints) -> Schema | None:
    """The schema under the section of that name, if there is one and it can be used."""
    section = next((section for section in body.sections if section.name == name), None)
    found = _schema_text(body, section, complaints) if section else None
    if found is None:
        return None
    text, first_line = found
    try:
        located = read_json(text, first_line=first_line, max_depth=MAX_DEPTH, max_nodes=MAX_NODES)
    except JSONTextError as error:
        problem = error.problem
        complaints.refuse(problem.message, problem.fix, problem.line, name)
        return None
    return _checked(located, first_line, name, complaints)


def _schema_text(body: Body, section: Section, complaints: Complaints) -> tuple[str, int] | None:
    """The fenced block under the heading, or all that stands there; with its first line."""
    fences = list(of_section(body, section.name))
    if len(fences) > 1:
        complaints.refuse("more than one fenced block", "keep one schema", fences[1].line, section.name)
        return None
    if fences:
        language = fences[0].info.partition(" ")[0].lower()
        if language not in _FENCE_LANGUAGES:
            message = f"the schema is not JSON but {language[:32]!r}"
            complaints.refuse(message, "write it as ```json", fences[0].line, section.name)
            return None
        return fences[0].text, fences[0].line + 1
    if not section.text.lstrip().startswith(("{", "true", "false")):
        fix = f"for example: {_EXAMPLE}"
        complaints.refuse("no JSON Schema under the heading", fix, section.line, section.name)
        return None
    return section.text, section.line + 1


def _checked(located: Located, first_line: int, name: str, complaints: Complaints) -> Schema | None:
    value = located.value
    if not isinstance(value, dict | bool):
        complaints.refuse("a schema is a JSON object", f"for example: {_EXAMPLE}", first_line, name)
        return None
    problems = list(_schema_problems(value)) if isinstance(value, dict) else []
    for message, fix, path in problems:
        line = _line(located.lines, path) or first_line
        complaints.refuse(message, fix, line, ".".join([name, *map(str, path)])[:200])
    if name == "Input_Schema" and not _takes_an_object(value):
        complaints.refuse("inputs are an object", 'write "type": "object"', first_line, name)
        return None
    return None if problems else Schema(value, first_line, located.lines)


def _takes_an_object(value: Mapping[str, object] | bool) -> bool:
    kind = value.get("type", "object") if isinstance(value, dict) else "object"
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _schema_problems(value: dict[str, Any]) -> list[tuple[str, str, Path]]:
    """What is wrong with a schema: message, repair and path of each. Later checks need the earlier ones."""
    dialect = value.get("$schema", _DIALECT)
    if not isinstance(dialect, str) or dialect.rstrip("#") != _DIALECT:
        return [("schemas are JSON Schema 2020-12", f'"$schema": "{_DIALECT}"', ("$schema",))]
    errors = list(islice(_META.iter_errors(value), MAX_LISTED))
    if errors:
        return [(_told(error), "see JSON Schema 2020-12", tuple(error.instance_path)) for error in errors]
    try:
        graph = Graph(value)
        nested = [path for schema, path in graph.paths.items() if path and "$id" in graph.schemas[schema]]
    except SchemaError as error:
        return [(error.message, error.fix, error.path)]
    if nested:
        return [("$id below the root is not read", "use $defs and $anchor", (*nested[0], "$id"))]
    try:
        _compile(value)
    except jsonschema_rs.ValidationError as error:
        fix = "patterns must be small, without look-around or back-references"
        return [("this cannot be used as a schema", fix, tuple(error.instance_path))]
    return []


def _compile(value: Mapping[str, object]) -> jsonschema_rs.Draft202012Validator:
    # `mask`: what a caller sent must not travel in messages, which end in logs.
    return jsonschema_rs.Draft202012Validator(
        dict(value),
        offline=True,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 18, dfa_size_limit=1 << 18),
        mask="this value",
    )


def apply_schema(schema: Schema, value: object, *, what: str) -> tuple[Problem, ...]:
    """Everything in which `value` does not fit; `what` is the word for it ("inputs", "result")."""
    if isinstance(schema.value, bool):
        refused = Problem(f"the schema allows no {what}", "replace false by a schema", schema.line)
        return () if schema.value else (refused,)
    try:
        cost = Graph(schema.value).cost(value)
    except SchemaError as error:
        return (Problem(error.message, error.fix, field=what),)
    validator = _compile(schema.value)
    if validator.is_valid(value):
        return ()
    if cost > MAX_EXPLAINED_COST:
        return (Problem(f"{what} does not fit the schema, and is too large to say where", field=what),)
    return tuple(_problem(error, what) for error in islice(validator.iter_errors(value), MAX_LISTED))


def _problem(error: jsonschema_rs.ValidationError, what: str) -> Problem:
    place = ".".join([what, *map(str, error.instance_path)])[:200]
    rule = "/".join(map(str, error.schema_path))[:200]
    return Problem(_told(error), f"see the schema at {rule}", field=place)


def _told(error: Exception) -> str:
    text = getattr(error, "message", "") or str(error)
    return text if len(text) <= 300 else text[:300] + "…"


def _line(lines: Mapping[Path, int], path: Path) -> int | None:
    """The line of `path`, or of the nearest thing around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)
