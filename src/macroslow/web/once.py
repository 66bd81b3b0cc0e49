"""Handlers whose requests may carry `Idempotency-Key`: the work is done once, and its answer kept.

Such a request is not given up when its caller hangs up: the answer is what he will ask for again. A
stream that nobody reads any more is read to its end here, within the use case's own deadline.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import ExitStack
from typing import Final

from macroslow.errors import MacroslowError, OverloadedError
from macroslow.services.calls.answer_once import MAX_KEPT_BYTES, Claim
from macroslow.web.application import Application, Handler
from macroslow.web.messages import Request, Response
from macroslow.workflow.replies import Reply

KEY_HEADER: Final = b"idempotency-key"
REPLAYED: Final = (b"idempotency-replayed", b"true")
CHUNKS_AHEAD: Final = 16  # that the provider may be ahead of a caller who still reads


def once(handler: Handler) -> Handler:
    """`handler`, done once for each key of a principal."""

    def answered(application: Application, request: Request) -> Awaitable[Response]:
        key = request.header(KEY_HEADER)
        return handler(application, request) if key is None else keyed(application, request, key)

    async def keyed(application: Application, request: Request, key: bytes) -> Response:
        asked = b"%b %b\n%b" % (request.method.encode(), request.path.encode(), request.body)
        with ExitStack() as room:
            room.enter_context(application.answer_once.room(request.caller, len(request.body)))
            claimed = await application.answer_once.claim(request.caller, key.decode("latin-1"), asked)
            if isinstance(claimed, Reply):
                return _replayed(claimed)
            answering = _answer(application, request, handler, claimed, room.pop_all())
        return await asyncio.shield(application.answer_once.going(request.caller, answering))

    return answered


async def _answer(
    application: Application, request: Request, handler: Handler, claim: Claim, room: ExitStack
) -> Response:
    """Do the work, and give the room back when it is over: that of a stream is, when it was read."""
    with room:
        response = await _claimed(application, request, handler, claim)
        if isinstance(response.body, bytes):
            return response
        relay = _Relay(response.body)
        chunks = relay.chunks()
        await anext(chunks)  # started: one that nobody reads is closed by the loop, and waited for by nobody
        finishing = _finish(application, claim, response, relay, room.pop_all())
        application.answer_once.going(request.caller, finishing)
        return Response(response.status, response.headers, chunks)


async def _claimed(application: Application, request: Request, handler: Handler, claim: Claim) -> Response:
    """The answer, and what becomes of the key for it, as far as that is known before a stream is read."""
    try:
        response = await handler(application, request)
    except MacroslowError as error:
        if error.nothing_done:
            await application.answer_once.drop(claim)
        raise
    if response.nothing_done:
        await application.answer_once.drop(claim)
    elif isinstance(response.body, bytes):
        await application.answer_once.keep(claim, response.status, _texts(response), response.body)
    return response


async def _finish(
    application: Application, claim: Claim, response: Response, relay: "_Relay", room: ExitStack
) -> None:
    """Read the stream to its end, whoever listens, and keep it if it came to one."""
    with room:
        try:
            whole = await relay.read()
            if whole is not None:
                await application.answer_once.keep(claim, response.status, _texts(response), whole)
        finally:
            relay.end()


class _Relay:
    """A stream that is read by us, and passed on as long as somebody listens."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._passing = asyncio.Queue[bytes | Exception | None]()
        self._ahead = asyncio.Semaphore(CHUNKS_AHEAD)
        self._listening = True

    async def read(self) -> bytes | None:
        """The whole stream; None if it is too long to keep or broke off."""
        kept: list[bytes] = []
        size_bytes = 0
        try:
            async for chunk in self._source:
                size_bytes += len(chunk)
                if size_bytes <= MAX_KEPT_BYTES:
                    kept.append(chunk)
                await self._pass(chunk)
        except MacroslowError as error:
            self._passing.put_nowait(error)
            return None
        except asyncio.CancelledError:
            self._passing.put_nowait(OverloadedError("the gateway is shutting down"))
            raise
        return b"".join(kept) if size_bytes <= MAX_KEPT_BYTES else None

    def end(self) -> None:
        """Say that there is no more. Waits for nobody: it is said whatever went wrong before."""
        self._passing.put_nowait(None)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """What the caller reads, after an empty first one; once he has left, nothing waits for him."""
        try:
            yield b""
            while (chunk := await self._passing.get()) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                self._ahead.release()
                yield chunk
        finally:
            self._listening = False
            self._ahead.release()  # so that whoever waits to pass something goes on

    async def _pass(self, chunk: bytes) -> None:
        if self._listening:
            await self._ahead.acquire()
            self._passing.put_nowait(chunk)


def _replayed(reply: Reply) -> Response:
    kept = (reply.headers or {}).items()
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in kept]
    return Response(reply.status or 200, [*headers, REPLAYED], reply.body)


def _texts(response: Response) -> dict[str, str]:
    return {name.decode("ascii"): value.decode("latin-1") for name, value in response.headers}
