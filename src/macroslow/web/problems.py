"""Errors as clients see them: problem+json (RFC 9457), the providers' shapes on /v1, JSON-RPC on /mcp.

One table gives each error its status and, for /v1, the provider's `type`. Only what an error class
lists as facts for its reader goes out: never a traceback, and never `reason`, which is the log's.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow import errors
from macroslow.authn.refusal import Refusal
from macroslow.errors import MacroslowError
from macroslow.web import media_types
from macroslow.web.messages import JSON_HEADERS, Headers, Response

TYPE_PREFIX: Final = "urn:macroslow:problem:"
ANTHROPIC_HEADER: Final = b"anthropic-version"
"""Every request of Anthropic's API carries it (Anthropic API reference, "API versioning")."""
CHALLENGE: Final = b"www-authenticate"
BEARER: Final = b'Bearer realm="macroslow"'
DOCS_PREFIX: Final = "docs/problems.md#"
INTERNAL: Final = "internal"
NOT_JSON: Final = "json"  # the step of a request at /mcp whose body is none
_PROBLEM_HEADER: Final = (b"content-type", media_types.PROBLEM.encode("ascii"))


@dataclass(frozen=True, slots=True)
class Shape:
    """How one class of error is answered: HTTP status, and `error.type` on /v1."""

    status: int
    provider_type: str


_INVALID: Final = "invalid_request_error"
_PERMISSION: Final = "permission_error"
_API: Final = "api_error"

SHAPES: Final[Mapping[type[MacroslowError], Shape]] = {
    MacroslowError: Shape(500, _API),
    errors.ProblemsError: Shape(400, _INVALID),
    errors.ConfigurationError: Shape(500, _API),
    errors.StateLockedError: Shape(500, _API),
    errors.BadRequestError: Shape(400, _INVALID),
    errors.InvalidDocumentError: Shape(400, _INVALID),
    errors.InvalidInputsError: Shape(400, _INVALID),
    errors.InvalidModelRequestError: Shape(400, _INVALID),
    errors.ContextLengthError: Shape(400, _INVALID),
    errors.UnsupportedMediaTypeError: Shape(415, _INVALID),
    errors.TooLargeError: Shape(413, _INVALID),
    errors.RequestTimeoutError: Shape(408, _INVALID),
    errors.NotFoundError: Shape(404, _INVALID),
    errors.ModelNotFoundError: Shape(404, _INVALID),
    errors.MethodNotAllowedError: Shape(405, _INVALID),
    errors.ConflictError: Shape(409, _INVALID),
    errors.KeyReusedError: Shape(422, _INVALID),
    errors.CredentialError: Shape(401, "authentication_error"),
    errors.ForbiddenError: Shape(403, _PERMISSION),
    errors.MissingScopeError: Shape(403, _PERMISSION),
    errors.MissingRightError: Shape(403, _PERMISSION),
    errors.SignatureRefusedError: Shape(403, _PERMISSION),
    errors.OriginRefusedError: Shape(403, _PERMISSION),
    errors.BudgetExhaustedError: Shape(402, "insufficient_quota"),
    errors.RateLimitedError: Shape(429, "rate_limit_error"),
    errors.OverloadedError: Shape(503, "overloaded_error"),
    errors.UpstreamError: Shape(502, _API),
    errors.UpstreamRefusedError: Shape(502, _API),
    errors.UpstreamUnavailableError: Shape(502, _API),
    errors.SandboxUnavailableError: Shape(503, _API),
    errors.VerificationError: Shape(422, _INVALID),
    errors.DecryptionFailedError: Shape(500, _API),
    errors.LogUnavailableError: Shape(503, _API),
}

FACTS: Final[Mapping[type[MacroslowError], tuple[str, ...]]] = {
    errors.InvalidModelRequestError: ("param",),
    errors.ContextLengthError: ("param",),
    errors.ModelNotFoundError: ("param",),
    errors.TooLargeError: ("limit_bytes",),
    errors.MethodNotAllowedError: ("allowed",),
    errors.MissingScopeError: ("scope",),
    errors.MissingRightError: ("uri",),
    errors.BudgetExhaustedError: (
        "budget",
        "limit_usd_micros",
        "spent_usd_micros",
        "held_usd_micros",
        "needed_usd_micros",
        "resets_s",
    ),
    errors.RateLimitedError: ("limit", "count", "period_s", "retry_after_s"),
    errors.OverloadedError: ("retry_after_s",),
    errors.UpstreamError: ("upstream",),
    errors.UpstreamRefusedError: ("upstream",),
    errors.UpstreamUnavailableError: ("upstream",),
}
"""The attributes of each class that its reader gets besides the common ones (RFC 9457 section 3.2)."""


