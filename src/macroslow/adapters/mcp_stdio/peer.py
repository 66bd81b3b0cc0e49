"""One conversation over a program's streams: requests and their answers, matched by ids of ours.

Whatever the program writes is hostile. A line that is no message, an answer to nothing that was asked, a
second answer, a request of its own: all are dropped, counted, and too many of them end the conversation.
Nothing is ever sent twice.

Source: MCP 2026-07-28 and 2025-11-25, "Transports" (stdio), "Cancellation", "Progress"; JSON-RPC 2.0.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeGuard

import orjson

from macroslow.adapters.mcp_stdio import drops
from macroslow.adapters.mcp_stdio.drops import Drop, Drops
from macroslow.adapters.mcp_stdio.lines import Lines, Overlong
from macroslow.adapters.mcp_stdio.ports import Streams
from macroslow.mcp.asking import METHOD_NOT_FOUND, answer_to, notification, request
from macroslow.mcp.upstream import JSON, Progress

MAX_LINE_BYTES: Final = 8 * 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_OUTGOING: Final = 64  # lines that wait for the program to read them
_END_S: Final = 2.0  # for a program whose streams have ended to end itself
_WRITE_S: Final = 30.0  # for so long it may read nothing
_LAST_REPORTS_S: Final = 1.0  # after the answer, for what was reported before it to be told
_PROGRESS: Final = 16  # reports of one call that wait to be told; more are left out
_MAX_ASKED_BYTES: Final = 64 * 1024  # of a request of the server's own that is answered
_MAX_WORDS: Final = 1000  # characters of a report
_Report = tuple[float, float | None, str]
_CHANGES: Final = frozenset(
    f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources")
)


class BrokenOffError(Exception):
    """The conversation is over. Its text says how, in words about the server ("it …")."""


class TooLongError(Exception):
    """The answer is longer than a line may be."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request whose answer is waited for. `reports` are of its progress."""

    answer: "asyncio.Future[tuple[JSON, int]]"  # the message, and the length of its line
    reports: "asyncio.Queue[_Report | None] | None"  # None: no more will come


