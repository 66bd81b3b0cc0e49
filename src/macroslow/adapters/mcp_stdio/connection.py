"""The life of a server's program: begun when it is needed, greeted, minded, and begun again after it ended.

A start is shared by all who wait for it, and goes on when one of them stops waiting. After an end the next
start waits for a pause that doubles with each end in a row, and there are only so many starts a minute.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from macroslow.adapters.mcp_stdio.peer import MAX_LINE_BYTES, BrokenOffError, Peer, TooLongError
from macroslow.adapters.mcp_stdio.ports import Programs
from macroslow.errors import SandboxUnavailableError, UpstreamUnavailableError
from macroslow.mcp.client.errors import unavailable
from macroslow.mcp.client.greeting import Greeting, greeted_modern, meet
from macroslow.mcp.client.rpc import MODERN, NoAnswerError, Reply, RPCError, listen_params
from macroslow.mcp.upstream import JSON

DISCOVER_S: Final = 15.0  # a server of the handshake's era may leave what it does not know unanswered
GREET_S: Final = 120.0  # until the handshake is answered: the program may have to be fetched first
GRACE_S: Final = 2.0
FIRST_PAUSE_S: Final = 0.5
LAST_PAUSE_S: Final = 60.0
STEADY_S: Final = 60.0  # who ran for so long has the first pause again
STARTS_PER_MINUTE: Final = 6
_MINUTE_S: Final = 60.0
_TIMED_OUT: Final = -32001  # as the official SDKs number a request that was not answered in time
_UNSUPPORTED_VERSION: Final = -32022
_UNGREETED: Final = (RPCError, NoAnswerError, BrokenOffError, TooLongError, TimeoutError)
log: Final = logging.getLogger("macroslow.mcp")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A living peer that has been greeted."""

    peer: Peer
    greeting: Greeting


