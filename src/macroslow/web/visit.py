"""One request on its way through an edge: what is known of it, and how its answer is sent.

Every answer of every edge leaves through `send_answer`, so the headers that protect a browser and
the request's id are on all of them, and a caller that is still sending is dealt with in one way.
"""

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.web.attention import Attention
from macroslow.web.bodies import UNREAD_BODY, Body, discard_rest
from macroslow.web.messages import Headers, Receive, Response, Send
from macroslow.web.routes import Route

log: Final = logging.getLogger("macroslow.web")

CACHE_HEADER: Final = b"cache-control"
POLICY_HEADER: Final = b"content-security-policy"
SECURITY_HEADERS: Final[Headers] = (
    (CACHE_HEADER, b"no-store"),
    (POLICY_HEADER, b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"0"),
)
ENCRYPTED_HEADERS: Final[Headers] = (
    *SECURITY_HEADERS,
    (b"strict-transport-security", b"max-age=31536000"),
)
"""Where the caller came over TLS (RFC 6797); over plain HTTP the header must not be sent."""
CLOSE: Final = (b"connection", b"close")
BODILESS: Final = frozenset({204, 304})  # answers that have no body, and no length of one
HUNG_UP: Final = 499  # what a caller that left would have got; only counted
REQUEST_ID_BYTES: Final = 12


@dataclass(slots=True)  # not frozen: it fills as the request goes on
class Visit:
    """What is known of one request so far. `ended` is why it does not go on, where somebody ended it.

    `headers` are the request's, by name, once they are known not to contradict themselves. `message_id` is
    that of the JSON-RPC request in it, once it has been read.
    """

    request_id: str
    method: str
    began_ns: int
    task: "asyncio.Task[object] | None" = None
    route: Route | None = None
    principal: Principal | None = None
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: Body = UNREAD_BODY
    attention: Attention | None = None
    status: int = HUNG_UP
    sending_events: bool = False
    limits: Headers = ()
    encrypted: bool = False
    ended: Exception | None = None
    message_id: str | int | None = None

    def end(self, why: Exception) -> None:
        """Cancel its task, once: whoever runs it then asks `was_ended`."""
        if self.ended is None and self.task is not None:
            self.ended = why
            self.task.cancel()

    def was_ended(self) -> bool:
        """Whether a cancellation is that of `end`; then it is taken back, and the task goes on."""
        if self.ended is None or self.task is None:
            return False
        self.task.uncancel()
        return True

    def leave(self) -> None:
        """Give back what the request held."""
        if self.attention is not None:
            self.attention.close()
            self.attention = None  # it holds on to us: so all of this is gone at once, not with a collection
        self.body.close()


async def send_answer(visit: Visit, response: Response, receive: Receive, send: Send) -> None:
    """Send an answer. A stream that breaks off is left incomplete, so that the server cuts it off."""
    visit.status = response.status
    headers = complete_headers(response.headers, visit)
    body = response.body
    if not isinstance(body, bytes):
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await _send_stream(visit, body, send)
        return
    unread = not visit.body.complete
    if unread and visit.attention is not None:
        visit.attention.close()  # what still comes is read here, in a time of its own
    if response.status not in BODILESS:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": unread})
    if unread:
        if b"expect" not in visit.headers:  # who waits for leave to send is not sending
            await discard_rest(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_stream(visit: Visit, chunks: AsyncIterator[bytes], send: Send) -> None:
    attention = visit.attention
    if attention is None:
        raise RuntimeError("a stream is sent by a handler, and handlers are watched")
    try:
        if visit.method != "HEAD":
            visit.sending_events = True
            async for chunk in chunks:
                message = attention.sending = {"type": "http.response.body", "body": chunk, "more_body": True}
                await send(message)
                attention.sending = None
    except Exception as error:  # noqa: BLE001 - the headers are out: all that is left is to break off
        log_failure(visit, error)
        return
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
    visit.sending_events = False
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def complete_headers(headers: Headers, visit: Visit) -> list[tuple[bytes, bytes]]:
    """A response's headers with those that every answer has."""
    own = [
        *_protecting(headers, ENCRYPTED_HEADERS if visit.encrypted else SECURITY_HEADERS),
        *headers,
        *visit.limits,
        (b"x-request-id", visit.request_id.encode("ascii")),
    ]
    if not visit.body.complete:
        own.append(CLOSE)
    if visit.route is not None and visit.route.policy:
        return [(name, visit.route.policy if name == POLICY_HEADER else value) for name, value in own]
    return own


def _protecting(headers: Headers, every: Headers) -> Headers:
    """Every header that protects; an answer that may be kept says so itself."""
    for name, _ in headers:
        if name == CACHE_HEADER:
            return [header for header in every if header[0] != CACHE_HEADER]
    return every


def log_failure(visit: Visit, error: Exception) -> None:
    """Say in the server's own log that a request failed, and where."""
    log.error("request %s failed: %s", visit.request_id, what_failed(error))


def what_failed(error: Exception) -> str:
    """Where it happened and what class it was. Not its text: that may quote a secret or a prompt."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__qualname__} at {where}"
