"""Handlers whose requests may carry `Idempotency-Key`: the work is done once, and its answer kept.

Such a request is not given up when its caller hangs up: the answer is what he will ask for again. A
stream that nobody reads any more is read to its end here, within the use case's own deadline.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from macroslow.errors import MacroslowError
from macroslow.services.answer_once import MAX_KEPT_BYTES, Claim
from macroslow.web.application import Application, Handler
from macroslow.web.messages import Request, Response
from macroslow.workflow.replies import Reply

KEY_HEADER: Final = b"idempotency-key"
REPLAYED: Final = (b"idempotency-replayed", b"true")
CHUNKS_AHEAD: Final = 16  # that the provider may be ahead of a caller who still reads


def once(handler: Handler) -> Handler:
    """`handler`, done once for each key of a principal."""

    async def keyed(application: Application, request: Request) -> Response:
        key = request.header(KEY_HEADER)
        if key is None:
            return await handler(application, request)
        asked = b"%b %b\n%b" % (request.method.encode(), request.path.encode(), request.body)
        claimed = await application.answer_once.claim(request.caller, key.decode("latin-1"), asked)
        if isinstance(claimed, Reply):
            return _replayed(claimed)
        answering = _answer(application, request, handler, claimed)
        return await asyncio.shield(application.answer_once.going(answering))

    return keyed


async def _answer(application: Application, request: Request, handler: Handler, claim: Claim) -> Response:
    try:
        response = await handler(application, request)
    except MacroslowError as error:
        if error.nothing_done:
            await application.answer_once.drop(claim)
        raise
    if response.nothing_done:
        await application.answer_once.drop(claim)
        return response
    if isinstance(response.body, bytes):
        await application.answer_once.keep(claim, response.status, _texts(response), response.body)
        return response
    relay = _Relay(response.body)
    application.answer_once.going(_finish(application, claim, response, relay))
    return Response(response.status, response.headers, relay.chunks())


async def _finish(application: Application, claim: Claim, response: Response, relay: "_Relay") -> None:
    """Read the stream to its end, whoever listens, and keep it if it came to one."""
    whole = await relay.read()
    if whole is not None:
        await application.answer_once.keep(claim, response.status, _texts(response), whole)
    await relay.end()


class _Relay:
    """A stream that is read by us, and passed on as long as somebody listens."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._passing = asyncio.Queue[bytes | Exception | None](CHUNKS_AHEAD)
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
            await self._pass(error)
            return None
        return b"".join(kept) if size_bytes <= MAX_KEPT_BYTES else None

    async def end(self) -> None:
        """Say that there is no more."""
        await self._pass(None)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """What the caller reads; once he has left, nothing waits for him."""
        try:
            while (chunk := await self._passing.get()) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            self._listening = False
            while not self._passing.empty():  # so that whoever waits to pass something goes on
                self._passing.get_nowait()

    async def _pass(self, item: bytes | Exception | None) -> None:
        if self._listening:
            await self._passing.put(item)


def _replayed(reply: Reply) -> Response:
    kept = (reply.headers or {}).items()
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in kept]
    return Response(reply.status or 200, [*headers, REPLAYED], reply.body)


def _texts(response: Response) -> dict[str, str]:
    return {name.decode("ascii"): value.decode("latin-1") for name, value in response.headers}
