"""The emulator as an ASGI application: routes, keys, errors.

It is made to be mistaken for OpenAI's and Anthropic's services by a client, and for Unsplash's and
Pixabay's (see `emulator.images`), except that every answer carries `x-macroslow-emulator: 1`. State is in
memory and belongs to one event loop.

    POST /v1/chat/completions  /v1/responses  /v1/messages        plain or streamed
    POST /v1/embeddings  /v1/messages/count_tokens
    GET  /v1/responses/{id}                                       and DELETE
    GET  /v1/models  /v1/models/{id}                              as Anthropic's with `anthropic-version`
    GET  /v1/organization/usage/completions  …/embeddings  /v1/organization/costs          with an admin key
    GET  /v1/organizations/usage_report/messages  /v1/organizations/cost_report            with an admin key
    GET  /emulator/stats          what it was asked so far; needs no key and is not counted
"""

import hashlib
from typing import Any, Final

import orjson

from macroslow.adapters import packaged
from macroslow.adapters.system import SystemClock
from macroslow.emulator.clock import ProviderClock
from macroslow.emulator.counting import Scales
from macroslow.emulator.exchange import Exchange, HungUpError, Receive, Scope, Send
from macroslow.emulator.faults import Faults
from macroslow.emulator.generation import Generation
from macroslow.emulator.images import ImageLimits, ImageService
from macroslow.emulator.keys import ADMIN_TEST_PREFIX, AcceptedKeys
from macroslow.emulator.latency import Latency
from macroslow.emulator.limits import Limits
from macroslow.emulator.routes import Route, Routes
from macroslow.emulator.tally import Statistics
from macroslow.emulator.work import RefusedError, refuse
from macroslow.metering.catalogue import Catalogue
from macroslow.ports import Clock

_STATS: Final = "/emulator/stats"
_MARK: Final = (b"x-macroslow-emulator", b"1")


def create_emulator(
    limits: Limits | None = None,
    *,
    clock: Clock | None = None,
    latency: Latency | None = None,
    faults: Faults | None = None,
    keys: AcceptedKeys | None = None,
    admin_keys: AcceptedKeys | None = None,
    catalogue: Catalogue | None = None,
    image_limits: ImageLimits | None = None,
) -> "Emulator":
    """An emulator without limits, waits and faults unless given some.

    It serves the models of `catalogue`; without one, those in the catalogue of this package.
    """
    limits = limits or Limits()
    generation = Generation(
        scales=Scales(packaged.counters()),
        clock=ProviderClock(clock or SystemClock(), limits.skew_ms),
        limits=limits,
        latency=latency or Latency(),
        faults=faults or Faults(),
        statistics=Statistics(),
    )
    keys = keys or AcceptedKeys()
    return Emulator(
        generation,
        Routes.of(catalogue or packaged.catalogue(), generation),
        keys,
        admin_keys or AcceptedKeys(prefixes=(ADMIN_TEST_PREFIX,)),
        ImageService(generation.clock, keys, image_limits or ImageLimits(), _MARK),
    )


class Emulator:
    """The application. `statistics` may be read at any time from the loop that serves it."""

    def __init__(
        self,
        generation: Generation,
        routes: Routes,
        keys: AcceptedKeys,
        admin_keys: AcceptedKeys,
        images: ImageService,
    ) -> None:
        self.statistics = generation.statistics
        self._clock = generation.clock
        self._routes = routes
        self._keys = keys
        self._admin_keys = admin_keys
        self.images = images

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; ValueError for anything but HTTP."""
        if scope["type"] != "http":
            raise ValueError(f"the emulator speaks HTTP, not {scope['type']}")
        request_id = self._request_id()
        path = str(scope["path"])
        if self.images.serves(path):
            await self.images(scope, send)
            return
        dialect = self._routes.dialect(path, [name for name, _ in scope["headers"]])
        exchange = Exchange(scope, receive, send, self._clock, dialect, request_id, [_MARK])
        if path == _STATS:
            await exchange.answer(200, orjson.dumps(self._report()))
            return
        self.statistics.opened()
        exchange.headers += dialect.signature(request_id)
        try:
            await self._serve(exchange)
        except HungUpError:
            self.statistics.hang_ups += 1
        finally:
            self.statistics.closed(exchange.status)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            route = self._routes.find(exchange)
            self._authenticate(exchange, route)
            await route.handler(exchange)
        except RefusedError as error:
            refusal = error.refusal
            await exchange.answer(refusal.status, refusal.body(exchange.request_id), refusal.headers)

    def _authenticate(self, exchange: Exchange, route: Route) -> None:
        """Models take the usual keys, reports those of an administrator, and neither takes the other's."""
        key = exchange.dialect.key(exchange.header)
        exchange.key = self.statistics.key_seen(key)
        if self._admin_keys.accept(key) != route.admin or not (route.admin or self._keys.accept(key)):
            refuse(exchange.dialect.wrong_key(key))

    def _report(self) -> dict[str, Any]:
        return {**self.statistics.report(self._clock.now_ns()), "images": self.images.report()}

    def _request_id(self) -> str:
        seed = f"{self._clock.now_ns()} {self.statistics.requests}"
        return f"req_{hashlib.sha256(seed.encode()).hexdigest()[:32]}"
