"""A program whose other end is a test: streams in memory, and what it was sent as messages."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import pytest

from macroslow.adapters.mcp_stdio import StdioServer

Behaviour = Callable[["ScriptedProgram"], Awaitable[str]]


class ScriptedProgram:
    """Implements Streams. `behaviour` is the program; what it returns says how it ended."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.heard: list[dict[str, Any]] = []
        self.closed = False
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self._told: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._life = asyncio.create_task(self._live(behaviour))

    async def _live(self, behaviour: Behaviour) -> str:
        try:
            return await behaviour(self)
        finally:
            self._said.put_nowait(b"")

    # What the program does.

    async def hear(self) -> dict[str, Any]:
        """The next message to it; EOFError once its input was closed."""
        message = await self._told.get()
        if message is None:
            raise EOFError
        self.heard.append(message)
        return message

    def say(self, *messages: Any) -> None:
        for message in messages:
            text = message if isinstance(message, bytes) else json.dumps(message).encode()
            self._said.put_nowait(text + b"\n")

    def answer(self, message: dict[str, Any], result: Any) -> None:
        self.say({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def refuse(self, message: dict[str, Any], code: int, words: str = "no") -> None:
        self.say({"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": words}})

    # What the sandbox does.

    async def read(self, most_bytes: int) -> bytes:
        return await self._said.get()

    async def write(self, data: bytes) -> None:
        if self._life.done():
            raise BrokenPipeError
        for line in data.splitlines():
            self._told.put_nowait(json.loads(line))

    def hang_up(self) -> None:
        self._told.put_nowait(None)

    async def ended(self) -> str:
        try:
            return await asyncio.shield(self._life)
        except EOFError:
            return "it ended with exit code 0"

    def last_words(self) -> str:
        return ""

    async def close(self) -> None:
        self.closed = True
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)


class ScriptedPrograms:
    """Implements Programs: each start behaves as the next of the behaviours says."""

    def __init__(self, behaviours: Iterable[Behaviour]) -> None:
        self.started: list[ScriptedProgram] = []
        self.closed = False
        self._turns = iter(behaviours)

    async def start(self) -> ScriptedProgram:
        self.started.append(ScriptedProgram(next(self._turns)))
        return self.started[-1]

    async def close(self) -> None:
        self.closed = True


Make = Callable[..., StdioServer]


@pytest.fixture
async def server_of() -> AsyncIterator[Make]:
    """Makes a server that behaves, at each of its starts, as the next of the behaviours says."""
    made: list[tuple[StdioServer, ScriptedPrograms]] = []

    def make(*behaviours: Behaviour, pause_s: float = 0.0, max_result_bytes: int = 10_000) -> StdioServer:
        programs = ScriptedPrograms(behaviours)
        server = StdioServer("files", ("files-server", "/srv"), programs, max_result_bytes=max_result_bytes)
        server._connection.first_pause_s = pause_s
        made.append((server, programs))
        return server

    yield make
    for server, programs in made:
        await server.close()
        assert programs.closed
        assert all(program.closed for program in programs.started)
