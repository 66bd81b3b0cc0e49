"""The gate: every request passes here, in one order, before any use case sees it.

    framing, Host, Origin -> path and method -> who -> how often -> may it -> is new work taken -> type
    and size of the body -> the body -> the handler -> the answer, with the same headers on every one

Nobody's body is read before its sender is known, and nothing is decided on a decoded or rebuilt
path. Whatever is raised on the way becomes an answer here and nowhere else. Who is let in, the doorkeeper
decides; what a refusal looks like, `refusals`. The gate hands a Request to the route's handler and knows no
use case.

A message that comes by no request of HTTP passes the same four: who, how often, may it, is new work taken.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.authz.decision import require_scope
from macroslow.errors import MacroslowError, OverloadedError, UnsupportedMediaTypeError
from macroslow.limits.byte_budget import ByteBudget
from macroslow.ports import NS_PER_S, Clock, Entropy, FreshNames
from macroslow.services.identity.authenticate import Authenticate
from macroslow.services.identity.record_security import RecordSecurity
from macroslow.web.admission import AddressLimits, CredentialLimits, FailedAttempts
from macroslow.web.application import Application
from macroslow.web.attention import Watch
from macroslow.web.bodies import Body, CallerLeft
from macroslow.web.doorkeeper import Doorkeeper
from macroslow.web.framing import LOOPBACK_HOSTS, HostRule, read_framing
from macroslow.web.media_types import media_type_of
from macroslow.web.messages import Receive, Request, Response, Scope, Send
from macroslow.web.mounted import Passed
from macroslow.web.refusals import Refusals, raw_path_of, told, told_last
from macroslow.web.router import Found, Router
from macroslow.web.routes import Mount, Route
from macroslow.web.visit import HUNG_UP, REQUEST_ID_BYTES, Visit, send_answer

BODY_SHARE: Final = 4  # of the bytes in flight, what one principal may hold: this part
LARGE_BYTES: Final = 64 * 1024  # an answer above this counts as long as its caller has not taken it
NO_WORK_S: Final = 5.0  # after which it may be worth to ask again
SEE_HEALTH: Final = "try again later; the operator sees why at GET /health and in the server's log"
LAST_WORD_S: Final = 0.1  # who is told why his stream ends has so long to read it
NO_REQUEST: Final[Scope] = {"headers": ()}  # of a message that came otherwise
_UNROUTED: Final = "none"


@dataclass(frozen=True, slots=True)
class GateSettings:
    """The operator's bounds. `requests_per_minute` is for keys that have none of their own.

    No route takes a body of more than `max_body_bytes`; most take less by themselves.
    """

    hosts: frozenset[str] = LOOPBACK_HOSTS
    max_body_bytes: int = 8 * 1024 * 1024
    bytes_in_flight: int = 256 * 1024 * 1024
    body_deadline_s: float = 30.0
    requests_per_minute: int | None = None
    failures_per_minute: int = 120
    public_per_minute: int = 6000
    administrators: bool = False


class Gate:
    """The ASGI application of the gateway."""

    def __init__(
        self,
        application: Application,
        routes: Iterable[Route],
        authenticate: Authenticate,
        security: RecordSecurity,
        clock: Clock,
        entropy: Entropy,
        settings: GateSettings | None = None,
    ) -> None:
        settings = settings or GateSettings()
        self._application = application
        self._router = Router(routes)
        self._clock = clock
        self._settings = settings
        self._ids = FreshNames(entropy, REQUEST_ID_BYTES)
        self._hosts = HostRule(settings.hosts, "administration" if settings.administrators else "server")
        share_bytes = max(settings.bytes_in_flight // BODY_SHARE, settings.max_body_bytes)
        self._budget = ByteBudget(settings.bytes_in_flight, share_bytes)
        self._doorkeeper = Doorkeeper(
            authenticate,
            CredentialLimits(clock, settings.requests_per_minute),
            FailedAttempts(settings.failures_per_minute, clock, application.guessing),
            AddressLimits("public requests", settings.public_per_minute, clock),
            settings.administrators,
        )
        self._watch = Watch()
        self._refusals = Refusals(application.metrics, security, clock, application.protected)
        self.refused = self._refusals.no_request  # the listener's: what it refused before it was a request
        application.metrics.watch_body_bytes(lambda: self._budget.held_bytes)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one ASGI scope. WebSockets are refused: nothing here speaks them."""
        match scope["type"]:
            case "http":
                return self._http(scope, receive, send)
            case "lifespan":
                return _lifespan(receive, send)
            case _:
                return send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_ns, task = self._clock.monotonic_ns(), asyncio.current_task()
        visit = Visit(self._ids.next(), scope["method"], began_ns, task)
        visit.encrypted = scope.get("scheme") == "https"
        try:
            answer = await self._answer(visit, scope, receive)
            if isinstance(answer, Response):
                await self._send(visit, answer, receive, send)
            else:
                await self._pass_on(visit, answer, scope, receive, send)
        except CallerLeft:
            pass
        except asyncio.CancelledError:
            if not visit.was_ended():
                await self._say_that_it_ends(visit, scope, receive, send)
                raise
            await self._say_why_it_ended(visit, scope, receive, send)
        finally:
            self._leave(visit)

    def _send(self, visit: Visit, answer: Response, receive: Receive, send: Send) -> Awaitable[None]:
        """Send an answer; who leaves large ones unread has no room for further requests."""
        held_bytes = len(answer.body) if isinstance(answer.body, bytes) else 0
        if held_bytes <= LARGE_BYTES:
            return send_answer(visit, answer, receive, send)
        return self._send_large(visit, answer, held_bytes, receive, send)

    async def _send_large(
        self, visit: Visit, answer: Response, held_bytes: int, receive: Receive, send: Send
    ) -> None:
        holder = _holder(visit)
        self._budget.hold(held_bytes, holder)
        try:
            await send_answer(visit, answer, receive, send)
        finally:
            self._budget.let_go(held_bytes, holder)

    @asynccontextmanager
    async def message(self, who: Callable[[], Awaitable[Principal]], scope: str) -> AsyncIterator[Visit]:
        """Let in a message that comes by no request of HTTP, and needs `scope`.

        Whatever refuses it is noted, and raised. Its task is cancelled once `who` would be let in no more.
        """
        visit = Visit(self._ids.next(), "", self._clock.monotonic_ns(), asyncio.current_task())
        try:
            try:
                principal = visit.principal = await who()
                self._doorkeeper.count(visit, principal)
                require_scope(principal, scope)
                self._require_room()
            except MacroslowError as error:
                visit.status = self._refusals.answer(error, visit, NO_REQUEST).status
                raise
            visit.status = 200
            yield visit
        finally:
            self._leave(visit)

    def _require_room(self) -> None:
        if self._application.ready():
            raise OverloadedError("no new work is taken just now", retry_after_s=NO_WORK_S, fix=SEE_HEALTH)

    def withdraw(self, admits: Callable[[Principal], bool]) -> None:
        """End every request whose caller would be let in no more."""
        self._doorkeeper.withdraw(admits)

    async def _say_why_it_ended(self, visit: Visit, scope: Scope, receive: Receive, send: Send) -> None:
        """As the answer, or as a stream's last event, after which it is cut off; not to a caller who left."""
        error = visit.ended
        if not isinstance(error, MacroslowError):
            return
        answer = self._refusals.answer(error, visit, scope)
        if visit.status == HUNG_UP:
            await send_answer(visit, answer, receive, send)
        elif visit.sending_events:
            event = told_last(error, visit, scope)
            with suppress(TimeoutError):  # who does not read hears nothing
                async with asyncio.timeout(LAST_WORD_S):
                    await send({"type": "http.response.body", "body": event, "more_body": True})

    async def _say_that_it_ends(self, visit: Visit, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that was cancelled from outside, unless its answer is on the way already."""
        if visit.status == HUNG_UP:
            answer = told(OverloadedError("the gateway is shutting down"), visit, scope)
            await send_answer(visit, answer, receive, send)

    def _leave(self, visit: Visit) -> None:
        visit.leave()
        self._doorkeeper.leave(visit)
        template = visit.route.path if visit.route else _UNROUTED
        elapsed_s = (self._clock.monotonic_ns() - visit.began_ns) / NS_PER_S
        self._application.metrics.request(template, visit.status, elapsed_s)

    async def _answer(self, visit: Visit, scope: Scope, receive: Receive) -> Response | Passed:
        """The handler's answer, or a refusal."""
        try:
            found = self._find(visit, scope)
            if visit.method == "OPTIONS":
                return Response(204, [(b"allow", ", ".join(found.allowed).encode("ascii"))])
            route = visit.route = found.route(visit.method)
            request = await self._admit(visit, route, found.params, scope, receive)
            if isinstance(route.handler, Mount):
                return Passed(route.handler.app(self._application), request.body)
            return await route.handler(self._application, request)
        except CallerLeft:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost handler: whatever it is becomes an answer
            return self._refusals.answer(error, visit, scope)

    def _find(self, visit: Visit, scope: Scope) -> Found:
        """What is served at the path, once the request is one request and for this host."""
        visit.headers, body_bytes = read_framing(scope["headers"])
        visit.body = Body(self._budget, body_bytes)
        self._hosts.check(visit.headers)
        return self._router.find(raw_path_of(scope))

    async def _admit(
        self, visit: Visit, route: Route, params: Mapping[str, str], scope: Scope, receive: Receive
    ) -> Request:
        """Who, how often, may it; then the body."""
        await self._doorkeeper.admit(visit, route, scope)
        if route.work:
            self._require_room()
        media_type = _media_type(route, visit)
        cap_bytes = min(route.cap_bytes, self._settings.max_body_bytes)
        body_s = None if visit.body.complete else self._settings.body_deadline_s
        visit.attention = self._watch.attend(receive, visit.end, body_s)
        body = await visit.body.read(receive, cap_bytes, _holder(visit))
        visit.attention.has_body()
        return Request(
            visit.method,
            route.path,
            scope.get("query_string", b""),
            scope["headers"],
            visit.headers,
            params,
            media_type,
            body,
            visit.principal,
            visit.request_id,
            visit.encrypted,
        )

    async def _pass_on(
        self, visit: Visit, passed: Passed, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Let a mounted application answer, or say why it does not."""
        try:
            await passed.answer(visit, scope, send)
        except Exception as error:  # noqa: BLE001 - the outermost handler of a mounted application
            await send_answer(visit, self._refusals.answer(error, visit, scope), receive, send)


def _holder(visit: Visit) -> str:
    """On whose account the bytes of a request and its answer are held."""
    return visit.principal.name if visit.principal else ""


async def _lifespan(receive: Receive, send: Send) -> None:
    """Agree to start and stop: what has to start and stop is wired outside."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _media_type(route: Route, visit: Visit) -> str:
    """The body's media type. UnsupportedMediaTypeError if the route does not read it."""
    if visit.body.complete or not route.cap_bytes:
        return ""
    if visit.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaTypeError("compressed bodies are not read", step="body")
    media_type = media_type_of(visit.headers.get(b"content-type", b""))
    if media_type not in route.content_types:
        raise UnsupportedMediaTypeError(
            f"this route does not read {media_type[:80] or 'a body without a content type'!r}",
            fix=f"content-type: {' or '.join(sorted(route.content_types))}",
            step="body",
        )
    return media_type
