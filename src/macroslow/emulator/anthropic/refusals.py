"""Refusals as Anthropic words them: status, type and message.

Sources: Anthropic API reference, "Errors"; bodies that the service was seen to send.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from macroslow.emulator.answer import ContextExceededError
from macroslow.emulator.limits import Exceeded, Kind, waiting

_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_UNITS: Final = {
    Kind.REQUESTS: "requests per minute",
    Kind.TOKENS: "tokens per minute",
    Kind.INPUT_TOKENS: "input tokens per minute",
    Kind.OUTPUT_TOKENS: "output tokens per minute",
    Kind.REQUESTS_A_DAY: "requests per day",
    Kind.REQUESTS_A_SECOND: "requests per second",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error answer; its type follows from its status."""

    status: int
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self, request_id: str) -> bytes:
        error = {"type": _KINDS.get(self.status, "api_error"), "message": self.message}
        return orjson.dumps({"type": "error", "error": error, "request_id": request_id})


def bad(param: str, message: str) -> Refusal:
    """A member of the body that is wrong; `param` is written `messages.0.content`."""
    return Refusal(400, f"{param}: {message}")


def not_emulated(param: str, what: str) -> Refusal:
    """The one refusal that is ours: the service can do this, the emulator cannot."""
    return bad(param, f"the emulator does not do {what}")


def context_exceeded(error: ContextExceededError) -> Refusal:
    if error.input_tokens > error.context_tokens:
        message = f"prompt is too long: {error.input_tokens} tokens > {error.context_tokens} maximum"
        return Refusal(400, message)
    return Refusal(
        400,
        f"input length and `max_tokens` exceed context limit: {error.input_tokens} + {error.output_tokens} > "
        f"{error.context_tokens}, decrease input length or `max_tokens` and try again",
    )


def rate_limited(model: str, exceeded: Exceeded) -> Refusal:
    """429; it names the limit, not what is used of it. What can never pass has no `retry-after`."""
    limit = f"{exceeded.count:,} {_UNITS[exceeded.kind]} (model: {model})"
    message = (
        f"This request would exceed your organization's rate limit of {limit}. For details, refer to: "
        "https://docs.claude.com/en/api/rate-limits. You can see the response headers for current usage. "
        "Please reduce the prompt length or the maximum tokens requested, or try again later."
    )
    return Refusal(429, message, waiting(exceeded.wait_ns) if exceeded.wait_ns is not None else ())


def fault(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> Refusal:
    """An error that was asked for."""
    words = {429: "Number of requests has exceeded your rate limit", 529: "Overloaded"}
    return Refusal(status, words.get(status, "Internal server error"), headers)
