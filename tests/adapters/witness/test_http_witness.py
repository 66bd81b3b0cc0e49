"""A witness over real sockets: what it is asked, and every way in which an answer is none."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from tests.ports import held_port
from tests.services.signing.witness_house import KEY, NOW_S, witnesses
from tests.tlog.logs import octets
from tests.witness import Told, served

from macroslow.adapters.witness import HTTPWitness
from macroslow.errors import UpstreamUnavailableError
from macroslow.tlog import tree
from macroslow.tlog.note import parse
from macroslow.tlog.witness import MAX_ANSWER_BYTES, SIZE_TYPE, Cosigned, Inconsistent, OtherSize, cosignature

LEAVES = [octets(f"leaf {at}", 32) for at in range(5)]
ROOTS = [tree.root_of(LEAVES[:size]) for size in range(6)]


def checkpoint(size: int) -> bytes:
    return KEY.sign_checkpoint(size, ROOTS[size], time_s=NOW_S)


def proof(first: int, second: int) -> list[bytes]:
    return tree.consistency_proof(first, second, lambda _level, _index, width: b"".join(LEAVES[:width]))


@asynccontextmanager
async def asked(url: str, timeout_s: float = 10.0) -> AsyncIterator[HTTPWitness]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield HTTPWitness("w", url, session, aiohttp.ClientTimeout(total=timeout_s))


@pytest.mark.parametrize("name", ["w", "w-q"])
async def test_the_answers_of_the_protocol_are_read(name: str) -> None:
    (own,) = witnesses(name)
    async with served(own), asked(own.url) as witness:
        answer = await witness.add_checkpoint(0, [], checkpoint(2))
        assert isinstance(answer, Cosigned)
        line, time_s = cosignature(parse(checkpoint(2)), answer.lines, own.key.public, now_s=NOW_S)
        assert (line.name, time_s) == (name, NOW_S)
        assert await witness.add_checkpoint(0, [], checkpoint(5)) == OtherSize(2)
        assert isinstance(await witness.add_checkpoint(2, proof(2, 5), checkpoint(5)), Cosigned)
        assert (
            await witness.add_checkpoint(5, [], KEY.sign_checkpoint(5, ROOTS[4], time_s=0)) == Inconsistent()
        )
    assert own.asked == [0, 0, 2, 5]


async def test_one_connection_serves_all_questions() -> None:
    peers = set()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        await request.read()
        return web.Response(status=409, body=b"7\n", headers={"content-type": SIZE_TYPE})

    async with listening(handle) as url, asked(url) as witness:
        for _ in range(5):
            assert await witness.add_checkpoint(0, [], checkpoint(2)) == OtherSize(7)
    assert len(peers) == 1


@asynccontextmanager
async def listening(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


SIZED = {"content-type": SIZE_TYPE}


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (201, {}, b"", "status 201"),
        (204, {}, b"", "status 204"),
        (301, {"location": "/elsewhere"}, b"", "status 301"),
        (307, {"location": "/elsewhere"}, b"", "status 307"),
        (400, {}, b"<html>", "status 400"),
        (403, {}, b"", "log's key"),
        (404, {}, b"", "origin"),
        (429, {}, b"", "too often"),
        (500, {}, b"", "status 500"),
        (503, {}, b"x" * 1_000_000, "status 503"),
        (409, {}, b"7\n", "status 409"),
        (409, {"content-type": "text/plain"}, b"7\n", "status 409"),
        (409, SIZED, b"7", "without a size"),
        (409, SIZED, b"07\n", "without a size"),
        (409, SIZED, b"-1\n", "without a size"),
        (409, SIZED, b"", "without a size"),
        (409, SIZED, b"9" * 19 + b"\n", "without a size"),
        (409, SIZED, b"1" * 100_000, "larger than any"),
        (200, {}, b"x" * (MAX_ANSWER_BYTES + 1), "larger than any"),
        (200, {"content-encoding": "gzip"}, gzip.compress(bytes(50_000_000)), "compressed"),
    ],
)
async def test_every_other_answer_is_told_as_what_it_is(
    status: int, headers: dict[str, str], body: bytes, said: str
) -> None:
    paths = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        paths.append((request.method, request.path))
        await request.read()
        return web.Response(status=status, headers=headers, body=body)

    async with listening(handle) as url, asked(url + "/prefix") as witness:
        with pytest.raises(UpstreamUnavailableError, match=said) as refused:
            await witness.add_checkpoint(0, [], checkpoint(2))
    assert paths == [("POST", "/prefix/add-checkpoint")]
    assert refused.value.upstream == "w"
    assert refused.value.reason in refused.value.detail


async def test_a_body_without_an_end_is_not_read_to_its_end() -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        except ConnectionError:
            return response

    async with listening(handle) as url, asked(url) as witness:
        with pytest.raises(UpstreamUnavailableError, match="larger than any"):
            await witness.add_checkpoint(0, [], checkpoint(2))


async def test_one_that_does_not_answer_is_left_in_time() -> None:
    leave = asyncio.Event()

    async def handle(_request: web.BaseRequest) -> web.StreamResponse:
        await leave.wait()
        return web.Response()

    async with listening(handle) as url, asked(url, timeout_s=0.05) as witness:
        with pytest.raises(UpstreamUnavailableError, match="in time"):
            await witness.add_checkpoint(0, [], checkpoint(2))
        leave.set()


@pytest.mark.parametrize(
    "raw", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort"]
)
async def test_one_that_breaks_off_or_speaks_no_http_is_out_of_reach(raw: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, asked(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as witness:
        with pytest.raises(UpstreamUnavailableError, match="cannot be reached"):
            await witness.add_checkpoint(0, [], checkpoint(2))


async def test_one_that_is_not_there_is_out_of_reach() -> None:
    with held_port() as port:
        async with asked(f"http://127.0.0.1:{port}") as witness:
            with pytest.raises(UpstreamUnavailableError, match="cannot be reached"):
                await witness.add_checkpoint(0, [], checkpoint(2))


async def test_faults_of_our_own_witness_come_through_http() -> None:
    (own,) = witnesses("w")
    own.fault = lambda _: Told(422)
    async with served(own), asked(own.url) as witness:
        assert await witness.add_checkpoint(0, [], checkpoint(2)) == Inconsistent()
        own.down = True
        with pytest.raises(UpstreamUnavailableError, match="503"):
            await witness.add_checkpoint(0, [], checkpoint(2))
