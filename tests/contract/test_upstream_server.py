"""What every `UpstreamServer` does, whichever wire it speaks over: the same results, errors and words.

One server is a program of its own behind pipes, the other listens on the loopback; both say the same.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import orjson
import pytest
from tests.contract import upstream_program
from tests.contract.upstream_program import FORGED, TOOL, says
from tests.outbound.raw import Peer, serving

from macroslow.adapters.mcp_http import Endpoint, MCPOverHTTP
from macroslow.adapters.mcp_stdio import StdioServer
from macroslow.errors import TooLargeError, UpstreamRefusedError, UpstreamUnavailableError
from macroslow.mcp.clean_text import is_clean
from macroslow.mcp.upstream import UpstreamServer

MAX_RESULT_BYTES = 2 * 1024 * 1024
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Piped:
    """Implements Streams: a program without a box."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    async def read(self, most_bytes: int) -> bytes:
        return await self._out.read(most_bytes)

    async def write(self, data: bytes) -> None:
        self._in.write(data)
        await self._in.drain()

    def hang_up(self) -> None:
        self._in.close()

    async def ended(self) -> str:
        return f"it ended with exit code {await self._process.wait()}"

    def last_words(self) -> str:
        return ""

    async def close(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class Programs:
    """Implements Programs."""

    def __init__(self, form: str) -> None:
        self._command = (sys.executable, "-I", "-S", str(upstream_program.__file__), form)

    async def start(self) -> Piped:
        pipe = asyncio.subprocess.PIPE
        return Piped(await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe))

    async def close(self) -> None:
        return


def talking(form: str) -> Callable[[Peer], Awaitable[None]]:
    """The same over HTTP: each message an event; without an answer the stream stays open."""

    async def talk(peer: Peer) -> None:
        while True:
            asked = orjson.loads(await peer.request())
            messages = list(says(asked, form))
            events = [b"data: " + message + b"\n\n" for message in messages]
            await peer.say(STREAM + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events))
            if not messages or b'"id"' not in messages[-1]:
                await peer.until_gone()
                return
            await peer.say(b"0\r\n\r\n")

    return talk


Make = Callable[[str], Awaitable[UpstreamServer]]


@pytest.fixture(params=["http", "stdio"])
async def server_of(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    """Makes a server of one form, for either wire."""
    async with AsyncExitStack() as stack:

        async def make(form: str) -> UpstreamServer:
            if request.param == "http":
                there = await stack.enter_async_context(serving(talking(form)))
                endpoint = Endpoint("tested", f"http://127.0.0.1:{there.port}/mcp", {})
                server: UpstreamServer = MCPOverHTTP("tested", endpoint, max_result_bytes=MAX_RESULT_BYTES)
            else:
                server = StdioServer("tested", ("it",), Programs(form), max_result_bytes=MAX_RESULT_BYTES)
            stack.push_async_callback(server.close)
            return server

        yield make


@pytest.fixture
async def server(server_of: Make) -> UpstreamServer:
    """One whose lists are good, and were looked at."""
    made = await server_of("good")
    await made.discover()
    return made


async def call(server: UpstreamServer, name: str = "good", **options: Any) -> Any:
    return await server.call_tool(name, {"a": [1, "\u00e4"]}, **{"timeout_s": 30, **options})


async def goes_on(server: UpstreamServer) -> bool:
    return bool(await call(server) == {"content": [], "told": {"a": [1, "\u00e4"]}})


async def test_what_it_offers_and_answers_is_as_it_said_it(server: UpstreamServer) -> None:
    found = await server.discover()
    assert (found.identity.name, found.identity.protocol) == ("contract", "2026-07-28")
    assert found.tools == ({**TOOL, "x": "plain"},)
    assert await goes_on(server)


async def test_lists_that_are_deep_are_an_error_of_the_port_and_no_other(server_of: Make) -> None:
    server = await server_of("deep")
    for _ in range(2):
        with pytest.raises(
            UpstreamUnavailableError, match=r"^the MCP server tested gave no answer: .*levels"
        ):
            await server.discover()
    assert await goes_on(server)


async def test_a_deep_result_is_no_answer(server: UpstreamServer) -> None:
    with pytest.raises(UpstreamUnavailableError, match=r"^the MCP server tested gave no answer: .*levels"):
        await call(server, "deep")
    assert await goes_on(server)


async def test_its_words_of_an_error_are_clean_and_short_on_one_line_and_its_code_is_no_status(
    server: UpstreamServer,
) -> None:
    with pytest.raises(UpstreamRefusedError) as refused:
        await call(server, "error")
    detail = refused.value.detail
    assert detail.startswith("the MCP server tested refused: no[2J ERROR forged linexxx")
    assert len(detail) < 600
    assert detail.isprintable()
    assert is_clean(str(refused.value))
    assert refused.value.status == 0
    assert await goes_on(server)


async def test_an_error_without_words_has_ours(server: UpstreamServer) -> None:
    with pytest.raises(UpstreamRefusedError, match=r"^the MCP server tested refused: error 0$"):
        await call(server, "strange error")


async def test_reports_have_clean_words_and_numbers_and_are_of_this_call(server: UpstreamServer) -> None:
    told: list[tuple[float, float | None, str]] = []

    async def tell(done: float, total: float | None, words: str) -> None:
        told.append((done, total, words))

    await call(server, "progress", progress=tell)
    (first, second) = told
    assert first[:2] == (1.0, 2.0)
    assert first[2].startswith("no[2J ERROR forged linexxx")
    assert len(first[2]) < len(FORGED)
    assert first[2].isprintable()
    assert second == (2.0, None, "")


@pytest.mark.parametrize("name", ["another's", "many lists"])
async def test_what_is_no_answer_is_nobodys(server: UpstreamServer, name: str) -> None:
    with pytest.raises(UpstreamUnavailableError, match=r"^the MCP server tested "):
        await call(server, name, timeout_s=1.0)
    assert await goes_on(server)


@pytest.mark.parametrize("name", ["wants input", "strange end"])
async def test_a_result_that_is_not_the_end_is_refused(server: UpstreamServer, name: str) -> None:
    with pytest.raises(UpstreamRefusedError, match=r"^the MCP server tested asks for further input"):
        await call(server, name)
    assert await goes_on(server)


async def test_a_huge_answer_is_refused_in_the_same_words(server: UpstreamServer) -> None:
    with pytest.raises(TooLargeError) as refused:
        await call(server, "huge")
    assert (
        refused.value.detail == f"the answer of the MCP server tested is larger than {MAX_RESULT_BYTES} bytes"
    )
    assert (refused.value.step, refused.value.fix) == ("upstream", "ask it for less at once")
    assert refused.value.limit_bytes == MAX_RESULT_BYTES
    assert await goes_on(server)


async def test_a_call_that_takes_too_long_says_so_in_the_same_words(server: UpstreamServer) -> None:
    async def tell(*_: object) -> None:
        return

    with pytest.raises(UpstreamUnavailableError, match=r"^the MCP server tested did not answer in time$"):
        await call(server, "hang", timeout_s=0.5, progress=tell)
    assert await goes_on(server)


async def test_a_caller_who_leaves_leaves_the_others_their_answers(server: UpstreamServer) -> None:
    asked = asyncio.Event()

    async def tell(*_: object) -> None:
        asked.set()

    calling = asyncio.create_task(call(server, "hang", progress=tell))
    await asked.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await goes_on(server)


async def test_a_change_that_it_tells_is_heard(server_of: Make) -> None:
    server = await server_of("noisy")
    await server.discover()
    async with asyncio.timeout(30):
        await server.changed()
