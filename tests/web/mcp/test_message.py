"""What is read of a message is what every other reader reads in it, and reading it is bounded."""

import orjson
import pytest
from mcp_types import jsonrpc_message_adapter

from macroslow.errors import BadRequestError
from macroslow.web.mcp.message import MAX_DEPTH, MAX_INTEGER, MAX_VALUES, MIN_INTEGER, read_message

OTHERS = 7  # jsonrpc, id, method, params, name, arguments and the one argument


def calling(argument: bytes) -> bytes:
    return (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"n":%s}}}'
        % argument
    )


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, MIN_INTEGER, MAX_INTEGER])
def test_an_integer_of_64_bits_is_the_same_to_the_sdk_and_to_us(number: int) -> None:
    body = calling(b"%d" % number)
    theirs = jsonrpc_message_adapter.validate_json(body, by_name=False)
    for read in (read_message(body).params, theirs.params):
        found = read["arguments"]["n"]
        assert (found, type(found)) == (number, int)
        assert orjson.loads(orjson.dumps(found)) == number


@pytest.mark.parametrize("number", [MIN_INTEGER - 1, MAX_INTEGER + 1, 2**70, -(10**300)])
@pytest.mark.parametrize("form", [b"%d", b"[[%d]]", b'{"a":%d}'], ids=["alone", "in lists", "a member"])
def test_an_integer_beyond_64_bits_is_refused_wherever_it_is(number: int, form: bytes) -> None:
    with pytest.raises(BadRequestError, match="64 bits"):
        read_message(calling(form % number))


def test_digits_in_texts_and_doubles_are_no_integers() -> None:
    found = read_message(calling(b'["%d",1e30,%d.0]' % (2**70, 2**70)))
    assert found.params["arguments"]["n"] == [str(2**70), 1e30, float(2**70)]


MANY = {
    "members": lambda count: b"{" + b",".join(b'"%d":1' % each for each in range(count)) + b"}",
    "items": lambda count: b"[" + b",".join([b"1"] * count) + b"]",
    "lists": lambda count: b"[" + b",".join([b"[]"] * count) + b"]",
    "objects of one": lambda count: b"[" + b",".join([b'{"a":1}'] * (count // 2)) + b"]",
}


@pytest.mark.parametrize("many", MANY.values(), ids=MANY)
def test_a_message_has_so_many_values_and_no_more(many) -> None:
    room = MAX_VALUES - OTHERS
    read_message(calling(many(room)))
    with pytest.raises(BadRequestError, match=str(MAX_VALUES)):
        read_message(calling(many(room + 2)))


def test_a_long_text_of_commas_and_brackets_is_one_value() -> None:
    text = "[{," * MAX_VALUES
    assert read_message(calling(orjson.dumps(text))).params["arguments"]["n"] == text


def test_a_message_is_so_deep_and_no_deeper() -> None:
    deep = MAX_DEPTH - 3
    read_message(calling(b"[" * deep + b"]" * deep))
    with pytest.raises(BadRequestError, match=f"deeper than {MAX_DEPTH}"):
        read_message(calling(b"[" * (deep + 1) + b"]" * (deep + 1)))
