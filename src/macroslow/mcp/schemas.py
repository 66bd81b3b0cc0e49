"""JSON Schemas of others: usable only if checking against them is bounded and nothing has to be fetched.

A schema of any dialect is read as 2020-12, where its `$schema` and `$id` say nothing; one that cannot be read
so is refused. References lead into the schema itself. Regular expressions run in linear time.

Source: JSON Schema 2020-12; MCP 2026-07-28, "Basic", on references and composition.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from macroslow.maml.pattern_cost import states
from macroslow.maml.schema_cost import Graph, SchemaError

MAX_STATES: Final = 5_000  # of all its regular expressions; as many characters
MAX_EXPLAINED_COST: Final = 20_000
MAX_COMPLAINT: Final = 300  # characters
MAX_COMPLAINTS: Final = 20  # a model mends what it reads; more would only cost it context
_ASIDE: Final = ("$schema", "$id")


class UnusableSchemaError(Exception):
    """The schema cannot be used, and why."""


class BoundedSchema:
    """A schema that was looked through once and can be used many times.

    `units`: what looking through it took, about 10 microseconds each.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raise UnusableSchemaError. The schema is no larger than what is read of a server at all."""
        patterns = _states_of(schema)
        told = {key: member for key, member in schema.items() if key not in _ASIDE}
        try:
            self._graph = Graph(told)
            self._validator = jsonschema_rs.Draft202012Validator(
                told,
                offline=True,
                pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 18, dfa_size_limit=1 << 18),
                mask="this value",
            )
        except SchemaError as error:
            raise UnusableSchemaError(error.message) from None
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError):
            raise UnusableSchemaError("no schema of JSON Schema 2020-12") from None
        if any("$id" in each for each in self._graph.schemas.values()):
            raise UnusableSchemaError("$id below the root is not read")
        self.units = patterns + sum(map(len, self._graph.closures.values()))

    def complaints(self, value: object) -> list[str]:
        """Everything in which `value` does not fit; bounded in time and number. No value is quoted."""
        try:
            cost = self._graph.cost(value)
        except SchemaError as error:
            return [error.message]
        if self._validator.is_valid(value):
            return []
        if cost > MAX_EXPLAINED_COST:
            return ["it does not fit the schema, and is too large to say where"]
        return [_told(error) for error in islice(self._validator.iter_errors(value), MAX_COMPLAINTS)]


def _states_of(schema: Mapping[str, Any]) -> int:
    """The states of all its regular expressions; UnusableSchemaError for more than MAX_STATES."""
    patterns = list(_patterns(schema))
    if sum(map(len, patterns)) > MAX_STATES or (total := sum(map(states, patterns))) > MAX_STATES:
        raise UnusableSchemaError("its regular expressions are too large")
    return total


def _patterns(root: Mapping[str, Any]) -> Iterator[str]:
    """Everything in it that can be a regular expression."""
    pending: list[Any] = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if isinstance(pattern := node.get("pattern"), str):
                yield pattern
            if isinstance(named := node.get("patternProperties"), dict):
                yield from named
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _told(error: jsonschema_rs.ValidationError) -> str:
    place = "/".join(map(str, error.instance_path))
    return f"/{place}: {error.message}"[:MAX_COMPLAINT]