@dataclass(slots=True, eq=False)
class Peer:
    """The program's other side, from its start to its end. `changed` is called when it says its lists did."""

    streams: Streams
    changed: Callable[[], None]
    cap_bytes: int = MAX_LINE_BYTES
    drops: Drops = field(default_factory=Drops)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _waiting: dict[int, _Waiting] = field(default_factory=dict)
    _outgoing: "asyncio.Queue[bytes]" = field(default_factory=lambda: asyncio.Queue(_OUTGOING))
    over: asyncio.Event = field(default_factory=asyncio.Event)
    how: str = ""  # the conversation ended, once it has
    _tasks: "list[asyncio.Task[None]]" = field(default_factory=list)
    _closing: "asyncio.Task[None] | None" = None

    def begin(self) -> None:
        """Start to listen and to write."""
        self._tasks = [
            asyncio.create_task(self._guard(self._read)),
            asyncio.create_task(self._guard(self._write)),
        ]

    async def ask(
        self,
        method: str,
        params: JSON,
        version: str | None,
        timeout_s: float,
        progress: Progress | None = None,
    ) -> tuple[JSON, int]:
        """Send one request, return its result and the length of the line that had it.

        RPCError for an error, BrokenOffError if the program ends before it answers, TooLongError,
        TimeoutError (then, as when the caller is cancelled, the program is told that nobody waits any more).
        """
        number = next(self._numbers)
        token = None if progress is None else number
        line = request(number, method, params, version, progress_token=token) + b"\n"
        waiting = _Waiting(
            asyncio.get_running_loop().create_future(), None if progress is None else asyncio.Queue(_PROGRESS)
        )
        self._waiting[number] = waiting
        try:
            if self.over.is_set():
                raise BrokenOffError(self.how)
            async with asyncio.timeout(timeout_s):
                await self._outgoing.put(line)
                message, length_bytes = await self._answer(waiting, progress)
            return answer_to(number, message), length_bytes
        except (TimeoutError, asyncio.CancelledError):
            self._say(
                notification("notifications/cancelled", {"requestId": number, "reason": "not waited for"})
            )
            raise
        finally:
            self._waiting.pop(number, None)
            if waiting.answer.done() and not waiting.answer.cancelled():
                waiting.answer.exception()  # looked at, whether or not the caller still wanted it

    async def _answer(self, waiting: _Waiting, progress: Progress | None) -> tuple[JSON, int]:
        if progress is None or waiting.reports is None:
            return await waiting.answer
        telling = asyncio.create_task(_tell(waiting.reports, progress))
        try:
            answer = await waiting.answer
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_REPORTS_S):
                    await waiting.reports.put(None)
                    await asyncio.wait({telling})
            return answer
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    def notify(self, method: str) -> None:
        """Send a notification without parameters."""
        self._say(notification(method))

    def listen(self, version: str, filters: Mapping[str, bool]) -> None:
        """Ask to be told of changes; the answer comes when that ends, and nobody waits for it."""
        self._say(request(next(self._numbers), "subscriptions/listen", {"notifications": filters}, version))

    async def close(self, grace_s: float) -> None:
        """Ask the program to end, wait for so long, then end it. Once, however often it is called."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(grace_s))
        await asyncio.shield(self._closing)

    async def _close(self, grace_s: float) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._end("it was stopped")
        self.streams.hang_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.streams.ended()
        await self.streams.close()

    def _say(self, line: bytes) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._outgoing.put_nowait(line + b"\n")

    def _end(self, how: str) -> None:
        """The conversation is over: whoever waits is told so."""
        if not self.over.is_set():
            self.how = how
            self.over.set()
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(BrokenOffError(self.how))
        self._waiting.clear()

    async def _guard(self, work: Callable[[], Awaitable[str]]) -> None:
        """End the conversation when either direction ends, and say how the program did."""
        how = ""
        with contextlib.suppress(OSError):
            how = await work()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                how = how or await self.streams.ended()
        self._end(how or "it closed its standard streams")

    async def _write(self) -> str:
        while True:
            line = await self._outgoing.get()
            try:
                async with asyncio.timeout(_WRITE_S):
                    await self.streams.write(line)
            except TimeoutError:  # half a line may be in the pipe: nothing more can be said
                return "it does not read what it is asked"

    async def _read(self) -> str:
        lines = Lines(self.cap_bytes)
        while chunk := await self.streams.read(_CHUNK_BYTES):
            for line in lines.feed(chunk):
                self._hear(line)
                if self.drops.flood:
                    return "it floods its standard output"
            if lines.passed_bytes > drops.MAX_USELESS_BYTES:
                return "it writes a line without an end"
            await asyncio.sleep(0)  # a program that always has more to say must not keep us from the rest
        return ""

    def _hear(self, line: bytes | Overlong) -> None:
        if isinstance(line, Overlong):
            self.drops.note(Drop.TOO_LONG, line.length_bytes)
            waiting = self._waiting.pop(line.number, None) if line.number is not None else None
            if waiting is not None and not waiting.answer.done():
                waiting.answer.set_exception(TooLongError())
            return
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            self.drops.note(Drop.NOT_JSON, len(line))
        elif "method" in message:
            self._hear_of_itself(message, len(line))
        else:
            self._hear_answer(message, len(line))

    def _hear_answer(self, message: JSON, length_bytes: int) -> None:
        number = message.get("id")
        waiting = self._waiting.pop(number, None) if type(number) is int else None
        if waiting is None or waiting.answer.done():
            self.drops.note(Drop.UNKNOWN_ID, length_bytes)
            return
        waiting.answer.set_result((message, length_bytes))

    def _hear_of_itself(self, message: JSON, length_bytes: int) -> None:
        """A request of the server's, or a notification."""
        method, number = message["method"], message.get("id")
        if number is not None:
            self.drops.note(Drop.REQUEST, length_bytes)
            if length_bytes <= _MAX_ASKED_BYTES:  # what is longer would wait here with its id
                self._say(_reply(method, number))
        elif method == "notifications/progress":
            self._hear_progress(message.get("params"), length_bytes)
        else:
            self.drops.note(Drop.NOTIFICATION, length_bytes)
            if method in _CHANGES:
                self.changed()

    def _hear_progress(self, params: object, length_bytes: int) -> None:
        told = params if isinstance(params, dict) else {}
        token, done, total, words = (
            told.get(name) for name in ("progressToken", "progress", "total", "message")
        )
        waiting = self._waiting.get(token) if type(token) is int else None
        self.drops.note(Drop.NOTIFICATION, length_bytes)
        if waiting is None or waiting.reports is None or not _is_number(done):
            return
        with contextlib.suppress(asyncio.QueueFull):
            waiting.reports.put_nowait(
                (
                    done,
                    total if _is_number(total) else None,
                    words[:_MAX_WORDS] if isinstance(words, str) else "",
                )
            )


def _reply(method: object, number: object) -> bytes:
    """To a request of the server's: we are alive, and can do nothing for it."""
    if method == "ping":
        return orjson.dumps({"jsonrpc": "2.0", "id": number, "result": {}})
    error = {"code": METHOD_NOT_FOUND, "message": "Method not found"}
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "error": error})


async def _tell(reports: "asyncio.Queue[_Report | None]", progress: Progress) -> None:
    while (report := await reports.get()) is not None:
        await progress(*report)


def _is_number(told: object) -> TypeGuard[float]:
    return isinstance(told, int | float) and not isinstance(told, bool)
