"""A box's proxy: the named hosts, at addresses where they may be, and nothing else (N27)."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.adapters.sandbox import _way_out
from macroslow.adapters.sandbox._boxes import Boxes
from macroslow.adapters.sandbox._proxy_request import body, read_head
from macroslow.adapters.sandbox._way_out import WayOut
from macroslow.workflow.box import Host, Program

Speak = Callable[[bytes], Any]


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A service on loopback that answers with what it heard, and its port."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1000):
            heard.append(chunk)
            writer.write(b"heard: " + chunk)
            await writer.drain()
            if b"Connection: close" in chunk:
                break
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], heard


@contextlib.asynccontextmanager
async def all_heard() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A service on loopback that hears a connection to its end before it answers, and its port."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.write(b"heard")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], heard


@contextlib.asynccontextmanager
async def proxy(*hosts: Host) -> AsyncIterator[Speak]:
    """A way out, as a function that says something to it and returns all that it answers."""
    way_out = WayOut("files", hosts)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    async def speak(said: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async with way_out.serve(listener):
        yield speak


async def test_a_named_host_is_tunnelled_to() -> None:
    async with echo() as (port, heard), proxy(Host("127.0.0.1", port)) as speak:
        answer = await speak(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\nhello" % port)
        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\nheard: hello"
        assert heard == [b"hello"]


async def test_a_plain_request_goes_on_alone_without_what_was_meant_for_the_proxy() -> None:
    async with all_heard() as (port, heard), proxy(Host("127.0.0.1", port)) as speak:
        target = b"127.0.0.1:%d" % port
        said = (
            b"POST http://"
            + target
            + b"/a?b=c HTTP/1.1\r\nHost: elsewhere\r\nProxy-Authorization: secret\r\n"
        )
        said += b"Connection: keep-alive\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nhi"
        assert await speak(said) == b"heard"
        head = b"".join(heard)
        assert head.startswith(b"POST /a?b=c HTTP/1.1\r\n")
        assert b"Host: " + target + b"\r\n" in head
        assert b"X-Own: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi" in head
        assert b"secret" not in head
        assert b"elsewhere" not in head


@pytest.mark.parametrize(
    ("fields", "said", "sent"),
    [
        (b"", b"", b""),
        (b"Content-Length: 2\r\n", b"hi", b"hi"),
        (b"Transfer-Encoding: Chunked\r\n", b"2;x=y\r\nhi\r\n0\r\nX: y\r\n\r\n", b"2\r\nhi\r\n0\r\n\r\n"),
    ],
)
async def test_of_a_connection_one_request_goes_on_and_nothing_behind_it(
    fields: bytes, said: bytes, sent: bytes
) -> None:
    second = b"GET /admin HTTP/1.1\r\nHost: internal.example\r\n\r\n"
    async with all_heard() as (port, heard), proxy(Host("127.0.0.1", port)) as speak:
        target = b"127.0.0.1:%d" % port
        await speak(b"POST http://" + target + b"/ HTTP/1.1\r\n" + fields + b"\r\n" + said + second)
        whole = b"POST / HTTP/1.1\r\nHost: " + target + b"\r\n" + fields + b"Connection: close\r\n\r\n" + sent
        assert b"".join(heard) == whole


@pytest.mark.parametrize(
    "fields",
    [
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Content-Length: ",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
    ],
)
async def test_a_request_whose_end_can_be_read_in_two_ways_is_refused(fields: str) -> None:
    async with echo() as (port, heard), proxy(Host("127.0.0.1", port)) as speak:
        said = f"POST http://127.0.0.1:{port}/ HTTP/1.1\r\n{fields}\r\n\r\n0\r\n\r\n"
        assert (await speak(said.encode())).startswith(b"HTTP/1.1 400 ")
        assert heard == []


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=4), st.binary(max_size=20))
async def test_chunks_are_read_to_their_end_and_no_further(chunks: list[bytes], behind: bytes) -> None:
    whole = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    reader = asyncio.StreamReader()
    reader.feed_data(whole + behind)
    reader.feed_eof()
    assert b"".join([piece async for piece in body(reader, None)]) == whole
    assert await reader.read() == behind


@pytest.mark.parametrize("said", [b"", b"2\r\nh", b"2\r\nhiX\r\n", b"-1\r\n", b"0x2\r\nhi\r\n", b"2\nhi\r\n"])
async def test_chunks_that_are_none_are_broken_off(said: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(said)
    reader.feed_eof()
    with pytest.raises((EOFError, ValueError)):
        b"".join([piece async for piece in body(reader, None)])


@pytest.mark.parametrize(
    "authority",
    [
        "127.0.0.1:1", "127.0.0.2:{port}", "localhost:{port}", "127.1:{port}", "2130706433:{port}",
        "0177.0.0.1:{port}", "0x7f.0.0.1:{port}", "[::ffff:127.0.0.1]:{port}", "127.0.0.1.:{port}",
        "169.254.169.254:80", "user@127.0.0.1:{port}", "127.0.0.1:{port}@evil.example:{port}", "127.0.0.1",
    ],
)  # fmt: skip
async def test_n27_what_was_not_named_to_the_letter_is_refused_and_never_dialled(authority: str) -> None:
    async with echo() as (port, heard), proxy(Host("127.0.0.1", port)) as speak:
        for said in ("CONNECT {} HTTP/1.1\r\n\r\n", "GET http://{}/ HTTP/1.1\r\n\r\n"):
            answer = await speak(said.format(authority.format(port=port)).encode())
            assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ")), answer
        assert heard == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["10.0.0.1", "192.168.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1"],
    ],
)
async def test_n27_a_name_that_leads_into_a_private_network_is_refused(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def look_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(None, None, None, "", (address, port)) for address in addresses]

    async with echo() as (port, heard), proxy(Host("api.example", port)) as speak:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        answer = await speak(b"CONNECT api.example:%d HTTP/1.1\r\n\r\nhello" % port)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"private network" in answer
        assert asked == ["api.example"]  # once: what was checked is what would be dialled
        assert heard == []


async def test_of_a_names_addresses_only_the_public_ones_are_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = []

    async def look_up(_host: str, port: int, **_: Any) -> list[Any]:
        return [(None, None, None, "", (address, port)) for address in ("127.0.0.1", "192.0.2.1", "1.1.1.1")]

    async def dial(address: str, port: int) -> Any:
        dialled.append((address, port))
        raise OSError

    way_out = WayOut("files", (Host("api.example", 443),))
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    monkeypatch.setattr(asyncio, "open_connection", dial)
    with pytest.raises(_way_out._RefusedError, match="could not be reached"):
        await way_out._connect(Host("api.example", 443))
    assert dialled == [("1.1.1.1", 443)]


async def test_no_more_connections_than_the_bound_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_way_out, "MAX_CONNECTIONS", 2)
    async with echo() as (port, _), proxy(Host("127.0.0.1", port)) as speak:
        start = b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % port
        assert (await speak(start + b"1")).endswith(b"heard: 1")
        monkeypatch.setattr(_way_out, "MAX_CONNECTIONS", 0)
        with contextlib.suppress(ConnectionError):
            assert await speak(start) == b""


@given(st.binary(max_size=200))
def test_a_head_is_read_or_refused_whatever_it_is(noise: bytes) -> None:
    for head in (
        noise,
        b"CONNECT " + noise + b" HTTP/1.1\r\n\r\n",
        b"GET http://" + noise + b" HTTP/1.1\r\n\r\n",
    ):
        try:
            asked = read_head(head)
        except ValueError:
            continue
        assert asked.tunnel == head.startswith(b"CONNECT ")
        assert asked.first.count(b"\r\n\r\n") == (0 if asked.tunnel else 1)


ASKS = """
import os, socket, urllib.request, json
def via(url):
    try:
        return urllib.request.urlopen(url, timeout=20).read().decode()
    except Exception as error:
        return type(error).__name__ + " " + str(error)
