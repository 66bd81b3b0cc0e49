"""One conversation over a program's streams: requests and their answers, matched by ids of ours.

Whatever the program writes is hostile. A line that is no message, an answer to nothing that was asked, a
second answer, a request of its own: all are dropped, counted, and too many of them end the conversation.
Nothing is ever sent twice.

Source: MCP 2026-07-28 and 2025-11-25, "Transports" (stdio), "Cancellation", "Progress"; JSON-RPC 2.0.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import orjson

from macroslow.adapters.mcp_stdio import drops
from macroslow.adapters.mcp_stdio.drops import Drop, Drops
from macroslow.adapters.mcp_stdio.lines import Lines, Overlong
from macroslow.adapters.mcp_stdio.ports import Streams
from macroslow.mcp.client.rpc import (
    METHOD_NOT_FOUND,
    NoAnswerError,
    Reply,
    Report,
    answer_to,
    is_list_change,
    message_of,
    notification,
    progress_of,
    request,
)
from macroslow.mcp.upstream import JSON, Progress

MAX_LINE_BYTES: Final = 8 * 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_OUTGOING: Final = 64  # lines that wait for the program to read them
_END_S: Final = 2.0  # for a program whose streams have ended to end itself
_WRITE_S: Final = 30.0  # for so long it may read nothing
_LAST_REPORTS_S: Final = 1.0  # after the answer, for what was reported before it to be told
_PROGRESS: Final = 16  # reports of one call that wait to be told; more are left out
_IDS: Final = (str, int, type(None))  # what the id of a message may be; none for a notification
_MAX_ASKED_BYTES: Final = 64 * 1024  # of a request of the server's own that is answered
log: Final = logging.getLogger("macroslow.mcp")


class BrokenOffError(Exception):
    """The conversation is over. Its text says how, in words about the server ("it …")."""


class TooLongError(Exception):
    """The answer is longer than a line may be."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request whose answer is waited for. `reports` are of its progress."""

    answer: "asyncio.Future[tuple[JSON, int]]"  # the message, and the length of its line
    reports: "asyncio.Queue[Report | None] | None"  # None: no more will come


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
    ) -> Reply:
        """Send one request, return its result.

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
            return Reply(answer_to(number, message), length_bytes)
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

    def listen(self, version: str, wanted: JSON) -> None:
        """Ask to be told of changes; the answer comes when that ends, and nobody waits for it."""
        self._say(request(next(self._numbers), "subscriptions/listen", wanted, version))

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
        """End the conversation when either direction ends, whatever ended it, and say how the program did."""
        how = ""
        try:
            with contextlib.suppress(OSError):
                how = await work()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    how = how or await self.streams.ended()
        except Exception:  # nobody is above this task: a conversation that goes on unheard would never end
            log.exception("a conversation with an MCP server broke off")
            how = "the conversation with it failed in the gateway"
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
            message = message_of(line)
        except NoAnswerError:
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
        if not isinstance(method, str) or type(number) not in _IDS:
            self.drops.note(Drop.NOT_JSON, length_bytes)
        elif number is not None:
            self.drops.note(Drop.REQUEST, length_bytes)
            if length_bytes <= _MAX_ASKED_BYTES:  # what is longer would wait here with its id
                self._say(_reply(method, number))
        else:
            self.drops.note(Drop.NOTIFICATION, length_bytes)
            if method == "notifications/progress":
                self._hear_progress(message.get("params"))
            elif is_list_change(method):
                self.changed()

    def _hear_progress(self, params: object) -> None:
        token, report = progress_of(params) or (None, None)
        waiting = None if token is None else self._waiting.get(token)
        if waiting is not None and waiting.reports is not None:
            with contextlib.suppress(asyncio.QueueFull):
                waiting.reports.put_nowait(report)


def _reply(method: str, number: object) -> bytes:
    """To a request of the server's: we are alive, and can do nothing for it."""
    if method == "ping":
        return orjson.dumps({"jsonrpc": "2.0", "id": number, "result": {}})
    error = {"code": METHOD_NOT_FOUND, "message": "Method not found"}
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "error": error})


async def _tell(reports: "asyncio.Queue[Report | None]", progress: Progress) -> None:
    while (report := await reports.get()) is not None:
        await progress(*report)