_ANTHROPIC_TYPES: Final[Mapping[int, str]] = {
    402: "billing_error",
    404: "not_found_error",
    413: "request_too_large",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Where Anthropic's API has a word of its own for a status (Anthropic API reference, "Errors")."""


class InternalError(MacroslowError):
    """Stands in for an exception that nobody foresaw: its text stays in the log."""

    code = INTERNAL
    title = "Internal error"

    def __init__(self) -> None:
        super().__init__("the gateway failed; its log has more under this request_id")


def status_of(error: MacroslowError) -> int:
    """The HTTP status of an error. An upstream that asks for patience is passed on as such."""
    if isinstance(error, errors.UpstreamRefusedError) and error.status in {429, 503}:
        return error.status
    return _shape(error).status


@dataclass(frozen=True, slots=True)
class Challenge:
    """What to ask of whom to be let in, where a refusal says so: at /mcp.

    `scope` is what every request there needs; `metadata_url` tells who issues tokens (RFC 9728 section 5.1).
    """

    scope: str = ""
    metadata_url: str = ""


_NO_CHALLENGE: Final = Challenge()


class Style(enum.Enum):
    """In whose words an error is told."""

    PROBLEM = "problem"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    JSON_RPC = "json-rpc"


def style_of(raw_path: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Style:
    """SDKs of the providers call below /v1, MCP clients at /mcp, whether or not the route exists.

    Which provider's: that of the path, and where both have it, Anthropic's say so by a header.
    """
    if raw_path.startswith(b"/v1/"):
        anthropic = raw_path.startswith(b"/v1/messages") or any(
            name == ANTHROPIC_HEADER for name, _ in headers
        )
        return Style.ANTHROPIC if anthropic else Style.OPENAI
    return Style.JSON_RPC if raw_path == b"/mcp" else Style.PROBLEM


def render(
    error: MacroslowError,
    request_id: str,
    style: Style,
    message_id: str | int | None = None,
    challenge: Challenge = _NO_CHALLENGE,
) -> Response:
    """The answer to a request that ended in `error`; `message_id` is of the JSON-RPC message in it."""
    content = (_PROBLEM_HEADER,) if style is Style.PROBLEM else JSON_HEADERS
    headers = [*content, *_headers(error, challenge)]
    return Response(status_of(error), headers, _body(error, request_id, style, message_id))


def problem(error: MacroslowError, status: int, request_id: str) -> tuple[Headers, bytes]:
    """Headers and body of what never became a request, where HTTP has a closer status than the error's."""
    body = orjson.dumps(_problem(error, status, request_id), default=list)
    return [_PROBLEM_HEADER, *_headers(error, _NO_CHALLENGE)], body


def _body(error: MacroslowError, request_id: str, style: Style, message_id: str | int | None) -> bytes:
    status = status_of(error)
    body: dict[str, Any]
    if style is Style.OPENAI:
        body = {"error": _provider_body(error)}
    elif style is Style.ANTHROPIC:
        told = _provider_body(error) | {"type": _ANTHROPIC_TYPES.get(status, _shape(error).provider_type)}
        body = {"type": "error", "error": told, "request_id": request_id}
    elif style is Style.JSON_RPC:
        body = _json_rpc(error, status, request_id, message_id)
    else:
        body = _problem(error, status, request_id)
    return orjson.dumps(body, default=list)


def event(
    error: MacroslowError, request_id: str, style: Style, raw_path: bytes, message_id: str | int | None = None
) -> bytes:
    """The same as the last event of a stream that has begun, in the words of each API.

    OpenAI's chat streams have events without a name; those of its responses hold the error's members. MCP's
    are messages.
    """
    body = _body(error, request_id, style, message_id)
    if style is Style.JSON_RPC:
        return b"event: message\ndata: %b\n\n" % body
    if style is Style.OPENAI and raw_path == b"/v1/responses":
        body = orjson.dumps({**_provider_body(error), "type": "error"}, default=list)
    elif style is Style.OPENAI:
        return b"data: %b\n\n" % body
    return b"event: error\ndata: %b\n\n" % body


def _problem(error: MacroslowError, status: int, request_id: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + error.code,
        "title": error.title,
        "status": status,
        "step": error.step,
        "detail": error.detail,
        "fix": error.fix,
        "docs": DOCS_PREFIX + error.code,
        "request_id": request_id,
        "problems": _problems(error),
    }
    return body | _facts(error)


def _problems(error: MacroslowError) -> list[dict[str, Any]]:
    if not isinstance(error, errors.ProblemsError):
        return []
    return [
        {"line": problem.line, "field": problem.field, "message": problem.message, "fix": problem.fix}
        for problem in error.problems
    ]


def _provider_body(error: MacroslowError) -> dict[str, Any]:
    message = error.detail
    if isinstance(error, errors.ProblemsError):
        message = "; ".join([message, *map(_in_words, error.problems)])
    if error.fix:
        message = f"{message} ({error.fix})"
    facts = _facts(error)
    param = facts.pop("param", None) or None
    fixed = {"message": message, "type": _shape(error).provider_type, "param": param, "code": error.code}
    return facts | fixed


def _in_words(problem: errors.Problem) -> str:
    return f"{problem.field}: {problem.message}" if problem.field else problem.message


def json_rpc_error(error: MacroslowError, message_id: str | int | None) -> bytes:
    """The answer to a message that came by no request of HTTP."""
    return orjson.dumps(_json_rpc(error, status_of(error), "", message_id), default=list)


def _json_rpc(
    error: MacroslowError, status: int, request_id: str, message_id: str | int | None
) -> dict[str, Any]:
    """An error response; without an id where the request was not read (JSON-RPC 2.0 section 5.1)."""
    code = -32600 if status < 500 else -32603
    if error.step == NOT_JSON:
        code = -32700
    told = {"code": code, "message": error.detail, "data": _problem(error, status, request_id)}
    return {"jsonrpc": "2.0", "id": message_id, "error": told}


def _facts(error: MacroslowError) -> dict[str, Any]:
    return {name: getattr(error, name) for name in FACTS.get(_listed(error, FACTS), ())}


def _headers(error: MacroslowError, challenge: Challenge) -> list[tuple[bytes, bytes]]:
    match error:
        case errors.RateLimitedError() | errors.OverloadedError() | errors.UpstreamUnavailableError():
            return [] if error.retry_after_s is None else [_retry_after(error.retry_after_s)]
        case errors.MethodNotAllowedError():
            return [(b"allow", ", ".join(error.allowed).encode("ascii"))]
        case errors.CredentialError():
            # A credential that is no good now is none a second later: SDKs need not try it again.
            return [_www_authenticate(_error_of(error.reason), challenge), (b"x-should-retry", b"false")]
        case errors.MissingScopeError():
            return [_www_authenticate("insufficient_scope", challenge, error.scope)]
        case errors.BudgetExhaustedError():
            # SDKs retry by default what does not look final; a budget does not fill up by itself.
            return [(b"x-should-retry", b"false")]
        case _:
            return []


def _error_of(reason: str) -> str:
    """RFC 6750 section 3: whoever showed nothing is told no error, and every bad credential the same one."""
    return "" if reason == Refusal.MISSING else "invalid_token"


def _www_authenticate(error: str, challenge: Challenge, scope: str = "") -> tuple[bytes, bytes]:
    """RFC 6750 section 3, RFC 9728 section 5.1. All that the request needs is named at once, or a client
    that asks for what it is told would lose the one for the other.
    """
    scopes = " ".join(dict.fromkeys(filter(None, (challenge.scope, scope))))
    said = {"error": error, "scope": scopes, "resource_metadata": challenge.metadata_url}
    told = "".join(f', {name}="{value}"' for name, value in said.items() if value)
    return CHALLENGE, BEARER + told.encode("latin-1")


def _retry_after(seconds: float) -> tuple[bytes, bytes]:
    """RFC 9110 section 10.2.3: whole seconds, rounded up so that nobody comes too early."""
    return b"retry-after", b"%d" % max(1, -int(-seconds // 1))


def _shape(error: MacroslowError) -> Shape:
    return SHAPES[_listed(error, SHAPES)]


def _listed(error: MacroslowError, table: Mapping[type[MacroslowError], object]) -> type[MacroslowError]:
    """The nearest class of the error that the table has; the root if none."""
    for cls in type(error).__mro__:
        if cls in table:
            return cls
    return MacroslowError
