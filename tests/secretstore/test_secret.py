"""A secret's text comes out through `reveal` and through nothing else."""

import copy
import dataclasses
import json
import pickle

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.secretstore.secret import Secret

CANARY = "sk-canary-7f3a91c2d4"


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    key: Secret


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{!r:>40}".format, lambda s: f"{[s]} {Holder(s)}"])
def test_no_way_of_printing_shows_the_text(show):
    assert CANARY not in show(Secret(CANARY))


@pytest.mark.parametrize(
    "use",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        orjson.dumps,
        hash,
        vars,
        lambda s: s == Secret(CANARY),
        lambda s: s != CANARY,
        lambda s: s in [CANARY],
        lambda s: CANARY + s,
        dict.fromkeys,
        lambda s: dataclasses.asdict(Holder(s)),
    ],
)
def test_accidents_raise_and_do_not_quote_the_text(use):
    with pytest.raises(TypeError) as caught:
        use(Secret(CANARY))
    assert CANARY not in str(caught.value)


def test_it_has_no_attribute_dictionary():
    with pytest.raises(AttributeError):
        Secret(CANARY).note = "x"


@given(st.text())
def test_it_gives_back_its_text(text):
    assert Secret(text).reveal() == text
