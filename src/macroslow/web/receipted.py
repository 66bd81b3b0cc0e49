"""One answer of an ASGI application, digested as it leaves and logged before its end does.

The head waits for the first bytes and the last bytes wait for the log: where the entry cannot be written,
an answer that has not begun does not begin, and one that has is cut off. What the application does after
that reaches nobody.
"""

import hashlib
from collections.abc import Awaitable, Callable

from macroslow.errors import LogUnavailableError
from macroslow.web.messages import ASGIApp, Message, Receive, Scope, Send
from macroslow.web.receipt_header import receipt_line

Record = Callable[[str, int], Awaitable[None]]
"""Makes the entry durable, of the digest (hex) and the status of an answer."""


async def answer_receipted(app: ASGIApp, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
    """Let `app` answer; LogUnavailableError if the answer could not be logged, then it is incomplete."""
    leaving = _Leaving(send, record, receipt_line(scope["state"]["request_id"]))
    await app(scope, receive, leaving)
    if leaving.failed is not None:
        raise leaving.failed


class _Leaving:
    """What an application sends, on its way out."""

    def __init__(self, send: Send, record: Record, line: tuple[bytes, bytes]) -> None:
        self._send = send
        self._record = record
        self._line = line
        self._answer = hashlib.sha256()
        self._status = 0
        self._head: Message | None = None
        self.failed: LogUnavailableError | None = None

    async def __call__(self, message: Message) -> None:
        """Pass one message on. Raises none of our errors: an application would answer them as its own."""
        if self.failed is not None:
            return
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._head = {**message, "headers": [*message.get("headers", ()), self._line]}
            return
        self._answer.update(message.get("body", b""))
        try:
            if not message.get("more_body", False):
                await self._record(self._answer.hexdigest(), self._status)
        except LogUnavailableError as error:
            self.failed = error
            return
        if self._head is not None:
            head, self._head = self._head, None
            await self._send(head)
        await self._send(message)
