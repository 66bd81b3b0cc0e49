"""Shapes: a value that passes at a glance is the one that passes when every part of it is looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.inference import members, shapes
from macroslow.inference.shapes import (
    BOOLEAN,
    COUNT,
    NAME,
    OBJECT,
    TEXT,
    Check,
    UnfitError,
    between,
    either,
    fields,
    kinds,
    list_of,
    text_or,
)

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "a", "x" * 300])
names = st.sampled_from(["a", "b", "c", "kind", "other", "\x00", "y" * 70])
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=8
)


def each_looked_at(check: Check) -> Check:
    """The same check, that says of no type that all of it fits."""
    return Check(check.take)


def alike(known) -> list[Check]:
    """Shapes of many sorts, whose smallest parts are `known` beforehand or looked at."""
    text, flag, count = known(TEXT), known(BOOLEAN), known(COUNT)
    texts = known(text_or(list_of(text, 2), "a list of texts"))
    return [
        fields({"a": text}),
        fields({"a": text, "b": known(OBJECT)}),
        fields({"a": texts}, {"b": flag, "c": count}, ignored=frozenset({"other"})),
        fields({"a": known(NAME)}, {"b": text, "c": flag}, keeps_null=True),
        fields({}, {"a": text}),
        list_of(fields({"a": text}, {"b": between(0, 2)}), 2),
        kinds("kind", {"a": fields({"kind": text}), "b": fields({"a": text}, {"kind": text})}, absent="b"),
        either({str: text, dict: fields({"a": text}, {"b": list_of(flag, 1)})}, "a text or an object"),
    ]


SHAPES = list(zip(alike(lambda check: check), alike(each_looked_at), strict=True))


def taken(check: Check, value: object) -> object:
    try:
        return repr(check.take(value))  # in its order, and NaN like itself
    except UnfitError as unfit:
        return unfit.problem, unfit.path, unfit.fix


@pytest.mark.parametrize(("quick", "slow"), SHAPES, ids=range(len(SHAPES)))
@given(values | st.dictionaries(names, plain, max_size=3))
def test_what_passes_at_a_glance_passes_when_looked_at_and_so_does_its_error(quick, slow, value):
    assert taken(quick, value) == taken(slow, value)


@given(values)
def test_every_value_of_a_type_that_passes_at_a_glance_fits_as_it_is(value):
    for shape in (*members.MEMBERS.values(), *vars(shapes).values()):
        if isinstance(shape, Check) and type(value) is shape.as_is:
            assert shape.take(value) is value


def test_texts_objects_and_booleans_pass_at_a_glance_and_nothing_that_is_bounded_does():
    assert [check.as_is for check in (TEXT, OBJECT, BOOLEAN)] == [str, dict, bool]
    assert [check.as_is for check in (NAME, COUNT, between(0, 1), list_of(TEXT, 2), fields({}))] == [None] * 5
    assert text_or(list_of(TEXT, 2), "texts").as_is is str
