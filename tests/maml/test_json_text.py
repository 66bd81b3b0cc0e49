"""JSON with lines: agrees with the standard library, and is stricter where readers differ."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.maml.json_text import JSONTextError, read_json

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(json_values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_every_value_is_read_as_the_standard_library_reads_it(value: Any, indent: Any, escaped: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    assert read_json(text).value == json.loads(text)


@settings(max_examples=300, deadline=None)
@given(st.text('{}[]",:0123e.-+tfnrue al\\\n', max_size=12))
def test_what_the_standard_library_refuses_is_refused(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(JSONTextError):
            read_json(text)
        return
    value, refused = object(), ""
    try:
        value = read_json(text).value
    except JSONTextError as error:
        refused = error.problem.message
    assert "twice" in refused or "large" in refused or value == expected


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ('{\n"a": 1,\n"a": 2}', 3, "twice"),
        ("[\n\nNaN]", 3, "valid JSON"),
        ("[1e999]", 1, "too large"),
        ('["\\ud800"]', 1, "surrogate"),
        ("[" * 65 + "]" * 65, 1, "deeper"),
        ("1" * 41, 1, "characters"),
        ("[1,\n2,]", 2, "value belongs"),
        ("{}\n{}", 2, "follows"),
        ("[" + "1," * 100 + "1]", 1, "values"),
        ("", 1, "valid JSON"),
        ('"\x01"', 1, "valid JSON"),
    ],
)
def test_a_refusal_names_the_line(text: str, line: int, told: str) -> None:
    with pytest.raises(JSONTextError) as caught:
        read_json(text, max_nodes=100)
    assert told in caught.value.problem.message
    assert caught.value.problem.line == line


def test_every_part_knows_its_line() -> None:
    located = read_json('{\n "a": [\n  1,\n  {"b": 2}\n ]\n}', first_line=10)
    assert located.lines == {(): 10, ("a",): 11, ("a", 0): 12, ("a", 1): 13, ("a", 1, "b"): 13}
