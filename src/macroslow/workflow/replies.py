"""What must be remembered so that a request is not done twice, and an id is not used by another.

A *reply* is kept for a caller's idempotency key: claimed before the work, filled in after it. An id
that a provider gave out (a stored response, a file, a batch) belongs to the principal whose call made
it; to anybody else it does not exist.

Source: IETF draft-ietf-httpapi-idempotency-key-header, sections 2.2 to 2.7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ClaimReply:
    """Take `key` for one request of `principal`. ConflictError if it is taken and not expired.

    `request_sha256` is over method, path and body, so that the same key with another request is told
    apart. An expired claim of the same key is replaced.
    """

    principal: str
    key: str
    request_sha256: str
    created_ns: int
    expires_ns: int


@dataclass(frozen=True, slots=True)
class PutReply:
    """The answer to a claimed request; it is sealed at rest. NotFoundError if nothing was claimed."""

    principal: str
    key: str
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class DropReply:
    """Give a claimed key back: the request was refused and nothing happened. Idempotent."""

    principal: str
    key: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What is known of a key: `status` None while its request is under way, or nobody saw its end."""

    request_sha256: str
    created_ns: int
    expires_ns: int
    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class BindId:
    """An id that `provider` gave out belongs to `principal`. ConflictError if it is another's.

    `tokens` is what a request that continues from it brings along (a stored response's whole context).
    """

    id: str
    kind: str
    principal: str
    provider: str
    account: str
    created_ns: int
    tokens: int = 0


class ReplyReader(Protocol):
    """Reading both. Values are those of the last commit."""

    async def reply(self, principal: str, key: str) -> Reply | None: ...

    async def bound_id(self, id: str) -> BindId | None: ...  # noqa: A002 - the word for it
