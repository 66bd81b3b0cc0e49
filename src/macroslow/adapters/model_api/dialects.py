"""How providers' HTTP APIs differ, as far as a sender of opaque bodies must know: a table.

Source: OpenAI API reference, "Authentication" and "Rate limits"; Anthropic API reference, "Versions",
"Errors" and "Rate limits"; Azure OpenAI reference, "Authentication".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from macroslow.inference.dialect import Dialect


@dataclass(frozen=True, slots=True)
class Credential:
    """Where a key goes: a header, and what stands in it before the key."""

    header: str
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """Of one API. `sent` are headers of every request, unless the caller has others of that name.

    Of an answer's headers those in `passed` are passed on, and those that begin with
    `passed_prefix`. An error of ours is `envelope` with a member `error`, which is `error` with a message.
    """

    auth: str
    sent: Mapping[str, str]
    passed: frozenset[bytes]
    passed_prefix: bytes
    envelope: Mapping[str, object]
    error: Mapping[str, object]

    def passed_name(self, name: bytes) -> str:
        """The name of an answer's header if it is passed on, else nothing."""
        passed = name in self.passed or name.startswith(self.passed_prefix)
        return name.decode("ascii") if passed else ""


CREDENTIALS: Final[Mapping[str, Credential]] = {
    "bearer": Credential("Authorization", "Bearer "),
    "api-key": Credential("api-key"),
    "x-api-key": Credential("x-api-key"),
}

_PASSED: Final = frozenset({b"content-type", b"retry-after", b"retry-after-ms", b"x-should-retry"})

DIALECTS: Final[Mapping[Dialect, Rules]] = {
    Dialect.OPENAI: Rules(
        auth="bearer",
        sent={},
        passed=_PASSED | {b"openai-processing-ms"},
        passed_prefix=b"x-ratelimit-",
        envelope={},
        error={"type": "upstream_error", "param": None, "code": None},
    ),
    Dialect.ANTHROPIC: Rules(
        auth="x-api-key",
        sent={"anthropic-version": "2023-06-01"},
        passed=_PASSED | {b"request-id"},
        passed_prefix=b"anthropic-ratelimit-",
        envelope={"type": "error"},
        error={"type": "api_error"},
    ),
}