said = {"named": via("http://127.0.0.1:PORT/x"), "other": via("http://127.0.0.1:1/")}
for name, address in (("straight", ("127.0.0.1", PORT)), ("cloud", ("169.254.169.254", 80))):
    try:
        socket.create_connection(address, timeout=20)
        said[name] = "BREACH"
    except OSError as error:
        said[name] = "contained"
said["names"] = sorted(name for name in os.environ if "PROXY" in name.upper())
print(json.dumps(said))
"""


async def test_n27_a_program_reaches_its_named_host_through_the_proxy_and_nothing_besides(
    box_python: Any,
) -> None:
    python, mounts = box_python
    async with echo() as (port, heard):
        code = ASKS.replace("PORT", str(port))
        boxes = Boxes(Program("asks", (*python, code), mounts, (Host("127.0.0.1", port),)))
        box = await boxes.start({"NO_PROXY": "", "no_proxy": ""})
        try:
            said = b""
            while chunk := await box.read(65536):
                said += chunk
        finally:
            await box.close()
            await boxes.close()
    answers = json.loads(said)
    assert b"GET /x HTTP/1.1" in heard[0]
    assert "403" in answers["other"]
    assert (answers["straight"], answers["cloud"]) == ("contained", "contained")
    assert {"HTTPS_PROXY", "HTTP_PROXY", "NODE_USE_ENV_PROXY", "NO_PROXY"} <= set(answers["names"])


async def test_n27_without_hosts_there_is_no_proxy_at_all(box_python: Any) -> None:
    python, mounts = box_python
    boxes = Boxes(Program("asks", (*python, "import os; print(sorted(os.environ))"), mounts))
    box = await boxes.start({})
    try:
        assert b"PROXY" not in await box.read(65536)
        assert box.process.listener is None
    finally:
        await box.close()
        await boxes.close()
