"""N22: no schema makes the gateway fetch anything, or think for long."""

import pytest

from macroslow.mcp.schemas import MAX_STATES, BoundedSchema, UnusableSchemaError

DOUBLING = {
    "$ref": "#/$defs/d0",
    "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}},
}
RECURSIVE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "anyOf": [
                {"properties": {"a": {"$ref": "#/$defs/node"}}},
                {"properties": {"a": {"$ref": "#/$defs/node"}}},
            ]
        }
    },
}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/x"},
        {"properties": {"a": {"$ref": "https://evil.example/s.json"}}},
        {"$ref": "file:///etc/passwd"},
        {"$dynamicRef": "other.json#x"},
        {"$id": "https://evil.example/", "properties": {"a": {"$ref": "s.json"}}},
        {"$defs": {"a": {"$id": "https://evil.example/a"}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
    ],
    ids=range(6),
)
def test_n22_a_reference_that_leads_outside_is_refused_and_never_fetched(schema) -> None:
    with pytest.raises(UnusableSchemaError):
        BoundedSchema(schema)


def test_n22_a_schema_that_doubles_at_every_level_is_refused() -> None:
    with pytest.raises(UnusableSchemaError):
        BoundedSchema(DOUBLING)


def test_n22_a_schema_that_doubles_with_the_depth_of_the_value_is_bounded_by_the_value() -> None:
    value: dict = {}
    for _ in range(60):
        value = {"a": value}
    assert BoundedSchema(RECURSIVE).complaints(value) == [
        "checking this against the schema would take too long"
    ]


@pytest.mark.parametrize(
    "schema", [{"type": 3}, {"pattern": "(?=a)"}, {"pattern": "(a)\\1"}, {"required": "a"}]
)
def test_what_is_no_schema_is_refused(schema) -> None:
    with pytest.raises(UnusableSchemaError):
        BoundedSchema(schema)


def test_complaints_say_where_and_quote_nothing() -> None:
    schema = BoundedSchema({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["b"]})
    told = schema.complaints({"a": "secret-value"})
    assert sorted(told) == ['/: "b" is a required property', '/a: this value is not of type "integer"']


def test_a_schema_of_an_older_dialect_is_read_as_the_current_one() -> None:
    older = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "required": ["a"]}
    assert BoundedSchema(older).complaints({}) == ['/: "a" is a required property']


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(a|b)?" * MAX_STATES},
        {"properties": {f"p{n}": {"pattern": "(a{10}){100}"} for n in range(10)}},
        {"patternProperties": {r"\p{L}" + str(n): {} for n in range(20)}},
    ],
    ids=["long", "many", "names"],
)
def test_n22_regular_expressions_that_take_long_to_make_are_refused_before(schema) -> None:
    with pytest.raises(UnusableSchemaError, match="too large"):
        BoundedSchema(schema)
