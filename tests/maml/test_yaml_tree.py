"""Front matter's YAML: one meaning for every scalar, and no tricks."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.errors import Problem
from macroslow.maml.yaml_tree import MAX_DEPTH, MAX_NODES, plain, read_yaml


def tree(text: str) -> tuple[object, list[str]]:
    problems: list[Problem] = []
    mapping = read_yaml(text, first_line=1, problems=problems)
    return (plain(mapping) if mapping else None), [problem.message for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("0", 0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("010", "010"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("+1", "+1"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("2025-10-17", "2025-10-17"),
        ("12:30:45", "12:30:45"),
        ("1.0.0", "1.0.0"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("1e999", "1e999"),
        ("99999999999999999999", "99999999999999999999"),
        ("=", "="),
        ("a b", "a b"),
        ("[1, a]", [1, "a"]),
        ("{b: }", {"b": None}),
        ("|\n  x\n", "x\n"),
    ],
)
def test_every_scalar_has_one_meaning(text: str, value: object) -> None:
    assert tree(f"a: {text}\n") == ({"a": value}, [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 1\n", "appears twice"),
        ("a: {b: 1, b: 2}\n", "appears twice"),
        ("a: 1\n'a': 1\n", "appears twice"),
        ("a: &x 1\n", "anchor"),
        ("a: &x [1]\nb: *x\n", "alias"),
        ("a: !!int 1\n", "tag"),
        ("a: !x y\n", "tag"),
        ("a: !!map {}\n", "tag"),
        ("<<: {a: 1}\n", "merge"),
        ("? [a]\n: 1\n", "plain text"),
        ("? {a: b}\n: 1\n", "plain text"),
        ("'': 1\n", "plain text"),
        ("%YAML 1.1\n---\na: 1\n", "directive"),
        ("a: 1\n---\nb: 1\n", "more than one"),
        ("- a\n", "list of"),
        ("", "list of"),
        ("a: [\n", "not valid"),
        ("a: \x1b\n", "not valid"),
    ],
)
def test_tricks_are_refused_by_name(text: str, told: str) -> None:
    assert any(told in message for message in tree(text)[1])


def test_depth_and_nodes_are_capped() -> None:
    deep = "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert tree(deep)[1] == []
    assert "deeper" in tree(deep.replace("[]", "[[]]"))[1][0]
    wide = f"a: [{'x,' * (MAX_NODES - 3)}]"
    assert tree(wide)[1] == []
    assert "nodes" in tree(wide.replace("x,]", "x,x]"))[1][0]


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.text(max_size=8),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text("abc", min_size=1), x),
        max_leaves=8,
    )
)
def test_what_another_writer_writes_is_read_back(value: object) -> None:
    # Quoted strings only: which plain scalars are strings is where readers of YAML differ.
    text = yaml.safe_dump({"a": value}, default_style='"')
    text = text.replace("!!map ", "")
    assert tree(text) == ({"a": value}, []) or "\\" in text or "!!" in text
