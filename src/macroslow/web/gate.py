"""The gate: every HTTP request passes here, in one order, before anything else sees it.

    framing, Host, Origin -> path and method -> who -> how often -> may it -> type and size of the
    body -> the body -> the handler -> the answer, with the same headers on every one

Nobody's body is read before its sender is known, and nothing is decided on a decoded or rebuilt
path. Whatever is raised on the way becomes an answer here and nowhere else; refusals are noted for
the log. The gate hands a Request to the route's handler and knows no use case but one: work that goes
on for an `Idempotency-Key` after its caller left is ended here with the credential that began it.
"""

import asyncio
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.authn.refusal import Refusal, bad_credential
from macroslow.authz.decision import require_scope
from macroslow.authz.scopes import administrates
from macroslow.authz.security import SecurityEvent, Verdict
from macroslow.errors import (
    CredentialError,
    LogUnavailableError,
    MacroslowError,
    OverloadedError,
    UnsupportedMediaTypeError,
    UpstreamError,
)
from macroslow.limits.byte_budget import ByteBudget
from macroslow.ports import NS_PER_S, Clock, Entropy, FreshNames
from macroslow.services.identity.authenticate import Authenticate
from macroslow.services.identity.record_security import RecordSecurity
from macroslow.web import problems
from macroslow.web.admission import AddressLimits, CredentialLimits, FailedAttempts, Present, address_of
from macroslow.web.application import Application
from macroslow.web.attention import Attention
from macroslow.web.bodies import Body, CallerLeft
from macroslow.web.framing import LOOPBACK_HOSTS, Framing, HostRule, read_framing
from macroslow.web.messages import ASGIApp, Message, Receive, Request, Response, Scope, Send
from macroslow.web.router import Found, Router
from macroslow.web.routes import Audit, LimitedBy, Mount, Route
from macroslow.web.visit import (
    HUNG_UP,
    REQUEST_ID_BYTES,
    Visit,
    complete_headers,
    log_failure,
    send_answer,
)

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
BODY_SHARE: Final = 4  # of the bytes in flight, what one principal may hold: this part
WATCH_S: Final = 0.1  # a credential that has ended is in use for so much longer
_UNROUTED: Final = "none"


log: Final = logging.getLogger("macroslow.web")


