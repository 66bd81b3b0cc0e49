"""The error tree: what went wrong, as a class with typed facts and a stable `code`.

No class here knows a protocol. Each edge has one table that turns a class into its own shape
(problem+json, a provider's error body, JSON-RPC, an exit code). `detail` is written for the
person who reads it and may go to a client; `reason` is for the log alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend in a file that a person wrote: where it is and how to mend it."""

    message: str
    fix: str = ""
    line: int | None = None
    field: str = ""
    file: str = ""


class MacroslowError(Exception):
    """Root of the tree. `step` names the stage that refused, `fix` is the repair in one line.

    `nothing_done`: it is certain that no work was done for the request, so it may be sent again.
    """

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Error"
    nothing_done: bool = True

    def __init__(self, detail: str, *, fix: str = "", step: str = "", reason: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.fix = fix
        self.step = step
        self.reason = reason or detail


class ProblemsError(MacroslowError):
    """Several things at once are wrong with what was given; all of them are listed."""

    def __init__(
        self,
        detail: str,
        problems: Sequence[Problem] = (),
        *,
        fix: str = "",
        step: str = "",
        reason: str = "",
    ) -> None:
        super().__init__(detail, fix=fix, step=step, reason=reason)
        self.problems = tuple(problems)


# Configuration and state: the process must not start, or the command cannot decide.


class ConfigurationError(ProblemsError):
    """The configuration, a secret or the state folder does not allow a start (exit code 78)."""

    code = "configuration"
    title = "Bad configuration"


class StateLockedError(ConfigurationError):
    """Another process holds the state folder."""

    code = "state-locked"
    title = "State folder in use"


# What a caller sent.


class BadRequestError(ProblemsError):
    """The request as such cannot be understood."""

    code = "bad-request"
    title = "Bad request"


class InvalidDocumentError(ProblemsError):
    """The document does not pass the document checks."""

    code = "invalid-document"
    title = "Invalid document"


class InvalidInputsError(ProblemsError):
    """The inputs do not fit the document's Input_Schema."""

    code = "invalid-inputs"
    title = "Invalid inputs"


class InvalidModelRequestError(BadRequestError):
    """A model request that cannot be served as it stands; `param` is the member at fault, if one is."""

    code = "invalid-model-request"
    title = "Invalid model request"

    def __init__(self, detail: str, *, param: str = "", fix: str = "") -> None:
        super().__init__(detail, fix=fix, step="parse")
        self.param = param


class ContextLengthError(InvalidModelRequestError):
    """The prompt alone is longer than what fits. Its code is OpenAI's own: agents shorten what they sent."""

    code = "context_length_exceeded"
    title = "Prompt too long"


class UnsupportedMediaTypeError(MacroslowError):
    """The body is of a content type that this route does not read."""

    code = "unsupported-media-type"
    title = "Unsupported media type"


class TooLargeError(MacroslowError):
    """More bytes than the route takes."""

    code = "too-large"
    title = "Too large"

    def __init__(self, detail: str, *, limit_bytes: int, fix: str = "", step: str = "") -> None:
        super().__init__(detail, fix=fix, step=step)
        self.limit_bytes = limit_bytes


class RequestTimeoutError(MacroslowError):
    """The caller sent its request too slowly."""

    code = "request-timeout"
    title = "Request timeout"


class NotFoundError(MacroslowError):
    """No such thing, or none that this caller may know of."""

    code = "not-found"
    title = "Not found"


class ModelNotFoundError(NotFoundError):
    """No such model, or none that is priced and served where it was asked for."""

    code = "model-not-found"
    title = "Model not found"
    param: ClassVar[str] = "model"

    def __init__(self, detail: str, *, fix: str = "", reason: str = "") -> None:
        super().__init__(detail, fix=fix, step="price", reason=reason)


class MethodNotAllowedError(MacroslowError):
    """The path exists, the method does not."""

    code = "method-not-allowed"
    title = "Method not allowed"

    def __init__(self, detail: str, *, allowed: Sequence[str]) -> None:
        super().__init__(detail)
        self.allowed = tuple(allowed)


class ConflictError(MacroslowError):
    """The request contradicts what is already there."""

    code = "conflict"
    title = "Conflict"


class KeyReusedError(MacroslowError):
    """An idempotency key that stands for another request."""

    code = "key-reused"
    title = "Idempotency key reused"


# Who, and what they may do.


class CredentialError(MacroslowError):
    """No credential, or none that is valid. From outside all bad ones look alike.

    For the log alone are `reason`, the `key_id` of the key that was shown, where one has that id, and
    the `principal` whose key it is, where its secret was shown too.
    """

    code = "unauthorized"
    title = "Unauthorized"

    def __init__(
        self,
        detail: str,
        *,
        fix: str = "",
        step: str = "",
        reason: str = "",
        principal: str = "",
        key_id: str = "",
    ) -> None:
        super().__init__(detail, fix=fix, step=step, reason=reason)
        self.principal = principal
        self.key_id = key_id


class ForbiddenError(MacroslowError):
    """A known caller, and not allowed."""

    code = "forbidden"
    title = "Forbidden"


class MissingScopeError(ForbiddenError):
    """The caller's credential lacks `scope`."""

    code = "missing-scope"
    title = "Missing scope"

    def __init__(self, detail: str, *, scope: str, fix: str = "") -> None:
        super().__init__(detail, fix=fix, step="authorise")
        self.scope = scope


class MissingRightError(ForbiddenError):
    """The document, the caller or the operator does not cover `uri`; `fix` has the line to add."""

    code = "missing-right"
    title = "Missing right"

    def __init__(self, detail: str, *, uri: str, fix: str = "") -> None:
        super().__init__(detail, fix=fix, step="permissions")
        self.uri = uri


class SignatureRefusedError(ForbiddenError):
    """The document is unsigned where a signature is required, or its signature is not accepted."""

    code = "signature-refused"
    title = "Signature refused"


class OriginRefusedError(ForbiddenError):
    """A request from a Host or Origin that the operator did not allow."""

    code = "origin-refused"
    title = "Origin refused"


# Limits and money.


class BudgetExhaustedError(MacroslowError):
    """The reservation does not fit the budget. All amounts in millionths of a US dollar."""

    code = "budget-exhausted"
    title = "Budget exhausted"

    def __init__(
        self,
        detail: str,
        *,
        budget: str,
        limit_usd_micros: int,
        spent_usd_micros: int,
        held_usd_micros: int,
        needed_usd_micros: int,
        resets_s: int | None = None,
        fix: str = "",
    ) -> None:
        super().__init__(detail, fix=fix, step="reserve")
        self.resets_s = resets_s  # when the budget's period ends, in seconds since 1970; None: it does not
        self.budget = budget
        self.limit_usd_micros = limit_usd_micros
        self.spent_usd_micros = spent_usd_micros
        self.held_usd_micros = held_usd_micros
        self.needed_usd_micros = needed_usd_micros


class RateLimitedError(MacroslowError):
    """Too many requests or tokens in the period of `limit`."""

    code = "rate-limited"
    title = "Rate limited"

    def __init__(
        self, detail: str, *, limit: str, count: int, period_s: int, retry_after_s: float, fix: str = ""
    ) -> None:
        super().__init__(detail, fix=fix, step="admit")
        self.limit = limit
        self.count = count
        self.period_s = period_s
        self.retry_after_s = retry_after_s


class OverloadedError(MacroslowError):
    """The gateway itself has no room just now (bytes in flight, connections, disk reserve, shutting down)."""

    code = "overloaded"
    title = "Overloaded"

    def __init__(self, detail: str, *, retry_after_s: float = 1.0, fix: str = "") -> None:
        super().__init__(detail, fix=fix)
        self.retry_after_s = retry_after_s


# What we depend on.


class UpstreamError(MacroslowError):
    """A provider or outside API did not answer as it should."""

    code = "upstream"
    title = "Upstream failure"

    def __init__(self, detail: str, *, upstream: str, fix: str = "", reason: str = "") -> None:
        super().__init__(detail, fix=fix, step="upstream", reason=reason)
        self.upstream = upstream


class UpstreamRefusedError(UpstreamError):
    """The upstream refused before doing any work, so nothing is owed. `status` is its own status code."""

    code = "upstream-refused"
    title = "Upstream refused"

    def __init__(self, detail: str, *, upstream: str, status: int, fix: str = "", reason: str = "") -> None:
        super().__init__(detail, upstream=upstream, fix=fix, reason=reason)
        self.status = status


class UpstreamUnavailableError(UpstreamError):
    """The upstream could not be reached, or broke off: the work may or may not have been done.

    `retry_after_s`: when it is worth another try, None where nobody knows.
    """

    code = "upstream-unavailable"
    title = "Upstream unavailable"

    def __init__(
        self,
        detail: str,
        *,
        upstream: str,
        fix: str = "",
        reason: str = "",
        nothing_done: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail, upstream=upstream, fix=fix, reason=reason)
        self.nothing_done = nothing_done
        self.retry_after_s = retry_after_s


class SandboxUnavailableError(MacroslowError):
    """No sandbox works on this machine, so code blocks are refused."""

    code = "sandbox-unavailable"
    title = "Sandbox unavailable"


# Cryptography and the log.


class VerificationError(MacroslowError):
    """A signature, proof, receipt or log entry does not check out."""

    code = "verification-failed"
    title = "Verification failed"


class DecryptionFailedError(MacroslowError):
    """Sealed bytes do not open: wrong key, wrong context or altered. The cause is not told apart."""

    code = "decryption-failed"
    title = "Decryption failed"


class LogUnavailableError(MacroslowError):
    """The log cannot be written, so nothing that must be logged may happen. What was under way may have."""

    code = "log-unavailable"
    title = "Log unavailable"
    nothing_done = False
