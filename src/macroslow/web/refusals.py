"""What is made of a refusal: an answer in its reader's words, a count, and an event for the security log.

A refusal of ours is an event; what an upstream or the books refused is a line in the server's own log, since
the use case has logged what it could. No word of an event is the caller's free text.
"""

import logging
import re
from typing import Final

from macroslow.authz.security import SecurityEvent, Verdict
from macroslow.errors import CredentialError, LogUnavailableError, MacroslowError, UpstreamError
from macroslow.ports import Clock
from macroslow.services.identity.record_security import RecordSecurity
from macroslow.web import problems
from macroslow.web.admission import address_of
from macroslow.web.messages import Response, Scope
from macroslow.web.metrics import Metrics
from macroslow.web.problems import Challenge
from macroslow.web.protected_resource import ProtectedResource
from macroslow.web.routes import Audit
from macroslow.web.visit import Visit, log_failure

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")

log: Final = logging.getLogger("macroslow.web")


class Refusals:
    """Tells callers, counters and the log of everything that one gate or its listener refuses."""

    def __init__(
        self, metrics: Metrics, security: RecordSecurity, clock: Clock, protected: ProtectedResource
    ) -> None:
        self._protected = protected
        self._metrics = metrics
        self._security = security
        self._clock = clock

    def answer(self, error: Exception, visit: Visit, scope: Scope) -> Response:
        """The answer to a request that ended in `error`, which is counted, and noted or logged."""
        if not isinstance(error, MacroslowError):  # nobody foresaw it
            log_failure(visit, error)
            self._metrics.refusal(problems.INTERNAL)
            return told(problems.InternalError(), visit, scope)
        reason = error.reason if isinstance(error, CredentialError) else error.code
        self._metrics.refusal(reason)
        response = told(error, visit, scope, self._protected)
        if isinstance(error, UpstreamError | LogUnavailableError):
            cause = "" if error.reason == error.detail else f" ({error.reason})"
            log.warning("%s %s: %s%s", visit.request_id, error.code, error.detail, cause)
        elif visit.principal is not None or visit.route is None or visit.route.audit is not Audit.NOTHING:
            self._security.note(_event(visit, scope, error, reason, response.status, self._clock.now_ns()))
        return response

    def no_request(self, status: int, code: str, address: str) -> None:
        """Count and note what the listener refused before it was a request."""
        self._metrics.refusal(code)
        time_ns, verdict = self._clock.now_ns(), Verdict.REFUSED
        event = SecurityEvent(time_ns, verdict, code, address=address, status=status, step="connection")
        self._security.note(event)


def told(
    error: MacroslowError, visit: Visit, scope: Scope, protected: ProtectedResource | None = None
) -> Response:
    """The error in the words of those who call this path; at the `protected` one, with who issues tokens."""
    style = _style(scope)
    if style is not problems.Style.JSON_RPC:
        return problems.render(error, visit.request_id, style)
    return problems.render(error, visit.request_id, style, visit.message_id, _challenge(visit, protected))


def told_last(error: MacroslowError, visit: Visit, scope: Scope) -> bytes:
    """The same as the last event of a stream that has begun."""
    return problems.event(error, visit.request_id, _style(scope), raw_path_of(scope), visit.message_id)


def _challenge(visit: Visit, protected: ProtectedResource | None) -> Challenge:
    scope = visit.route.scope if visit.route is not None and visit.route.scope else ""
    if protected is None:
        return Challenge(scope)
    host = visit.headers.get(b"host", b"")
    return Challenge(scope, protected.metadata_url(host, encrypted=visit.encrypted))


def raw_path_of(scope: Scope) -> bytes:
    """The path as it stood in the request line; b"" where a server does not say."""
    return scope.get("raw_path") or b""


def _style(scope: Scope) -> problems.Style:
    return problems.style_of(raw_path_of(scope), scope["headers"])


def _event(
    visit: Visit, scope: Scope, error: MacroslowError, reason: str, status: int, now_ns: int
) -> SecurityEvent:
    route, (principal, key_id) = visit.route, _whose(visit, error)
    theirs = visit.headers.get(b"x-request-id", b"")
    return SecurityEvent(
        now_ns,
        Verdict.REFUSED,
        reason,
        method=route.method if route else "",
        route=route.path if route else "",
        principal=principal,
        key_id=key_id,
        address=address_of(scope),
        request_id=visit.request_id,
        client_request_id=theirs.decode("ascii") if _SANE_ID.fullmatch(theirs) else "",
        status=status,
        step=error.step,
    )


def _whose(visit: Visit, error: MacroslowError) -> tuple[str, str]:
    """The principal and the key that were let in, else those of a key that was shown and refused."""
    if visit.principal is not None:
        return visit.principal.name, visit.principal.key_id
    return (error.principal, error.key_id) if isinstance(error, CredentialError) else ("", "")
