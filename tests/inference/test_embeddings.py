"""Embeddings: texts and token ids in, vectors out, no token written."""

import orjson
import pytest
from tests.metering.vocabulary import counter

from macroslow.errors import InvalidModelRequestError
from macroslow.inference import EMBEDDINGS
from macroslow.inference.operation import AnswerUnreadableError, Possible
from macroslow.metering.prices import TokenCounts

POSSIBLE = Possible(1000, 0)


def parse(given, **more):
    return EMBEDDINGS.parse(orjson.dumps({"model": "m", "input": given, **more}))


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ("hello world", 2),
        (["hello world", "hello"], 3),
        ([15339, 1917], 2),
        ([[1, 2, 3], [4]], 4),
        ("", 0),
        ([0], 1),
    ],
)
def test_texts_are_counted_and_token_ids_count_themselves(given, tokens):
    request = parse(given, dimensions=3, encoding_format="base64", user="u")
    assert counter().prompt(request.prompt) == tokens
    assert orjson.loads(request.forwarded("up", 0, reasoning=False)) == {
        "model": "up",
        "input": given,
        "dimensions": 3,
        "encoding_format": "base64",
        "user": "u",
    }


@pytest.mark.parametrize(
    "given",
    [
        None,
        5,
        {},
        [],
        [[]],
        ["x", 1],
        [1, "x"],
        [[1], "x"],
        [[1], 1],
        [-1],
        [1.0],
        [True],
        [2**31],
        [1] * 8193,
        ["x"] * 2049,
        [[1]] * 2049,
        [[[1]]],
    ],
    ids=range(17),
)
def test_what_is_neither_is_refused(given):
    with pytest.raises(InvalidModelRequestError) as caught:
        parse(given)
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"stream": True}, "stream"),
        ({"service_tier": "flex"}, "service_tier"),
    ],
)
def test_a_member_at_fault_is_named(change, param):
    with pytest.raises(InvalidModelRequestError) as caught:
        parse("x", **change)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        ({"prompt_tokens": 7, "total_tokens": 7}, TokenCounts(7, 0)),
        ({"prompt_tokens": 0, "total_tokens": 0}, TokenCounts(0, 0)),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": 1001}, None),
        ({"prompt_tokens": 7.0}, None),
        ({"prompt_tokens": True}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_is_believed_if_it_can_be(usage, used):
    body = orjson.dumps({"object": "list", "data": [], "usage": usage})
    read = EMBEDDINGS.read(body, POSSIBLE)
    assert (read.usage, read.texts, read.id) == (used, (), "")


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>"])
def test_what_is_no_object_is_no_answer(body):
    with pytest.raises(AnswerUnreadableError):
        EMBEDDINGS.read(body, POSSIBLE)


def test_nothing_comes_as_a_stream():
    with pytest.raises(AnswerUnreadableError):
        EMBEDDINGS.reader(parse("x"), counter(), POSSIBLE)
