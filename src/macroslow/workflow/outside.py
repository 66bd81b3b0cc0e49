"""Outside APIs as a run sees them: a name, a path and an answer. Keys and hosts stay with the gateway."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from macroslow.errors import BadRequestError

MAX_TARGET_CHARACTERS: Final = 2048
_CHARACTER: Final = r"[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2}"  # pchar of RFC 3986 section 3.3
_PATH: Final = re.compile(rf"(?:/|{_CHARACTER})*")
_QUERY: Final = re.compile(rf"(?:[/?]|{_CHARACTER})*")
_HIDDEN: Final = re.compile("%(?:[01][0-9a-f]|7f|2e|2f|5c)", re.IGNORECASE)
"""Control characters, dots and separators in disguise: who decodes them later sees another path."""


@dataclass(frozen=True, slots=True)
class OutsideAnswer:
    """What an outside API said. The body comes from outside: a run gets it as it is.

    `headers` are those about limits and of an emulator, by their names in lower case; no run sees them.
    """

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class OutsideAPI(Protocol):
    """One configured API: its base URL and secret are the operator's and cannot be chosen by a caller."""

    async def get(self, path: str, query: str) -> OutsideAnswer:
        """Fetch base URL + path + query. Raises UpstreamUnavailableError or TooLargeError."""
        ...


def check_target(path: str, query: str) -> None:
    """Refuse a path or query that could leave the configured base URL or smuggle a header.

    Raises BadRequestError. RFC 3986 sections 3.3 and 3.4, less what hides structure: `path` is empty
    or begins with a slash, and has no dot segment, no empty one but the last, none disguised.
    """
    if len(path) + len(query) > MAX_TARGET_CHARACTERS:
        raise BadRequestError(f"path and query are longer than {MAX_TARGET_CHARACTERS} characters")
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        raise BadRequestError("the path or query has characters that a URL may not have")
    first, *segments = path.split("/")
    if first or "" in segments[:-1]:
        raise BadRequestError("the path must begin with one slash and have no empty segment")
    # Some servers cut a segment at `;` (RFC 3986 section 3.3) before they look for dots.
    if _HIDDEN.search(path) or {".", ".."} & {segment.partition(";")[0] for segment in segments}:
        raise BadRequestError("the path has dot segments or encoded separators")
