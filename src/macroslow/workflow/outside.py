"""Outside APIs as a run sees them: a name, a path and an answer. Keys and hosts stay with the gateway."""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from macroslow.errors import BadRequestError

MAX_PATH_CHARACTERS: Final = 2048
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")
_QUERY: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
_HIDDEN: Final = ("%2e", "%2f", "%5c", "%00", "%0a", "%0d")  # dots, slashes and line ends in disguise


@dataclass(frozen=True, slots=True)
class OutsideAnswer:
    """What an outside API said. The body comes from outside: it is passed on, never interpreted."""

    status: int
    content_type: str
    body: bytes


class OutsideAPI(Protocol):
    """One configured API: its base URL and secret are the operator's and cannot be chosen by a caller."""

    async def get(self, path: str, query: str) -> OutsideAnswer:
        """Fetch base URL + path + query. Raises UpstreamUnavailableError or TooLargeError."""
        ...


def check_target(path: str, query: str) -> None:
    """Refuse a path or query that could leave the configured base URL or smuggle a header.

    Raises BadRequestError. RFC 3986 section 3.3 and 3.4 characters, less those that hide structure.
    """
    lowered = path.lower()
    if len(path) + len(query) > MAX_PATH_CHARACTERS:
        raise BadRequestError(f"path and query are longer than {MAX_PATH_CHARACTERS} characters")
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        raise BadRequestError("the path or query has characters that a URL may not have")
    if any(hidden in lowered for hidden in _HIDDEN) or {".", ".."} & set(path.split("/")):
        raise BadRequestError("the path has dot segments or encoded separators")
