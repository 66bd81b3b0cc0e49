"""Refusals as OpenAI words them: status, message, type, param and code.

Sources: OpenAI API reference, "Error codes"; bodies that the service was seen to send.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from macroslow.emulator.answer import ContextExceededError
from macroslow.emulator.keys import masked
from macroslow.emulator.limits import Exceeded, Kind, duration, waiting

ORGANIZATION: Final = "org-emulator"
_KEYS_URL: Final = "https://platform.openai.com/account/api-keys"
_LIMITS_URL: Final = "https://platform.openai.com/account/rate-limits"
# The service's words; it has none for the last three, which are after their pattern.
_UNITS: Final = {
    Kind.REQUESTS: "requests per min (RPM)",
    Kind.TOKENS: "tokens per min (TPM)",
    Kind.REQUESTS_A_DAY: "requests per day (RPD)",
    Kind.REQUESTS_A_SECOND: "requests per second (RPS)",
    Kind.INPUT_TOKENS: "input tokens per min (ITPM)",
    Kind.OUTPUT_TOKENS: "output tokens per min (OTPM)",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error answer."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    kind: str = "invalid_request_error"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self, request_id: str) -> bytes:
        """The JSON that is sent, indented as the service does; the request's id stands in a header alone."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return orjson.dumps({"error": error}, option=orjson.OPT_INDENT_2)


def no_key() -> Refusal:
    return Refusal(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) "
        "if you're accessing the API from your browser and are prompted for a username and password. You can "
        f"obtain an API key from {_KEYS_URL}.",
    )


def wrong_key(key: str) -> Refusal:
    """Quotes the ends of the key, as the service does."""
    message = f"Incorrect API key provided: {masked(key)}. You can find your API key at {_KEYS_URL}."
    return Refusal(401, message, code="invalid_api_key")


def unknown_url(method: str, path: str) -> Refusal:
    return Refusal(404, f"Invalid URL ({method} {path})")


def wrong_method(method: str, path: str) -> Refusal:
    hint = "(HINT: Perhaps you meant to use a different HTTP method?)"
    return Refusal(405, f"Not allowed to {method} on {path}. {hint}", code="method_not_supported")


def unknown_model(name: str) -> Refusal:
    message = f"The model `{name}` does not exist or you do not have access to it."
    return Refusal(404, message, code="model_not_found")


def no_such_model(name: str) -> Refusal:
    """As `unknown_model`, in the words of `GET /v1/models/{id}`."""
    return Refusal(404, f"The model '{name}' does not exist", param="model", code="model_not_found")


def no_such_response(response_id: str) -> Refusal:
    return Refusal(404, f"Response with id '{response_id}' not found.")


def too_large(limit_bytes: int) -> Refusal:
    return Refusal(413, f"The request is larger than {limit_bytes} bytes.", code="request_too_large")


def not_json() -> Refusal:
    return Refusal(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
        "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid "
        "JSON. If you have trouble figuring out how to fix this, please contact us through our help center "
        "at help.openai.com.)",
    )


def bad_value(param: str, message: str, code: str | None = "invalid_value") -> Refusal:
    """A member of the body that is wrong as it stands."""
    return Refusal(400, message, param=param, code=code)


def wrong_type(param: str, expected: str, value: object) -> Refusal:
    message = f"Invalid type for '{param}': expected {expected}, but got {json_type(value)} instead."
    return bad_value(param, message, "invalid_type")


def not_emulated(param: str, what: str) -> Refusal:
    """The one refusal that is ours: the service can do this, the emulator cannot."""
    message = f"Unsupported parameter: '{param}': the emulator does not do {what}."
    return bad_value(param, message, "unsupported_parameter")


def context_exceeded(error: ContextExceededError) -> Refusal:
    """What chat completions say."""
    tokens = f"{error.input_tokens} tokens"
    asked = f"your messages resulted in {tokens}. Please reduce the length of the messages."
    if error.output_tokens:
        asked = (
            f"you requested {error.input_tokens + error.output_tokens} tokens ({error.input_tokens} in the "
            f"messages, {error.output_tokens} in the completion). "
            "Please reduce the length of the messages or completion."
        )
    message = f"This model's maximum context length is {error.context_tokens} tokens. However, {asked}"
    return bad_value("messages", message, "context_length_exceeded")


def rate_limited(model: str, exceeded: Exceeded) -> Refusal:
    """429; it names the limit, what is used of it, and the wait."""
    where = f"for {model} in organization {ORGANIZATION} on {_UNITS[exceeded.kind]}: Limit {exceeded.count}"
    kind = "tokens" if "tokens" in exceeded.kind else "requests"
    if exceeded.wait_ns is None:
        message = (
            f"Request too large {where}, Requested {exceeded.requested}. The input or output tokens must be "
            f"reduced in order to run successfully. Visit {_LIMITS_URL} to learn more."
        )
        return Refusal(429, message, code="rate_limit_exceeded", kind=kind)
    message = (
        f"Rate limit reached {where}, Used {exceeded.used}, Requested {exceeded.requested}. "
        f"Please try again in {duration(exceeded.wait_ns)}. Visit {_LIMITS_URL} to learn more."
    )
    return Refusal(429, message, code="rate_limit_exceeded", kind=kind, headers=waiting(exceeded.wait_ns))


def fault(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> Refusal:
    """An error that was asked for."""
    if status == 429:
        message = "Rate limit reached for requests"
        return Refusal(429, message, code="rate_limit_exceeded", kind="requests", headers=headers)
    message = "The server had an error while processing your request. Sorry about that!"
    if status in (503, 529):
        message = "The engine is currently overloaded, please try again later."
    return Refusal(status, message, kind="server_error", headers=headers)


def json_type(value: object) -> str:
    """What a JSON value is, with its article, as the messages name it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
