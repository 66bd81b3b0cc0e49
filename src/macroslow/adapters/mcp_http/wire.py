"""One request of the protocol as one POST, and its answer: JSON, or events that end with it.

Answers are bounded in bytes and time. No redirect is followed, nothing that a server names is fetched,
compressed answers and requests of a server's own are refused.

Source: MCP 2026-07-28, "Transports: Streamable HTTP"; 2025-11-25, the same; RFC 9110, section 15.
"""

import contextlib
from collections.abc import Mapping
from typing import Final, NoReturn

from macroslow.adapters.mcp_http.endpoint import Endpoint
from macroslow.adapters.mcp_http.events import Events
from macroslow.mcp.client import errors
from macroslow.mcp.client.rpc import (
    NoAnswerError,
    Reply,
    RPCError,
    answer_to,
    is_list_change,
    message_of,
    progress_of,
)
from macroslow.mcp.upstream import Progress
from macroslow.outbound.exchange import Exchange
from macroslow.values import value

MAX_ERROR_BYTES: Final = 64 * 1024
MAX_PROGRESS: Final = 1000  # notifications of one call that are passed on
MAX_LISTENED_BYTES: Final = 64 * 1024
MAX_SESSION_ID: Final = 256


class SessionGoneError(Exception):
    """The server does not know the session any more: it did not look at the request."""


@value
class Bounds:
    """Of one request: seconds for all of it, and bytes of its answer."""

    timeout_s: float
    answer_bytes: int


class Wire:
    """POSTs to one server, on connections that are kept."""

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        self._name = name
        self._endpoint = endpoint
        self._client = endpoint.client()
        self.session: str | None = None

    def close(self) -> None:
        """End the connections; what is under way breaks off."""
        self._client.close()

    async def ask(
        self,
        number: int,
        body: bytes,
        headers: Mapping[str, str],
        bounds: Bounds,
        progress: Progress | None = None,
        *,
        first: bool = False,
    ) -> Reply:
        """The result of request `number`. `first`: its answer may begin a session.

        Raises RPCError and NoAnswerError (see `mcp.client`), SessionGoneError, NotConnectedError and
        BrokenOffError (see `outbound`), UpstreamRefusedError, UpstreamUnavailableError and TooLargeError.
        """
        exchange = await self._post(body, headers, bounds.timeout_s)
        try:
            if exchange.status != 200:
                await self._refused(exchange, number)
            if exchange.headers.get(b"content-encoding", b"identity").lower() != b"identity":
                raise NoAnswerError("a compressed answer, which was not asked for")
            if first:
                self._begin_session(exchange)
            if _is_stream(exchange):
                return await self._streamed(exchange, number, bounds.answer_bytes, progress)
            raw = await exchange.body(bounds.answer_bytes)
            if raw is None:
                raise errors.too_large(self._name, bounds.answer_bytes)
            return Reply(answer_to(number, message_of(raw)), len(raw))
        finally:
            exchange.end()

    async def tell(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> None:
        """Send a notification; what is answered does not matter."""
        exchange = await self._post(body, headers, timeout_s)
        exchange.end()

    async def listen(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> bool:
        """Whether the server said that a list changed; False if it ends, or has no such stream."""
        exchange = await self._post(body, headers, timeout_s)
        try:
            return exchange.status == 200 and _is_stream(exchange) and await _until_changed(exchange)
        finally:
            exchange.end()

    async def _post(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Exchange:
        own = headers if self.session is None else {**headers, "mcp-session-id": self.session}
        return await self._client.send(self._endpoint.head(body, own), body, timeout_s)

    async def _streamed(
        self, exchange: Exchange, number: int, limit_bytes: int, progress: Progress | None
    ) -> Reply:
        events, taken_bytes, told = Events(), 0, 0
        while piece := await exchange.read():
            taken_bytes += len(piece)
            if taken_bytes > limit_bytes:
                raise errors.too_large(self._name, limit_bytes)
            for data in events.feed(piece):
                message = message_of(data)
                if not _is_notification(message):
                    return Reply(answer_to(number, message), len(data))
                if progress is None or told == MAX_PROGRESS or message["method"] != "notifications/progress":
                    continue
                token, report = progress_of(message.get("params")) or (None, None)
                if report is not None and token == number:
                    told += 1
                    await progress(*report)
        raise NoAnswerError("its stream ended before the answer")

    def _begin_session(self, exchange: Exchange) -> None:
        told = exchange.headers.get(b"mcp-session-id")
        if told is None:
            return
        if len(told) > MAX_SESSION_ID or not told.isascii() or not told.decode("ascii").isprintable():
            raise NoAnswerError("a session id that cannot be sent back")
        self.session = told.decode("ascii")

    async def _refused(self, exchange: Exchange, number: int) -> NoReturn:
        """Raise for an answer whose status is not 200."""
        status = exchange.status
        if status in {401, 403}:
            raise errors.refused(
                self._name,
                "did not accept this gateway's credentials",
                status=status,
                fix=f"the operator must check [mcp.servers.{self._name}] headers; OAuth is not spoken",
            )
        if 300 <= status < 400:
            raise errors.refused(
                self._name,
                "answered with a redirect; none is followed",
                status=status,
                fix=f"the operator must set mcp.servers.{self._name}.url to the final address",
            )
        if status == 404 and self.session is not None:
            raise SessionGoneError
        if status == 429 or not 400 <= status < 500:
            raise errors.unavailable(self._name, f"answered with status {status}")
        raw = await exchange.body(MAX_ERROR_BYTES)
        with contextlib.suppress(NoAnswerError):
            answer_to(number, message_of(raw or b""))
        raise RPCError(0, f"status {status}")


def _is_stream(exchange: Exchange) -> bool:
    content_type = exchange.headers.get(b"content-type", b"").partition(b";")[0]
    return content_type.strip().lower() == b"text/event-stream"


def _is_notification(message: object) -> bool:
    """Whether it asks for nothing. NoAnswerError for a request, which a server may not send us."""
    if not isinstance(message, dict) or "method" not in message:
        return False
    if "id" in message:
        raise NoAnswerError("it sent a request, which this gateway takes from no server")
    return True


async def _until_changed(exchange: Exchange) -> bool:
    """Read until a list is said to have changed; False at the end."""
    events, taken_bytes = Events(), 0
    while piece := await exchange.read():
        taken_bytes += len(piece)
        if taken_bytes > MAX_LISTENED_BYTES:
            return True  # so much about changes is a change
        for data in events.feed(piece):
            message = message_of(data)
            if isinstance(message, dict) and is_list_change(message.get("method")):
                return True
    return False
