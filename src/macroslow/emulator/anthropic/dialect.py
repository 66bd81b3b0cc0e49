"""How Anthropic's service speaks around its answers.

Source: Anthropic API reference, "API overview", "Versions", "Errors", "Rate limits".
"""

from collections.abc import Mapping
from typing import Final

import orjson

from macroslow.emulator.anthropic import refusals
from macroslow.emulator.anthropic.refusals import Refusal
from macroslow.emulator.limits import Exceeded, Kind, View, anthropic_headers
from macroslow.emulator.work import Header, Headers, refuse

WITHOUT_SAMPLING: Final = "2026-10-21"
VERSIONS: Final = ("2023-01-01", "2023-06-01", WITHOUT_SAMPLING)
_ORGANIZATION: Final = b"00000000-0000-4000-8000-000000000000"


class Anthropic:
    """The dialect of messages and of the reports about them."""

    def signature(self, request_id: str) -> Headers:
        return [(b"request-id", request_id.encode()), (b"anthropic-organization-id", _ORGANIZATION)]

    def taken(self, time_ms: int) -> Headers:
        return ()

    def key(self, header: Header) -> str:
        """From `x-api-key`, or as a Bearer token, as newer SDKs send it."""
        scheme, _, bearer = header(b"authorization").partition(" ")
        key = header(b"x-api-key").strip() or bearer.strip() * (scheme.lower() == "bearer")
        if not key:
            refuse(Refusal(401, "x-api-key header is required"))
        version = header(b"anthropic-version")
        if not version:
            refuse(refusals.bad("anthropic-version", "header is required"))
        if version not in VERSIONS:
            refuse(refusals.bad("anthropic-version", f'"{version}" is not a valid version'))
        return key

    def limit_headers(self, views: Mapping[Kind, View]) -> Headers:
        return anthropic_headers(views)

    def wrong_key(self, key: str) -> Refusal:
        return Refusal(401, "invalid x-api-key")

    def unknown_url(self, method: str, path: str) -> Refusal:
        return Refusal(404, "Not found")

    def wrong_method(self, method: str, path: str) -> Refusal:
        return Refusal(405, "Method Not Allowed")

    def too_large(self, limit_bytes: int) -> Refusal:
        return Refusal(413, f"Request exceeds the maximum size of {limit_bytes} bytes")

    def rate_limited(self, model: str, exceeded: Exceeded) -> Refusal:
        return refusals.rate_limited(model, exceeded)

    def fault(self, status: int, headers: Headers) -> Refusal:
        return refusals.fault(status, tuple(headers))

    def broken_stream(self) -> bytes:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        return b"event: error\ndata: %b\n\n" % orjson.dumps({"type": "error", "error": error})
