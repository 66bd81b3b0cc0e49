"""JSON-RPC that nobody would write, at the real gate: each is answered, none is our fault or tells of us."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.security.mcp_house import BOTH, ERAS, MODERN, MCPHouse, headers_of, mcp_house, message
from tests.web.fakes import Answer

from macroslow.errors import BadRequestError
from macroslow.web.mcp.message import read_message

INTERNALS = ("Traceback", "macroslow.", "site-packages", ".py", "pydantic", "anyio", "object at 0x")
METHODS = st.sampled_from(
    [
        *(
            "tools/call",
            "tools/list",
            "initialize",
            "ping",
            "server/discover",
            "resources/read",
            "prompts/get",
        ),
        *("completion/complete", "subscriptions/listen/", "notifications/cancelled", "logging/setLevel"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
META = st.fixed_dictionaries(
    {},
    optional={
        "progressToken": VALUES,
        "io.modelcontextprotocol/protocolVersion": st.sampled_from([MODERN, "2025-11-25", "x"]) | VALUES,
        "io.modelcontextprotocol/clientCapabilities": st.just({}) | VALUES,
        "io.modelcontextprotocol/clientInfo": st.just({"name": "x", "version": "1"}) | VALUES,
    },
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "_meta": META | VALUES,
        "name": st.sampled_from(["usage", "run_document", "nobody"]) | VALUES,
        "arguments": st.fixed_dictionaries({}, optional={"document": VALUES, "by": VALUES}) | VALUES,
        "uri": st.text(max_size=40) | VALUES,
        "cursor": VALUES,
        "ref": VALUES,
        "argument": VALUES,
        "protocolVersion": VALUES,
        "capabilities": VALUES,
        "clientInfo": VALUES,
        "Name": VALUES,
    },
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | VALUES,
        "id": st.integers(-5, 5) | st.text(max_size=5) | VALUES,
        "method": METHODS | VALUES,
        "params": PARAMS | VALUES,
        "result": VALUES,
        "error": VALUES,
        "METHOD": METHODS,
    },
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "mcp-protocol-version": st.sampled_from([MODERN, "2025-11-25", "2025-06-18", "2025-03-26", "", "x"]),
        "mcp-method": METHODS,
        "mcp-name": st.sampled_from(["usage", "run_document", "=?base64?dXNhZ2U=?=", "x"]),
        "mcp-session-id": st.sampled_from(["", "1", "x" * 300]),
        "mcp-param-by": st.sampled_from(["key", ""]),
        "last-event-id": st.just("1"),
        "accept": st.sampled_from([BOTH, "application/json", "*/*", "text/html", ""]),
    },
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextmanager
def running() -> Iterator[tuple[asyncio.Runner, MCPHouse]]:
    with asyncio.Runner() as runner:
        made = mcp_house()
        house = runner.run(made.__aenter__())
        try:
            yield runner, house
        finally:
            runner.run(made.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[asyncio.Runner, MCPHouse]]:
    """One gate for all that is thrown at it."""
    with running() as made:
        yield made


async def post(mcp: MCPHouse, body: bytes, headers: dict[str, str]) -> Answer:
    async with asyncio.timeout(20):
        return await mcp.post(body, headers)


def sound(answer: Answer) -> None:
    assert 200 <= answer.status < 500
    assert len(answer.body) < 100_000
    if answer.status >= 400:
        assert not any(word in answer.body.decode() for word in INTERNALS)


def alive(runner: asyncio.Runner, mcp: MCPHouse) -> None:
    for era in ERAS:
        body = message("tools/list", era=era)
        assert runner.run(post(mcp, body, headers_of(body, era))).status == 200


@QUICK
@given(said=MESSAGES | VALUES, headers=HEADERS)
@example(said={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "usage"}}, headers={})
def test_fuzzed_messages_are_answered_and_the_gate_goes_on(
    said: Any, headers: dict[str, str], site: tuple[asyncio.Runner, MCPHouse]
) -> None:
    runner, mcp = site
    body = json.dumps(said).encode()
    sound(runner.run(post(mcp, body, headers)))
    alive(runner, mcp)


@QUICK
@given(data=st.data(), era=st.sampled_from(ERAS))
def test_a_good_message_with_bytes_that_were_changed_is_answered(
    data: st.DataObject, era: str, site: tuple[asyncio.Runner, MCPHouse]
) -> None:
    runner, mcp = site
    body = bytearray(message("tools/call", {"name": "usage", "arguments": {"by": "key"}}, era=era))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    good = headers_of(message("tools/call", {"name": "usage"}, era=era), era)
    sound(runner.run(post(mcp, bytes(body), good)))


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=200) | (MESSAGES | VALUES).map(lambda said: json.dumps(said).encode()))
def test_what_is_read_strictly_is_what_a_lenient_reader_reads(body: bytes) -> None:
    """Whatever passes has one reading: that of the library with which the SDK reads it again."""
    try:
        found = read_message(body)
    except BadRequestError:
        return
    again = json.loads(body)
    assert (found.id, found.method) == (again.get("id"), again.get("method", ""))
    assert found.params == again.get("params", {})
    assert not any(key != "method" and key.casefold() == "method" for key in again)


@given(
    name=st.sampled_from(["jsonrpc", "id", "method", "params"]),
    place=st.integers(0, 3),
    twice=st.booleans(),
)
def test_a_member_that_is_there_twice_is_never_read(name: str, place: int, twice: bool) -> None:
    members = [("jsonrpc", '"2.0"'), ("id", "1"), ("method", '"tools/list"'), ("params", "{}")]
    other = name if twice else name.upper()
    members.insert(place, (other, dict(members)[name]))
    body = "{" + ",".join(f'"{key}":{said}' for key, said in members) + "}"
    with pytest.raises(BadRequestError):
        read_message(body.encode())