@dataclass(slots=True, eq=False)
class Connection:
    """To one server. `changed` is set when its lists may have changed: it says so, or it was begun again."""

    name: str
    programs: Programs
    max_result_bytes: int
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    first_pause_s: float = FIRST_PAUSE_S
    _conversation: Conversation | None = None
    _beginning: "asyncio.Task[Conversation] | None" = None
    _minding: "set[asyncio.Task[None]]" = field(default_factory=set)
    _starts_s: "deque[float]" = field(default_factory=lambda: deque(maxlen=STARTS_PER_MINUTE))
    _starts: int = 0
    _not_before_s: float = 0.0
    _pause_s: float = 0.0
    _last_end: str = ""
    _closed: bool = False

    async def conversation(self, wait_s: float) -> Conversation:
        """The living one, begun now if there is none. UpstreamUnavailableError if there is none in time."""
        living = self._conversation
        if living is not None and not living.peer.over.is_set():
            return living
        if living is not None and self._minding:
            await asyncio.wait(self._minding)
        if self._beginning is None:
            self._may_begin()
            self._beginning = asyncio.create_task(self._begin())
            self._beginning.add_done_callback(self._began)
        try:
            async with asyncio.timeout(wait_s):
                return await asyncio.shield(self._beginning)
        except TimeoutError:
            raise self.unavailable("is starting still") from None

    async def close(self) -> None:
        """End the program, and whoever waits for it."""
        self._closed = True
        if self._beginning is not None:
            self._beginning.cancel()
            await asyncio.gather(self._beginning, return_exceptions=True)
        if self._conversation is not None:
            await self._conversation.peer.close(GRACE_S)
        await asyncio.gather(*self._minding, return_exceptions=True)
        await self.programs.close()

    def unavailable(self, how: str, retry_after_s: float | None = None) -> UpstreamUnavailableError:
        """The error that says so of this server."""
        return unavailable(self.name, how, retry_after_s=retry_after_s)

    def _may_begin(self) -> None:
        """Count one more start, or refuse it."""
        now_s = asyncio.get_running_loop().time()
        if self._closed:
            raise self.unavailable("is closed")
        wait_s = self._not_before_s - now_s
        if len(self._starts_s) == STARTS_PER_MINUTE:
            wait_s = max(wait_s, self._starts_s[0] + _MINUTE_S - now_s)
        if wait_s > 0:
            raise self.unavailable(f"is not running: {self._last_end or 'it ended'}", wait_s)
        self._starts_s.append(now_s)
        self._starts += 1

    async def _begin(self) -> Conversation:
        try:
            streams = await self.programs.start()
        except SandboxUnavailableError as error:
            how = f"{error.detail} (fix: {error.fix})" if error.fix else error.detail
            self._note_end(how, 0.0)
            raise self.unavailable(f"cannot be started: {how}") from error
        peer = Peer(streams, self.changed.set, max(MAX_LINE_BYTES, self.max_result_bytes * 2))
        peer.begin()
        try:
            conversation = Conversation(peer, await _greet(peer))
        except _UNGREETED as error:
            await peer.close(0)
            how = peer.how if isinstance(error, BrokenOffError) else _words(error)
            self._note_end(how, 0.0, streams.last_words())
            raise self.unavailable(f"cannot be spoken with: {how}") from None
        except asyncio.CancelledError:
            await peer.close(0)
            raise
        if not conversation.greeting.is_modern:
            peer.notify("notifications/initialized")
        elif (wanted := listen_params(conversation.greeting.capabilities)) is not None:
            peer.listen(MODERN, wanted)
        self._conversation = conversation
        if self._starts > 1:
            self.changed.set()
        return conversation

    def _began(self, beginning: "asyncio.Task[Conversation]") -> None:
        """The next to ask begins anew, or has what was begun; that is minded from now on."""
        self._beginning = None
        if not beginning.cancelled() and beginning.exception() is None:
            minding = asyncio.create_task(self._mind(beginning.result().peer))
            self._minding.add(minding)
            minding.add_done_callback(self._minding.discard)

    async def _mind(self, peer: Peer) -> None:
        """Wait for the end of a conversation; leave nothing of it."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await peer.over.wait()
        await peer.close(0)
        self._conversation = None
        self._note_end(peer.how, loop.time() - began_s, peer.streams.last_words(), peer.drops.summary)

    def _note_end(self, how: str, ran_s: float, last_words: str = "", dropped: str = "") -> None:
        """Remember it and say it; what the program said of it is for the log, and for no caller."""
        if not self._closed:
            said = f"; it wrote to no use: {dropped}" if dropped else ""
            said += f"; its last words: {last_words}" if last_words else ""
            log.warning("MCP server %s is not running: %s%s", self.name, how, said)
        self._last_end = how
        again_s = self.first_pause_s if ran_s >= STEADY_S else self._pause_s * 2
        self._pause_s = min(LAST_PAUSE_S, max(self.first_pause_s, again_s))
        self._not_before_s = asyncio.get_running_loop().time() + self._pause_s


def _words(error: Exception) -> str:
    match error:
        case RPCError():
            return f"it answered with error {error.code}"
        case TooLongError():
            return "its answer is too long"
        case TimeoutError():
            return "it did not answer in time"
        case _:
            return str(error)


async def _greet(peer: Peer) -> Greeting:
    """Begin the conversation in the newest era that the server speaks."""

    async def ask(method: str, params: JSON) -> Reply:
        return await peer.ask(method, params, None, GREET_S)

    async def ask_modern(method: str, params: JSON) -> Reply:
        try:
            return await peer.ask(method, params, MODERN, DISCOVER_S)
        except TimeoutError:  # on this wire an old server may say nothing to what it does not know
            raise RPCError(_TIMED_OUT, "") from None

    try:
        return await meet(ask, ask_modern)
    except RPCError as error:
        if error.code != _UNSUPPORTED_VERSION:
            raise
    # Slow to start, it took our first words for the new era, and answered too late for us.
    greeting = greeted_modern((await ask_modern("server/discover", {})).result)
    if greeting is None:
        raise NoAnswerError("it speaks no version of the protocol that we know")
    return greeting
