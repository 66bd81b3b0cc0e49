"""The corpus of hostile requests, each on a real socket with a good request in its wake.

What is not one clear request ends the connection, so that nothing behind it is read as another one; what is
taken for a request is taken for the same one by another parser (h11). Afterwards others are served.
"""

import ast
import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h11
import pytest
from tests.web.fakes import House, build
from tests.web.raw import GOOD, LIMIT_S, Listening, listening, say, statuses

from macroslow.web import serve
from macroslow.web.connection import Bounds
from macroslow.web.gate import GateSettings
from macroslow.web.messages import Receive, Scope, Send

BOUNDS = Bounds(connections=16, head_s=5, keep_alive_s=5)
LENIENT = {
    "identity and chunks": "the gate refuses it",
    "gzip and chunks": "the gate refuses it",
    "no Host": "the gate refuses it",
    "two Hosts": "the gate refuses it",
    "RTSP": "as HTTP/1.0, whose connection ends",
    "ICE": "as HTTP/1.0, whose connection ends",
    "two spaces": "as one (RFC 9112 section 3)",
    "empty lines before it": "are passed over (RFC 9112 section 2.2)",
}
BIG = b"x" * 0x900000


@dataclass(frozen=True)
class Shape:
    """One entry of the corpus."""

    statuses: tuple[int, ...]
    open: bool
    data: bytes


def _read() -> Iterator[tuple[str, Shape]]:
    for line in (Path(__file__).parent / "hostile_requests.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, statuses, after, data = line.split(" :: ", 3)
            literal = ast.literal_eval("b'" + data.replace("'", "\\'") + "'")
            assert after in {"open", "closed"}
            yield name, Shape(tuple(map(int, statuses.split())), after == "open", literal)


CORPUS = dict(_read())


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr("macroslow.web.bodies.LINGER_S", 0.1)
    return await build(GateSettings(body_deadline_s=2))


@pytest.fixture
async def listener(house: House) -> AsyncIterator[Listening]:
    listener = await listening(house.gate, BOUNDS)
    before = len(asyncio.all_tasks())
    yield listener
    async with asyncio.timeout(LIMIT_S):
        while listener.connections or len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.01)
    await listener.close(0)


def filled(shape: Shape, house: House) -> bytes:
    return shape.data.replace(b"KEY", house.key.encode()).replace(b"BIG", BIG)


def expected(shape: Shape) -> list[int]:
    return [*shape.statuses, *([200] if shape.open else [])]


@pytest.mark.parametrize("name", CORPUS)
async def test_each_shape_is_answered_as_the_corpus_says_and_others_are_served(
    name: str, house: House, listener: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = CORPUS[name]
    if b"BIG" in shape.data:  # comes whole, and takes as long as the machine needs
        monkeypatch.setattr("macroslow.web.bodies.LINGER_S", LIMIT_S)
    answer = await say(listener.port, filled(shape, house), GOOD)
    assert statuses(answer) == expected(shape), answer[:2000]
    assert answer.count(b"x-request-id: ") == len([one for one in statuses(answer) if one != 100])
    assert statuses(await say(listener.port, GOOD)) == [200]


@pytest.mark.sweep
@pytest.mark.parametrize("name", CORPUS)
async def test_a_shape_that_comes_byte_by_byte_is_the_same_shape(
    name: str, house: House, listener: Listening
) -> None:
    data = filled(CORPUS[name], house)
    if len(data) < 2000:
        answer = await say(listener.port, *(data[at : at + 1] for at in range(len(data))), GOOD)
        assert statuses(answer) in (expected(CORPUS[name]), [])  # [] where it was cut off before it was sent


def by_h11(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """The requests that h11 reads, up to what it refuses."""
    found: list[tuple[bytes, bytes, bytes]] = []
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    connection.receive_data(data)
    head, body = (b"", b""), b""
    try:
        while True:
            match connection.next_event():
                case h11.Request() as request:
                    head, body = (request.method, request.target), b""
                case h11.Data() as piece:
                    body += piece.data
                case h11.EndOfMessage():
                    found.append((*head, body))
                    if connection.our_state is not h11.SEND_RESPONSE:
                        return found
                    connection.send(h11.Response(status_code=204, headers=[]))
                    if connection.our_state is not h11.SEND_BODY:
                        return found  # to CONNECT the answer was the end of HTTP
                    connection.send(h11.EndOfMessage())
                    if connection.our_state is not h11.DONE:
                        return found
                    connection.start_next_cycle()
                case _:
                    return found
    except h11.RemoteProtocolError:
        return found


async def by_us(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """The requests that reach an application behind our listener, with their whole bodies."""
    found: list[tuple[bytes, bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message, body = await receive(), b""
        while message["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                query = b"?" + scope["query_string"] if scope["query_string"] else b""
                found.append((scope["method"].encode(), scope["raw_path"] + query, body))
                break
            message = await receive()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sockets = serve.bind("127.0.0.1", 0)
    listener = Listening(app, BOUNDS)
    await listener.open(sockets)
    listener.port = sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    with suppress(TimeoutError):  # a body that never comes
        await say(listener.port, data, limit_s=0.3)
    await listener.close(0)
    return found


@pytest.mark.parametrize("name", CORPUS)
async def test_what_is_a_request_here_is_the_same_request_to_another_parser(name: str) -> None:
    data = CORPUS[name].data.replace(b"BIG", b"x") + GOOD
    theirs = by_h11(data)
    if name not in LENIENT:
        ours = await by_us(data)
        assert ours == theirs[: len(ours)]
