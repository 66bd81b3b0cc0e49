"""Bodies that are made to hurt: nested, long, of spaces alone. Each gets an answer of its API's shape."""

import orjson
import pytest
from tests.emulator.asking import CLAUDE, KEY, VERSION, call

from macroslow.emulator import create_emulator

APP = create_emulator()
CLAUDE_HEADERS = {"x-api-key": KEY, "anthropic-version": VERSION}
USER = [{"role": "user", "content": "Hello"}]
PATHS = {
    "/v1/chat/completions": {"model": "gpt-4o", "messages": USER},
    "/v1/responses": {"model": "gpt-4o", "input": USER},
    "/v1/messages": {"model": CLAUDE, "max_tokens": 9, "messages": USER},
    "/v1/messages/count_tokens": {"model": CLAUDE, "messages": USER},
    "/v1/embeddings": {"model": "text-embedding-3-small", "input": "Hello"},
}
each_path = pytest.mark.parametrize("path", PATHS)


def tool_of(path: str, schema: bytes) -> bytes:
    """The body of a request with a tool whose schema is given as JSON."""
    member = "input_schema" if "messages" in path else "parameters"
    tool: dict[str, object] = {"name": "f", member: "SCHEMA"}
    if "chat" in path:
        tool = {"type": "function", "function": tool}
    elif "messages" not in path:
        tool["type"] = "function"
    return orjson.dumps(PATHS[path] | {"tools": [tool]}).replace(b'"SCHEMA"', schema)


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"{}" + b"}" * depth


async def post(path: str, body: bytes) -> tuple[int, dict[str, object]]:
    reply = await call(APP, body, path=path, headers=CLAUDE_HEADERS if "messages" in path else None)
    assert reply.complete
    return reply.status, reply.json()


@each_path
@pytest.mark.parametrize("depth", [100, 235, 245, 250, 254, 300, 900, 100_000])
async def test_deep_nesting_is_an_answer_or_a_bad_request(path: str, depth: int) -> None:
    status, body = await post(path, tool_of(path, nested(depth)))
    assert status == (200 if depth <= 235 and "embed" not in path else 400), body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("depth", [100, 240, 250, 300, 2_000])
async def test_deep_arguments_that_a_call_is_asked_with_do_not_hurt(
    path: str, depth: int, stream: bool
) -> None:
    text = f"Call the tool f with {nested(depth).decode()}"
    body = orjson.loads(tool_of(path, b"{}")) | {"stream": stream}
    member = "input" if "responses" in path else "messages"
    body |= {member: [{"role": "user", "content": text}]}
    if "messages" in path:
        body["max_tokens"] = 9_000
    headers = CLAUDE_HEADERS if "messages" in path else None
    reply = await call(APP, orjson.dumps(body), path=path, headers=headers)
    assert (reply.status, reply.complete) == (200, True)


@each_path
async def test_a_million_spaces_are_counted(path: str) -> None:
    text = orjson.dumps(PATHS[path]).replace(b"Hello", b" " * 1_000_000)
    status, _ = await post(path, text)
    assert status in (200, 400)


@each_path
async def test_of_a_member_given_twice_the_last_counts(path: str) -> None:
    status, _ = await post(path, b'{"model":7,' + orjson.dumps(PATHS[path])[1:])
    assert status == 200


@each_path
@pytest.mark.parametrize("number", ["1e999", "-1", "1" * 400, "0.1", "null"])
async def test_absurd_numbers_are_an_answer_or_a_bad_request(path: str, number: str) -> None:
    for name in ("max_tokens", "temperature", "n", "dimensions", "max_output_tokens", "top_k"):
        body = orjson.dumps(PATHS[path])[:-1] + f',"{name}":{number}}}'.encode()
        status, _ = await post(path, body)
        assert status in (200, 400)
