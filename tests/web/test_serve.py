"""The gate on real sockets: hostile bytes, slow callers, caps and the order of the end.

After each refusal the server serves the next request.
"""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from tests.web.fakes import House, build
from tests.web.raw import say

from macroslow.errors import ConfigurationError
from macroslow.metering.ledger import Usage
from macroslow.services.calls.call_model import ModelAnswer, ModelStream
from macroslow.web import flow, problems, serve
from macroslow.web.connection import Bounds
from macroslow.web.gate import GateSettings
from macroslow.web.lifecycle import Phase
from macroslow.web.messages import Receive, Scope, Send
from macroslow.web.reading import MAX_HEAD_BYTES, MAX_TARGET_BYTES
from macroslow.web.routes import CHAT_BYTES
from macroslow.web.visit import SECURITY_HEADERS

CONNECTIONS = 8
HASTY = pytest.mark.parametrize("patience_s", [0.5], ids=["hasty"])


class Client:
    """A caller that writes what it likes."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def say(self, data: bytes, *, then_close: bool = False) -> bytes:
        return await say(self.port, data, then_close=then_close)


@pytest.fixture
def patience_s() -> float:
    """How long the server waits for a head or a body: but for what is HASTY, for ever."""
    return 60.0


@pytest.fixture
async def house(patience_s: float) -> House:
    return await build(GateSettings(body_deadline_s=patience_s))


@pytest.fixture
async def client(house: House, patience_s: float, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr("macroslow.web.bodies.LINGER_S", 0.2)
    sockets = serve.bind("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    bounds = Bounds(connections=CONNECTIONS, head_s=patience_s)
    async with serve.serve(house.gate, sockets, house.application.lifecycle, bounds=bounds, grace_s=1):
        yield Client(port)


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:200]
    return int(answer[9:12])


def request(house: House, *headers: bytes, line: bytes = b"GET /runs HTTP/1.1", body: bytes = b"") -> bytes:
    """A request that would be served, were it not for `headers`."""
    own = [b"host: localhost", b"x-api-key: " + house.key.encode(), b"connection: close"]
    return b"\r\n".join([line, *own, *headers, b"", body])


@HASTY
@pytest.mark.parametrize(
    ("said", "told", "kind"),
    [
        (b"nonsense\r\n\r\n", 400, "bad-request"),
        (b"GET / HTTP/2.0\r\n\r\n", 505, "bad-request"),
        (b"GET /" + b"x" * MAX_TARGET_BYTES + b" HTTP/1.1\r\n\r\n", 414, "too-large"),
        (b"GET / HTTP/1.1\r\n", 408, "request-timeout"),
    ],
)
async def test_what_never_became_a_request_is_told_as_any_problem_is(
    said: bytes, told: int, kind: str, client: Client
) -> None:
    answer = await client.say(said)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line.partition(b": ")[::2] for line in head.split(b"\r\n")[1:]]
    headers, problem = dict(lines), json.loads(body)
    assert (status(answer), headers[b"content-type"]) == (told, b"application/problem+json")
    assert set(SECURITY_HEADERS) <= set(lines)
    assert {b"date", b"connection"} <= headers.keys()
    assert (problem["status"], problem["step"]) == (told, "connection")
    assert (problem["type"], problem["docs"]) == (problems.TYPE_PREFIX + kind, problems.DOCS_PREFIX + kind)
    assert problem["request_id"] == headers[b"x-request-id"].decode()


async def test_a_good_request_is_served_with_a_date_and_without_a_server_name(
    house: House, client: Client
) -> None:
    answer = await client.say(request(house))
    assert status(answer) == 200
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\ndate: " in head
    assert b"\r\nserver:" not in head
    assert b"\r\nx-content-type-options: nosniff" in head


def chat(house: House) -> bytes:
    """A good chat request."""
    return request(house, JSON, b"content-length: 2", line=POST, body=b"{}")


POST = b"POST /v1/chat/completions HTTP/1.1"
JSON = b"content-type: application/json"
HOSTILE: dict[str, tuple[bytes, set[int]]] = {
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", {400}),
    "a bare word": (b"HELO\r\n\r\n", {400}),
    "HTTP/0.9": (b"GET /runs\r\n\r\n", {400, 505}),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "another version": (b"GET /runs HTTP/3.7\r\nhost: localhost\r\n\r\n", {400, 505}),
    "no Host": (b"GET /runs HTTP/1.1\r\nconnection: close\r\n\r\n", {400}),
    "garbage Host": (b"GET /runs HTTP/1.1\r\nhost: \xff\xfe'\"<>\r\nconnection: close\r\n\r\n", {400, 403}),
    "two Hosts": (b"GET /runs HTTP/1.1\r\nhost: localhost\r\nhost: evil\r\nconnection: close\r\n\r\n", {400}),
    "absolute form": (b"GET http://localhost/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n", {400}),
    "absolute form elsewhere": (b"GET http://evil/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n", {400}),
    "authority form": (b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", {400}),
    "asterisk form": (b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", {400}),
    "encoded slash": (b"GET /runs%2f HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", {404}),
    "dot segments": (b"GET /health/../runs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", {404}),
    "bytes beyond ASCII": (b"GET /runs/\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n", {400}),
    "a space in the path": (b"GET /runs x HTTP/1.1\r\nhost: localhost\r\n\r\n", {400}),
    "a NUL in a header": (b"GET /runs HTTP/1.1\r\nhost: localhost\r\nx: a\x00b\r\n\r\n", {400}),
    "a folded header": (b"GET /runs HTTP/1.1\r\nhost: localhost\r\nx: a\r\n b\r\n\r\n", {400}),
    "a space before the colon": (b"GET /runs HTTP/1.1\r\nhost : localhost\r\n\r\n", {400}),
    "an upgrade": (
        b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", {400}
    ),
    "a length and chunks": (
        POST + b"\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", {400}
    ),
    "two lengths": (POST + b"\r\nhost: localhost\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", {400}),
    "a negative length": (POST + b"\r\nhost: localhost\r\ncontent-length: -2\r\n\r\n{}", {400}),
    "a huge length": (POST + b"\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n", {400}),
    "an unknown coding": (POST + b"\r\nhost: localhost\r\ntransfer-encoding: xchunked\r\n\r\n{}", {400}),
    "many headers": (b"GET /runs HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n", {431}),
    "one long header": (b"GET /runs HTTP/1.1\r\nx: " + b"y" * (MAX_HEAD_BYTES + 10) + b"\r\n\r\n", {431}),
    "an endless header": (b"GET /runs HTTP/1.1\r\nx: " + b"y" * (MAX_HEAD_BYTES + 10), {431}),
    "a long target": (b"GET /" + b"y" * 9000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", {414}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bytes_are_refused_and_the_next_request_is_served(
    name: str, house: House, client: Client
) -> None:
    data, statuses = HOSTILE[name]
    answer = await client.say(data)
    assert status(answer) in statuses, answer
    assert b"x-request-id: " in answer
    assert b"x-content-type-options: nosniff" in answer
    assert status(await client.say(request(house))) == 200


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bytes_in_single_bytes_do_no_more(name: str, house: House, client: Client) -> None:
    data, _ = HOSTILE[name]
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        async with asyncio.timeout(60):
            for start in range(min(len(data), 600)):
                if writer.is_closing():
                    break
                writer.write(data[start : start + 1])
                await asyncio.sleep(0)
            if not writer.is_closing():
                writer.write_eof()
            answer = await reader.read()
    except ConnectionError:
        answer = b""
    finally:
        writer.close()
    assert not answer or status(answer) >= 400
    assert status(await client.say(request(house))) == 200


@HASTY
async def test_a_slow_head_is_ended_by_the_deadline(house: House, client: Client) -> None:
    for start in (b"", b"GET /ru", b"GET /runs HTTP/1.1\r\nhost: local", b"\r\n"):
        assert status(await client.say(start)) == 408
    assert status(await client.say(request(house))) == 200


@HASTY
async def test_a_second_slow_head_on_a_served_connection_is_ended_too(house: House, client: Client) -> None:
    first = request(house).replace(b"connection: close\r\n", b"")
    answer = await client.say(first + b"GET /ru")
    assert answer.count(b"HTTP/1.1 ") <= 2
    assert status(answer) == 200


@HASTY
async def test_a_slow_body_is_ended_by_the_deadline(house: House, client: Client) -> None:
    slow = request(house, JSON, b"content-length: 100", line=POST, body=b"{")
    assert status(await client.say(slow)) == 408
    chunked = request(house, JSON, b"transfer-encoding: chunked", line=POST, body=b"5\r\nab")
    assert status(await client.say(chunked)) == 408
    assert not house.seen.chats
    assert status(await client.say(request(house))) == 200


async def test_a_broken_chunk_is_refused(house: House, client: Client) -> None:
    broken = request(house, JSON, b"transfer-encoding: chunked", line=POST, body=b"zz\r\n{}\r\n0\r\n\r\n")
    assert status(await client.say(broken)) == 400
    assert not house.seen.chats
    assert status(await client.say(request(house))) == 200


async def test_a_caller_that_ends_in_the_middle_of_its_body_is_forgotten(
    house: House, client: Client
) -> None:
    half = request(house, JSON, b"transfer-encoding: chunked", line=POST, body=b"5\r\nab")
    await client.say(half, then_close=True)
    assert not house.seen.chats
    assert status(await client.say(request(house))) == 200


async def test_a_declared_oversize_is_refused_before_it_is_sent(house: House, client: Client) -> None:
    huge = request(house, JSON, b"content-length: %d" % (CHAT_BYTES + 1), b"expect: 100-continue", line=POST)
    answer = await client.say(huge)
    assert status(answer) == 413
    assert b"100 Continue" not in answer


async def test_an_oversize_that_is_sent_anyway_still_gets_its_answer(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macroslow.web.bodies.LINGER_S", 60.0)  # it ends with the body
    length = CHAT_BYTES + 1
    huge = request(house, JSON, b"content-length: %d" % length, line=POST, body=b"x" * length)
    answer = await client.say(huge)
    assert status(answer) == 413
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["limit_bytes"] == CHAT_BYTES
    assert status(await client.say(request(house))) == 200


async def test_a_chunked_oversize_is_refused_at_the_cap(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macroslow.web.bodies.LINGER_S", 60.0)  # it ends with the body
    piece = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
    body = piece * 130 + b"0\r\n\r\n"
    huge = request(house, JSON, b"transfer-encoding: chunked", line=POST, body=body)
    assert status(await client.say(huge)) == 413
    assert not house.seen.chats
    assert status(await client.say(request(house))) == 200


async def test_a_trailer_says_nothing(house: House, client: Client) -> None:
    body = b"2\r\n{}\r\n0\r\nx-macroslow-tag: smuggled\r\n\r\n"
    assert (
        status(await client.say(request(house, JSON, b"transfer-encoding: chunked", line=POST, body=body)))
        == 200
    )
    assert house.seen.chats[0][3] == ""


async def test_floods_that_say_nothing_are_ended(house: House, client: Client) -> None:
    trailers = b"2\r\n{}\r\n0\r\n" + b"x: y\r\n" * MAX_HEAD_BYTES
    for flood in (
        request(house, JSON, b"transfer-encoding: chunked", line=POST, body=trailers),
        b"\r\n" * MAX_HEAD_BYTES,
        b"GET /runs HTTP/1.1\r\n" + b"x: y\r\n" * MAX_HEAD_BYTES,
    ):
        with suppress(ConnectionError):  # cut off with bytes unread, the answer may be lost on its way
            assert status(await client.say(flood)) == 431
        assert status(await client.say(request(house))) == 200
    assert not house.seen.chats


async def test_a_body_in_bad_utf8_is_the_use_cases_matter_and_no_fault_of_the_server(
    house: House, client: Client
) -> None:
    body = b'{"document": "\xff\xfe"}'
    bad = request(house, JSON, b"content-length: %d" % len(body), line=b"POST /execute HTTP/1.1", body=body)
    assert status(await client.say(bad)) == 400
    assert status(await client.say(request(house))) == 200


async def test_sql_and_control_characters_in_a_credential_are_a_plain_401(
    house: House, client: Client
) -> None:
    answers = []
    for credential in (b"' OR '1'='1", b"msk_'; DROP TABLE keys;--", b"\xff\xfe", b"a\tb", b"x" * 30_000):
        head = (
            b"GET /runs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-api-key: "
            + credential
            + b"\r\n\r\n"
        )
        answer = await client.say(head)
        assert status(answer) == 401
        answers.append(json.loads(answer.partition(b"\r\n\r\n")[2]) | {"request_id": ""})
    assert all(answer == answers[0] for answer in answers)
    for control in (b"a\x00b", b"a\x0bb", b"a\rb", b"a\nb"):
        head = b"GET /runs HTTP/1.1\r\nhost: localhost\r\nx-api-key: " + control + b"\r\n\r\n"
        assert status(await client.say(head)) == 400
    assert status(await client.say(request(house))) == 200


async def test_pipelined_requests_are_answered_in_order(house: House, client: Client) -> None:
    first = request(house).replace(b"connection: close\r\n", b"")
    second = request(house, line=b"GET /runs/none HTTP/1.1")
    answer = await client.say(first * 3 + second)
    codes = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert codes == [b"200", b"200", b"200", b"404"]


async def test_a_body_that_nobody_reads_is_not_the_next_request(house: House, client: Client) -> None:
    smuggled = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nx-api-key: " + house.key.encode() + b"\r\n\r\n"
    outer = b"POST /nope HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(smuggled)
    answer = await client.say(outer + smuggled)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status(answer) == 404


async def test_too_many_connections_are_told_so_and_room_comes_back(house: House, client: Client) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(CONNECTIONS)]
    for reader, writer in idle:  # each has been answered once, so each is counted
        writer.write(request(house).replace(b"connection: close\r\n", b""))
        await reader.readuntil(b"\r\n\r\n")
    assert status(await client.say(request(house))) == 503
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(60):
        while status(await client.say(request(house))) != 200:
            await asyncio.sleep(0.01)


async def test_a_caller_that_hangs_up_in_a_stream_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("macroslow.web.attention.LOOK_EVERY_S", 0.01)
    closed = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"data: 1\n\n"
            await asyncio.get_running_loop().create_future()
        finally:
            closed.set()

    async def stream(*_: object, **__: object) -> ModelStream:
        return ModelStream({"content-type": "text/event-stream"}, chunks())  # type: ignore[arg-type]

    house = await build(call_model=stream)
    sockets = serve.bind("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    async with serve.serve(house.gate, sockets, house.application.lifecycle):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(chat(house))
        async with asyncio.timeout(60):
            await reader.readuntil(b"data: 1\n\n")
            writer.close()
            await closed.wait()


async def test_a_stream_that_breaks_off_ends_the_connection_without_its_last_chunk() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        raise ValueError

    async def stream(*_: object, **__: object) -> ModelStream:
        return ModelStream({}, chunks())  # type: ignore[arg-type]

    house = await build(call_model=stream)
    sockets = serve.bind("127.0.0.1", 0)
    async with serve.serve(house.gate, sockets, house.application.lifecycle):
        answer = await Client(sockets[0].getsockname()[1]).say(chat(house))
    assert b"data: 1" in answer
    assert not answer.endswith(b"0\r\n\r\n")


async def test_a_caller_that_never_reads_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "STUCK_S", 0.1)

    async def large(*_: object, **__: object) -> ModelAnswer:
        return ModelAnswer(200, {}, b"x" * 20_000_000, Usage(0, 0, 0), 0)

    house = await build(call_model=large)
    sockets = serve.bind("127.0.0.1", 0)
    listener = serve.Listener(house.gate, Bounds(keep_alive_s=1))
    await listener.open(sockets)
    try:
        with socket.create_connection(sockets[0].getsockname()) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.sendall(chat(house))
            async with asyncio.timeout(60):
                while not listener.connections:
                    await asyncio.sleep(0.01)
                while listener.connections:
                    await asyncio.sleep(0.02)
    finally:
        await listener.close(0)


async def test_the_end_lets_a_request_finish_and_takes_no_other() -> None:
    working, leave = asyncio.Event(), asyncio.Event()

    async def slow(*_: object, **__: object) -> ModelAnswer:
        working.set()
        await leave.wait()
        return ModelAnswer(200, {"content-type": "application/json"}, b'{"done":1}', Usage(0, 0, 0), 0)

    house = await build(call_model=slow)
    sockets = serve.bind("127.0.0.1", 0)
    client = Client(sockets[0].getsockname()[1])
    serving = serve.serve(house.gate, sockets, house.application.lifecycle, grace_s=60)
    await serving.__aenter__()
    assert house.application.lifecycle.phase is Phase.SERVING
    asking = asyncio.create_task(client.say(chat(house)))
    await working.wait()
    ending = asyncio.create_task(serving.__aexit__(None, None, None))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while house.application.lifecycle.phase is not Phase.STOPPING:
            await asyncio.sleep(0)
        with pytest.raises(OSError, match=r"refused|reset|Connect"):
            await asyncio.open_connection("127.0.0.1", client.port)
        assert not ending.done()
        leave.set()
        assert (await asking).endswith(b'{"done":1}')
        await ending


async def test_a_request_that_is_cancelled_before_it_begins_is_not_waited_for() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("it began")

    listener = serve.Listener(app, Bounds())
    task = asyncio.create_task(app({}, asyncio.sleep, asyncio.sleep))  # type: ignore[arg-type]
    listener._served.tasks.add(task)
    task.cancel()
    async with asyncio.timeout(1):
        await listener.close(10.0)
    assert task.cancelled()


async def test_what_does_not_end_in_its_grace_is_cancelled_and_may_settle() -> None:
    working, settled = asyncio.Event(), asyncio.Event()

    async def endless(*_: object, **__: object) -> ModelAnswer:
        working.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0.01)
            settled.set()
        raise AssertionError

    house = await build(call_model=endless)
    sockets = serve.bind("127.0.0.1", 0)
    client = Client(sockets[0].getsockname()[1])
    async with serve.serve(house.gate, sockets, house.application.lifecycle, grace_s=0.05):
        asking = asyncio.create_task(client.say(chat(house)))
        await working.wait()
    assert settled.is_set()
    answer = await asking
    assert status(answer) == 503
    assert b"x-request-id: " in answer
    assert b"shutting down" in answer


async def test_an_address_in_use_is_a_configuration_error() -> None:
    (taken,) = serve.bind("127.0.0.1", 0)
    with taken, pytest.raises(ConfigurationError, match="cannot listen"):
        serve.bind("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "chosen_by", "fix"),
    [
        (
            "127.0.0.1",
            "--listen HOST:PORT",
            "stop what listens there, or choose another address with --listen",
        ),
        ("127.0.0.1", "administration.listen", "choose another address with administration.listen"),
        ("192.0.2.1", "administration.listen", "this machine has no such address"),  # RFC 5737
    ],
)
async def test_the_repair_of_an_address_that_cannot_be_had_could_work(
    host: str, chosen_by: str, fix: str
) -> None:
    (taken,) = serve.bind("127.0.0.1", 0)
    with taken, pytest.raises(ConfigurationError) as caught:
        serve.bind(host, taken.getsockname()[1], chosen_by)
    assert fix in caught.value.fix
    assert chosen_by in caught.value.fix


async def test_the_collector_leaves_alone_what_was_there_before_and_only_while_it_serves(
    house: House,
) -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    async with serve.serve(house.gate, serve.bind("127.0.0.1", 0), house.application.lifecycle):
        assert gc.get_freeze_count() > before[1]
        assert gc.get_threshold() == serve.COLLECT_AFTER
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


async def test_nothing_is_printed(house: House, client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    await client.say(request(house))
    await client.say(b"nonsense\r\n\r\n")
    assert capfd.readouterr() == ("", "")


async def test_what_is_no_request_writes_no_line_into_the_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n"):
        assert status(await client.say(noise)) == 400
    assert caplog.records == []