@dataclass(frozen=True, slots=True)
class GateSettings:
    """The operator's bounds. `requests_per_minute` is for keys that have none of their own.

    No route takes a body of more than `max_body_bytes`; most take less by themselves. Keys that may
    administrate open nothing unless the gate is for `administrators`.
    """

    hosts: frozenset[str] = LOOPBACK_HOSTS
    max_body_bytes: int = 8 * 1024 * 1024
    bytes_in_flight: int = 256 * 1024 * 1024
    body_deadline_s: float = 30.0
    requests_per_minute: int | None = None
    failures_per_minute: int = 120
    public_per_minute: int = 6000
    administrators: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that a mounted application answers."""

    app: ASGIApp
    body: bytes


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
        self._authenticate = authenticate
        self._security = security
        self._clock = clock
        self._settings = settings
        self._ids = FreshNames(entropy, REQUEST_ID_BYTES)
        self._hosts = HostRule(settings.hosts)
        share_bytes = max(settings.bytes_in_flight // BODY_SHARE, settings.max_body_bytes)
        self._budget = ByteBudget(settings.bytes_in_flight, share_bytes)
        self._credentials = CredentialLimits(clock, settings.requests_per_minute)
        self._present = Present()
        self._failures = FailedAttempts(settings.failures_per_minute, clock, application.guessing)
        self._public = AddressLimits("public requests", settings.public_per_minute, clock)
        application.metrics.watch_body_bytes(lambda: self._budget.held_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope. WebSockets are refused: nothing here speaks them."""
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await _lifespan(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(self._ids.next(), scope["method"], self._clock.monotonic_ns())
        visit.encrypted = scope.get("scheme") == "https"
        try:
            answer = await self._answer(visit, scope, receive)
            if isinstance(answer, Response):
                await send_answer(visit, answer, receive, send)
            else:
                await self._pass_on(visit, answer, scope, send)
        except CallerLeft:
            pass
        except asyncio.CancelledError:
            if visit.attention is not None and visit.attention.caller_left:
                visit.attention.forgive()
            elif visit.withdrawn and visit.task is not None:
                visit.task.uncancel()
                await self._end_withdrawn(visit, scope, receive, send)
            else:
                await self._say_that_it_ends(visit, scope, receive, send)
                raise
        finally:
            self._leave(visit)

    def refused(self, status: int, code: str, address: str) -> None:
        """Count and note what the listener refused before it was a request."""
        self._application.metrics.refusal(code)
        now_ns, refused = self._clock.now_ns(), Verdict.REFUSED
        event = SecurityEvent(now_ns, refused, code, address=address, status=status, step="connection")
        self._security.note(event)

    async def watch(self) -> None:
        """Until cancelled, end what goes on under credentials that are in force no more."""
        while True:
            await asyncio.sleep(WATCH_S)
            self._present.withdraw(self._authenticate.admits)
            self._application.answer_once.withdraw(self._authenticate.admits)

    async def _end_withdrawn(self, visit: Visit, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the caller why: as the answer, or as a stream's last event, after which it is cut off."""
        error = bad_credential(Refusal.WITHDRAWN)
        answer = self._refuse(visit, scope, error)
        if visit.status == HUNG_UP:
            await send_answer(visit, answer, receive, send)
        elif visit.sending_events:
            raw_path = _raw_path(scope)
            style = problems.style_of(raw_path, scope["headers"])
            event = problems.event(error, visit.request_id, style, raw_path)
            with suppress(TimeoutError):  # who does not read hears nothing
                async with asyncio.timeout(WATCH_S):
                    await send({"type": "http.response.body", "body": event, "more_body": True})

    async def _say_that_it_ends(self, visit: Visit, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that was cancelled from outside, unless its answer is on the way already."""
        if visit.status == HUNG_UP:
            answer = _told(OverloadedError("the gateway is shutting down"), visit, scope)
            await send_answer(visit, answer, receive, send)

    def _leave(self, visit: Visit) -> None:
        visit.leave()
        if visit.principal is not None:
            for credential in visit.principal.credentials:
                self._present.leave(visit, credential)
        template = visit.route.path if visit.route else _UNROUTED
        elapsed_s = (self._clock.monotonic_ns() - visit.began_ns) / NS_PER_S
        self._application.metrics.request(template, visit.status, elapsed_s)

    async def _answer(self, visit: Visit, scope: Scope, receive: Receive) -> Response | Passed:
        """The handler's answer, or a refusal."""
        try:
            found = self._find(visit, scope)
            if visit.method == "OPTIONS":
                return Response(204, [(b"allow", ", ".join(found.allowed).encode("ascii"))])
            request = await self._admit(visit, found, scope, receive)
            visit.attention = Attention(receive)
            handler = found.route(visit.method).handler
            if isinstance(handler, Mount):
                return Passed(handler.app(self._application), request.body)
            return await handler(self._application, request)
        except CallerLeft:
            raise
        except MacroslowError as error:
            return self._refuse(visit, scope, error)
        except Exception as error:  # noqa: BLE001 - the outermost handler: whatever it is becomes a 500
            return self._fail(visit, scope, error)

    def _find(self, visit: Visit, scope: Scope) -> Found:
        """What is served at the path, once the request is one request and for this host."""
        visit.framing = read_framing(scope["headers"])
        visit.body = Body(self._budget, visit.framing.body_bytes)
        self._hosts.check(visit.framing.headers)
        return self._router.find(_raw_path(scope))

    async def _admit(self, visit: Visit, found: Found, scope: Scope, receive: Receive) -> Request:
        """Who, how often, may it; then the body."""
        route = visit.route = found.route(visit.method)
        query: bytes = scope.get("query_string", b"")
        await self._identify(visit, route, scope, query)
        media_type = _media_type(route, visit.framing)
        cap_bytes = min(route.cap_bytes, self._settings.max_body_bytes)
        holder = visit.principal.name if visit.principal else ""
        deadline_s = self._settings.body_deadline_s
        body = await visit.body.read(receive, cap_bytes, deadline_s, holder=holder)
        return Request(
            visit.method,
            route.path,
            query,
            scope["headers"],
            found.params,
            media_type,
            body,
            visit.principal,
            visit.request_id,
        )

    async def _identify(self, visit: Visit, route: Route, scope: Scope, query: bytes) -> None:
        """Find out who it is, how often they came and whether they have the route's scope."""
        if route.limit is LimitedBy.ADDRESS:
            self._public.admit(scope)
        if route.scope is None:
            return
        try:
            principal = visit.principal = await self._authenticate(scope["headers"], query, address_of(scope))
        except CredentialError:
            self._failures.admit(scope)
            raise
        if not self._belongs_here(principal):
            raise bad_credential(Refusal.ADMINISTRATIVE)
        for credential in principal.credentials:
            self._credentials.admit(visit, credential)
            self._present.enter(visit, credential)
        require_scope(principal.scopes, route.scope)

    def _belongs_here(self, principal: Principal) -> bool:
        """Administration is for keys alone, and theirs alone: no issuer makes an administrator of anybody.

        A key that may administrate is none of a client beside a token either.
        """
        if self._settings.administrators:
            return principal.token is None and principal.key_id != ""
        return not any(administrates(each.scopes) for each in principal.credentials)

    def _refuse(self, visit: Visit, scope: Scope, error: MacroslowError) -> Response:
        reason = error.reason if isinstance(error, CredentialError) else error.code
        self._application.metrics.refusal(reason)
        response = _told(error, visit, scope)
        if isinstance(error, UpstreamError | LogUnavailableError):
            cause = "" if error.reason == error.detail else f" ({error.reason})"
            log.warning("%s %s: %s%s", visit.request_id, error.code, error.detail, cause)
            return response  # no refusal of ours: the use case has logged what it could
        if visit.principal is not None or visit.route is None or visit.route.audit is not Audit.NOTHING:
            event = _refused(visit, scope, error, reason, response.status, self._clock.now_ns())
            self._security.note(event)
        return response

    def _fail(self, visit: Visit, scope: Scope, error: Exception) -> Response:
        log_failure(visit, error)
        self._application.metrics.refusal(problems.INTERNAL)
        return _told(problems.InternalError(), visit, scope)

    async def _pass_on(self, visit: Visit, passed: Passed, scope: Scope, send: Send) -> None:
        """Let a mounted application answer, under the same headers and the same watch."""
        started = False

        async def send_ours(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                visit.status = message["status"]
                message = {**message, "headers": complete_headers(message.get("headers", ()), visit)}
            await send(message)

        state = {**scope.get("state", {}), "principal": visit.principal, "request_id": visit.request_id}
        try:
            await passed.app({**scope, "state": state}, _replay(passed.body), send_ours)
        except Exception as error:  # noqa: BLE001 - the outermost handler of a mounted application
            if started:
                log_failure(visit, error)
            else:
                await send_answer(visit, self._fail(visit, scope, error), _replay(b""), send)


def _raw_path(scope: Scope) -> bytes:
    """The path as it stood in the request line; b"" where a server does not say."""
    return scope.get("raw_path") or b""


def _told(error: MacroslowError, visit: Visit, scope: Scope) -> Response:
    """The error in the words of those who call this path."""
    return problems.render(error, visit.request_id, problems.style_of(_raw_path(scope), scope["headers"]))


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


async def _lifespan(receive: Receive, send: Send) -> None:
    """Agree to start and stop: what has to start and stop is wired outside."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _media_type(route: Route, framing: Framing) -> str:
    """The body's media type. UnsupportedMediaTypeError if the route does not read it."""
    if framing.body_bytes == 0 or not route.cap_bytes:
        return ""
    if framing.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaTypeError("compressed bodies are not read", step="body")
    given = framing.headers.get(b"content-type", b"")
    media_type = given.partition(b";")[0].strip().lower().decode("latin-1")
    if media_type not in route.content_types:
        raise UnsupportedMediaTypeError(
            f"this route does not read {media_type[:80] or 'a body without a content type'!r}",
            fix=f"content-type: {' or '.join(sorted(route.content_types))}",
            step="body",
        )
    return media_type


def _refused(
    visit: Visit, scope: Scope, error: MacroslowError, reason: str, status: int, now_ns: int
) -> SecurityEvent:
    """What the log says about a refused request: no word of it is the caller's free text."""
    principal, route = visit.principal, visit.route
    theirs = visit.framing.headers.get(b"x-request-id", b"")
    return SecurityEvent(
        now_ns,
        Verdict.REFUSED,
        reason,
        method=route.method if route else "",
        route=route.path if route else "",
        principal=principal.name if principal else "",
        key_id=principal.key_id if principal else "",
        address=address_of(scope),
        request_id=visit.request_id,
        client_request_id=theirs.decode("ascii") if _SANE_ID.fullmatch(theirs) else "",
        status=status,
        step=error.step,
    )
