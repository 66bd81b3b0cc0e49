"""Paths and texts as TOML writes them: whatever they hold, they are read back."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from macroslow.settings.origin import Origin, dotted, element, nearest, quoted

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda text: not text.startswith("[")
)


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_a_path_of_any_keys_is_a_header_of_toml(keys: list[str]) -> None:
    node = tomllib.loads(f"[{dotted(tuple(keys))}]")
    for key in keys:
        node = node[key]
    assert node == {}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_is_one_string_of_toml(text: str) -> None:
    assert tomllib.loads(f"x = {quoted(text)}") == {"x": text}
    assert "\n" not in quoted(text)


def test_elements_of_lists_are_told_by_number() -> None:
    assert dotted(("providers", "a.b", "keys", element(1), "key")) == 'providers."a.b".keys[1].key'


def test_the_nearest_table_around_a_value_is_to_blame() -> None:
    origins = {("a",): Origin("file", 1), ("a", "b"): Origin("file", 2), (): Origin("top")}
    assert nearest(("a", "b", "c"), origins).line == 2
    assert nearest(("a", "x"), origins).line == 1
    assert nearest(("z",), origins).place == "top"
