"""Error bodies lose every key, however it is written."""

import orjson
import pytest

from macroslow.adapters.model_api.dialects import DIALECTS
from macroslow.adapters.model_api.errors import MAX_ERROR_BYTES, clean_error
from macroslow.inference.dialect import Dialect

OPENAI = DIALECTS[Dialect.OPENAI]
KEY = "opaque-canary-4711"


@pytest.mark.parametrize(
    "message",
    [
        f"Incorrect API key provided: {KEY}.",
        "Incorrect API key provided: sk-proj-abcd1234.",
        "Incorrect API key provided: sk-abcd************1234.",
        f"https://example.org/?key={KEY}&x=1",
    ],
)
def test_a_quoted_key_is_removed_and_the_rest_is_kept(message):
    cleaned = clean_error(OPENAI, 400, orjson.dumps({"error": {"message": message, "code": "x"}}), KEY)
    parsed = orjson.loads(cleaned)
    assert parsed["error"]["code"] == "x"
    assert "[removed]" in parsed["error"]["message"]
    assert KEY.encode() not in cleaned
    assert b"1234" not in cleaned


def test_an_escaped_key_is_removed_too():
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    cleaned = clean_error(
        OPENAI, 400, b'{"error": "' + escaped.encode() + b'", "' + escaped.encode() + b'": 1}', KEY
    )
    assert KEY.encode() not in cleaned
    assert cleaned == b'{"error":"[removed]","[removed]":1}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>" + KEY.encode(),
        b"[1]",
        b"{",
        b"\xff",
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b'{"a": "' + b"x" * MAX_ERROR_BYTES + b'"}',
    ],
)
def test_what_is_no_short_json_object_is_replaced(body):
    error = orjson.loads(clean_error(OPENAI, 503, body, KEY))["error"]
    assert error["message"] == "the provider answered with status 503 and no error that can be read"
    assert error["type"] == "upstream_error"


def test_an_ordinary_error_passes():
    body = (
        b'{"error":{"message":"Rate limit reached for gpt-4o","type":"tokens","code":"rate_limit_exceeded"}}'
    )
    assert clean_error(OPENAI, 429, body, KEY) == body
