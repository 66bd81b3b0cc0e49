"""The emulator as an ASGI application: routes, keys, errors.

It is made to be mistaken for OpenAI's service by a client, except that every answer carries
`x-macroslow-emulator: 1`. State is in memory and belongs to one event loop.

    POST /v1/chat/completions     plain or streamed
    GET  /v1/models  /v1/models/{id}
    GET  /emulator/stats          what it was asked so far; needs no key and is not counted
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import orjson

from macroslow.adapters.system import SystemClock
from macroslow.emulator import data, refusals, wire
from macroslow.emulator.chat import Chat
from macroslow.emulator.exchange import Exchange, HungUpError, Receive, Scope, Send
from macroslow.emulator.faults import Faults
from macroslow.emulator.keys import AcceptedKeys
from macroslow.emulator.latency import Latency
from macroslow.emulator.limits import Limits
from macroslow.emulator.members import refuse
from macroslow.emulator.refusals import RefusedError
from macroslow.emulator.tally import Statistics
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.count import Counter
from macroslow.ports import Clock

_CHAT: Final = "/v1/chat/completions"
_MODELS: Final = "/v1/models"
_STATS: Final = "/emulator/stats"
_SIGNATURE: Final = (
    (b"x-macroslow-emulator", b"1"),
    (b"openai-organization", refusals.ORGANIZATION.encode()),
    (b"openai-version", b"2020-10-01"),
)


def create_emulator(
    limits: Limits | None = None,
    *,
    clock: Clock | None = None,
    latency: Latency | None = None,
    faults: Faults | None = None,
    keys: AcceptedKeys | None = None,
    catalogue: Catalogue | None = None,
    counter: Counter | None = None,
) -> "Emulator":
    """An emulator without limits, waits and faults unless given some.

    It serves the models of `catalogue`; without one, OpenAI's in the catalogue of this package.
    """
    clock = clock or SystemClock()
    chat = Chat(
        catalogue=catalogue or data.openai_models(),
        counter=counter or data.counter(),
        clock=clock,
        limits=limits or Limits(),
        latency=latency or Latency(),
        faults=faults or Faults(),
        statistics=Statistics(),
    )
    return Emulator(chat, clock, keys or AcceptedKeys())


class Emulator:
    """The application. `statistics` may be read at any time from the loop that serves it."""

    def __init__(self, chat: Chat, clock: Clock, keys: AcceptedKeys) -> None:
        self.statistics = chat.statistics
        self._chat = chat
        self._clock = clock
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; ValueError for anything but HTTP."""
        if scope["type"] != "http":
            raise ValueError(f"the emulator speaks HTTP, not {scope['type']}")
        exchange = Exchange(scope, receive, send, self._clock, list(_SIGNATURE))
        if exchange.path == _STATS:
            await exchange.answer(200, orjson.dumps(self.statistics.report()))
            return
        self.statistics.opened()
        exchange.headers.append((b"x-request-id", self._request_id()))
        try:
            await self._serve(exchange)
        except HungUpError:
            self.statistics.hang_ups += 1
        finally:
            self.statistics.closed(exchange.status)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            handler = self._route(exchange.method, exchange.path)
            self._authenticate(exchange.header(b"authorization"))
            await handler(exchange)
        except RefusedError as error:
            refusal = error.refusal
            await exchange.answer(refusal.status, refusal.body(), refusal.headers)

    def _route(self, method: str, path: str) -> Callable[[Exchange], Awaitable[None]]:
        handler: Callable[[Exchange], Awaitable[None]]
        if path == _CHAT:
            allowed, handler = "POST", self._chat
        elif path == _MODELS or path.startswith(f"{_MODELS}/"):
            allowed, handler = "GET", self._models
        else:
            refuse(refusals.unknown_url(method, path))
        if method != allowed:
            refuse(refusals.wrong_method(method, path))
        return handler

    def _authenticate(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            refuse(refusals.no_key())
        self.statistics.key_seen(key)
        if not self._keys.accept(key):
            refuse(refusals.wrong_key(key))

    async def _models(self, exchange: Exchange) -> None:
        catalogue = self._chat.catalogue
        name = exchange.path.removeprefix(_MODELS).removeprefix("/")
        if not name:
            listed = [wire.model(name) for name, _ in catalogue.names()]
            await exchange.answer(200, orjson.dumps({"object": "list", "data": listed}))
        elif catalogue.find(name):
            await exchange.answer(200, orjson.dumps(wire.model(name)))
        else:
            refuse(refusals.no_such_model(name))

    def _request_id(self) -> bytes:
        seed = f"{self._clock.now_ns()} {self.statistics.requests}"
        return b"req_" + hashlib.sha256(seed.encode()).hexdigest()[:32].encode()
