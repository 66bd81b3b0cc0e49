"""How OpenAI's service speaks around its answers.

Source: OpenAI API reference, "Authentication", "Debugging requests"; "Rate limits".
"""

from collections.abc import Mapping

import orjson

from macroslow.emulator.limits import Exceeded, Kind, View, openai_headers
from macroslow.emulator.openai import refusals
from macroslow.emulator.openai.refusals import Refusal
from macroslow.emulator.work import Header, Headers, refuse

_VERSION = b"2020-10-01"


class OpenAI:
    """The dialect of every route but Anthropic's."""

    def signature(self, request_id: str) -> Headers:
        return [
            (b"x-request-id", request_id.encode()),
            (b"openai-organization", refusals.ORGANIZATION.encode()),
            (b"openai-version", _VERSION),
        ]

    def taken(self, time_ms: int) -> Headers:
        return [(b"openai-processing-ms", str(time_ms).encode())]

    def key(self, header: Header) -> str:
        scheme, _, key = header(b"authorization").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            refuse(refusals.no_key())
        return key

    def limit_headers(self, views: Mapping[Kind, View]) -> Headers:
        return openai_headers(views)

    def wrong_key(self, key: str) -> Refusal:
        return refusals.wrong_key(key)

    def unknown_url(self, method: str, path: str) -> Refusal:
        return refusals.unknown_url(method, path)

    def wrong_method(self, method: str, path: str) -> Refusal:
        return refusals.wrong_method(method, path)

    def too_large(self, limit_bytes: int) -> Refusal:
        return refusals.too_large(limit_bytes)

    def rate_limited(self, model: str, exceeded: Exceeded) -> Refusal:
        return refusals.rate_limited(model, exceeded)

    def fault(self, status: int, headers: Headers) -> Refusal:
        return refusals.fault(status, tuple(headers))

    def broken_stream(self) -> bytes:
        error = {
            "message": "The server had an error while processing your request. Sorry about that!",
            "type": "server_error",
            "param": None,
            "code": None,
        }
        return b"data: %b\n\n" % orjson.dumps({"error": error})
