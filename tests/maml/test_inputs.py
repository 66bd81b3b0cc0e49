"""Inputs and results against schemas: defaults, refusals, and bounded time whatever schema and value say."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.maml.samples import read

from macroslow.errors import InvalidDocumentError, InvalidInputsError
from macroslow.maml.document import Parsed
from macroslow.maml.inputs import check_inputs, check_result
from macroslow.maml.pattern_cost import states
from macroslow.maml.schema_cost import Graph


def with_schema(schema: object, section: str = "Input_Schema") -> Parsed:
    return read(body=f"## {section}\n{json.dumps(schema)}\n")


NAMED = with_schema(
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "default": "world"},
            "options": {"type": "object", "properties": {"depth": {"type": "integer", "default": 3}}},
        },
    }
)


def refusal(parsed: Parsed, inputs: dict[str, Any], *, signed: bool = False) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInputsError) as caught:
        check_inputs(parsed, inputs, signed=signed)
    assert caught.value.step == "inputs"
    return [(problem.field, problem.message) for problem in caught.value.problems]


def test_defaults_fill_what_was_not_given_and_never_what_was() -> None:
    assert check_inputs(NAMED, {}, signed=True) == {"name": "world"}
    given_inputs = {"name": "x", "options": {}}
    assert check_inputs(NAMED, given_inputs, signed=True) == {"name": "x", "options": {"depth": 3}}
    assert given_inputs == {"name": "x", "options": {}}


def test_a_default_that_does_not_fit_its_schema_is_refused_like_any_input() -> None:
    parsed = with_schema({"properties": {"n": {"type": "integer", "default": "x"}}})
    assert refusal(parsed, {})[0][0] == "inputs.n"


def test_all_problems_are_listed_and_no_value_is_repeated_in_them() -> None:
    parsed = with_schema(
        {
            "properties": {"a": {"type": "integer"}, "b": {"enum": [1]}},
            "required": ["c"],
            "additionalProperties": False,
        }
    )
    told = refusal(parsed, {"a": "s3cret", "b": "s3cret", "d": 1})
    assert {field for field, _ in told} == {"inputs", "inputs.a", "inputs.b"}
    assert len(told) == 4
    assert "s3cret" not in str(told)


def test_a_signed_document_refuses_what_its_schema_does_not_name() -> None:
    assert refusal(NAMED, {"nmae": 1}, signed=True) == [
        ("inputs.nmae", "the signed document does not name the input 'nmae'")
    ]
    assert check_inputs(NAMED, {"nmae": 1}, signed=False)["nmae"] == 1
    assert refusal(read(), {"a": 1}, signed=True)
    assert check_inputs(read(), {"a": 1}, signed=False) == {"a": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", object()])
def test_what_is_not_json_is_refused_without_a_schema_too(value: object) -> None:
    assert refusal(read(), {"a": [value]})


def test_a_result_must_keep_what_output_schema_promises() -> None:
    parsed = with_schema({"type": "object", "required": ["x"]}, "Output_Schema")
    check_result(parsed, {"x": 1})
    check_result(read(), {"anything": 1})
    with pytest.raises(InvalidDocumentError) as caught:
        check_result(parsed, {})
    assert caught.value.step == "result"
    assert caught.value.problems[0].field == "result"


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def twice(keyword: str) -> dict[str, object]:
    below = {"items": {"$ref": "#/$defs/n"}}
    return {
        "$defs": {"n": {keyword: [below, below, {"type": "string"}]}},
        "properties": {"x": {"$ref": "#/$defs/n"}},
    }


COSTLY: dict[str, tuple[object, object]] = {
    "anyOf doubles at each depth": (twice("anyOf"), nested(60)),
    "allOf doubles at each depth": (twice("allOf"), nested(60)),
    "oneOf, just below the cap": (twice("oneOf"), nested(19)),
    "a pattern with many states": (
        {"properties": {"x": {"pattern": "[abc]*a[ab]{500}c[abc]{3}d"}}},
        "ab" * 500_000,
    ),
    "a pattern on much text": ({"properties": {"x": {"pattern": "^[A-Za-z0-9+/=]+$"}}}, "ab" * 500_000),
    "a long enum": ({"properties": {"x": {"items": {"enum": list(range(5_000))}}}}, [-1] * 200_000),
    "many required": (
        {"properties": {"x": {"items": {"required": [f"k{i}" for i in range(5_000)]}}}},
        [{}] * 3_000,
    ),
    "many wrong numbers": ({"properties": {"x": {"items": {"type": "string"}}}}, [1] * 200_000),
    "many wrong branches": ({"properties": {"x": {"anyOf": [{"items": {"type": "string"}}]}}}, [1] * 200_000),
    "exact division": ({"properties": {"x": {"items": {"multipleOf": 1e-300}}}}, [1e300] * 100_000),
    "many pattern properties": (
        {"properties": {"x": {"patternProperties": {f"^k{i}$": {} for i in range(2_000)}}}},
        {f"z{i}": 1 for i in range(20_000)},
    ),
    "unevaluated": (
        {
            "$defs": {"n": {"unevaluatedItems": False, "anyOf": [{"items": {"$ref": "#/$defs/n"}}]}},
            "properties": {"x": {"$ref": "#/$defs/n"}},
        },
        nested(60),
    ),
}


@pytest.mark.parametrize("name", COSTLY)
def test_no_schema_and_value_together_take_long(name: str) -> None:
    schema, value = COSTLY[name]
    parsed = with_schema(schema)
    start = time.process_time()
    with contextlib.suppress(InvalidInputsError):
        check_inputs(parsed, {"x": value}, signed=False)
    assert time.process_time() - start < 5  # on a machine of any speed; unbounded it would be hours


def evaluations(schema: Any, value: Any, root: Any) -> int:
    """Count, one by one and the slow way, what `Graph.cost` counts in bulk."""
    if not isinstance(schema, dict):
        return 1
    total = 1
    for part in schema.get("allOf", []):
        total += evaluations(part, value, root) if isinstance(part, dict) else 0
    if "$ref" in schema and isinstance(root["$defs"]["n"], dict):
        total += evaluations(root["$defs"]["n"], value, root)
    if isinstance(value, list) and "items" in schema:
        total += sum(evaluations(schema["items"], item, root) for item in value)
    if isinstance(value, dict) and "additionalProperties" in schema:
        total += sum(evaluations(schema["additionalProperties"], item, root) for item in value.values())
    return total


schemas = st.recursive(
    st.sampled_from([{}, True]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: {"allOf": parts}),
        inner.map(lambda part: {"items": part, "additionalProperties": part}),
        st.just({"items": {"$ref": "#/$defs/n"}}),
    ),
    max_leaves=6,
)
values = st.recursive(
    st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(schemas, values)
def test_the_cost_agrees_with_counting_one_by_one(schema: Any, value: Any) -> None:
    # Copied through JSON, so that no two places are one object, as in what is read from a document.
    root = json.loads(json.dumps({"$defs": {"n": schema}, "items": schema, "allOf": [{"$ref": "#/$defs/n"}]}))
    assert Graph(root).cost(value) == evaluations(root, value, root)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("", 1), ("abc", 4), ("a{3}", 4), ("(ab){10}c", 22), ("((a{10}){10}){10}", 1_001), ("[a-z]+", 3)],
)
def test_states_multiply_with_counted_repetitions(pattern: str, expected: int) -> None:
    assert states(pattern) == expected
