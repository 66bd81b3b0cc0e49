"""A whole ASGI application behind the gate: it gets the body already read and the principal, and answers.

Its events are those of a stream of ours: whoever does not read them has left, and whose credential ends hears
of it in the last one.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from macroslow.web import media_types
from macroslow.web.messages import ASGIApp, Message, Receive, Scope, Send
from macroslow.web.visit import Visit, complete_headers, log_failure

TYPE: Final = b"content-type"
EVENTS: Final = media_types.EVENTS.encode("ascii")


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that a mounted application answers."""

    app: ASGIApp
    body: bytes

    async def answer(self, visit: Visit, scope: Scope, send: Send) -> None:
        """Let the application answer, under the headers that every answer has.

        Raises what it raises, unless its answer had begun: then it is logged, and the answer is cut off.
        """
        started = False
        attention = visit.attention
        if attention is None:
            raise RuntimeError("what is mounted is watched as handlers are")

        async def send_ours(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                visit.status = message["status"]
                headers = message.get("headers", ())
                visit.sending_events = any(one[1].startswith(EVENTS) for one in headers if one[0] == TYPE)
                message = {**message, "headers": complete_headers(headers, visit)}
            attention.sending = message
            await send(message)
            attention.sending = None
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                attention.close()  # who hangs up now has his answer: the application may end in peace

        found = {
            "principal": visit.principal,
            "request_id": visit.request_id,
            "body": self.body,
        }
        state = {**scope.get("state", {}), **found}
        try:
            await self.app({**scope, "state": state}, _replay(self.body), send_ours)
        except Exception as error:
            if not started:
                raise
            log_failure(visit, error)
        finally:
            visit.message_id = state.get("message_id")  # for whoever answers in its place


def _replay(body: bytes) -> Receive:
    """A `receive` that gives a body already read. Who leaves is noticed, and cancelled, by the gate."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await asyncio.get_running_loop().create_future()  # until cancelled
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
