"""What must be remembered so that a request is not done twice, and an id is not used by another.

A *reply* is kept for a caller's idempotency key: claimed before the work, filled in after it. An id
that a provider gave out (a stored response, a file, a batch) belongs to the principal whose call made
it; to anybody else it does not exist.

Source: IETF draft-ietf-httpapi-idempotency-key-header, sections 2.2 to 2.7.
"""

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

import orjson

from macroslow.crypto import rows, strict_json
from macroslow.errors import DecryptionFailedError

SALT_BYTES: Final = 32

_LABEL: Final = b"macroslow/reply/v1"
_HEAD: Final = struct.Struct(">I")
_MAX_HEAD_BYTES: Final = 64 * 1024
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ClaimReply:
    """Take `key` for one request of `principal`. ConflictError if it is taken and not expired.

    `request_sha256` is over method, path and body, so that the same key with another request is told
    apart. What expires at or before `created_ns` is expired: a claim of the same key is replaced, and
    every claim has the store forget a few others, so that there are never more than were once in force.
    """

    principal: str
    key: str
    request_sha256: str
    created_ns: int
    expires_ns: int


@dataclass(frozen=True, slots=True)
class PutReply:
    """The answer to a claimed request; it is sealed at rest. NotFoundError if nothing was claimed.

    The principal's subject key seals it: once that is erased, nobody reads it.
    """

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

    Bound again by the same principal, it is as bound last. `tokens` is what a request that continues
    from it brings along (a stored response's whole context).
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

    async def reply(self, principal: str, key: str) -> Reply | None:
        """What is stored, expired or not. DecryptionFailedError if the principal was erased since."""
        ...

    async def bound_id(self, id: str) -> BindId | None: ...  # noqa: A002 - the word for it


def seal_reply(change: PutReply, subject_key: bytes, *, salt: bytes, nonce: bytes) -> bytes:
    """Return status, headers and body sealed for this principal and key; `salt` and `nonce` are fresh.

    A salted HMAC stands in front and is what the layer is bound to, so that no second key opens the
    same bytes as another answer. ValueError for headers that JSON cannot hold, or of more than 64 KiB.
    """
    named = {"headers": dict(change.headers), "key": change.key, "principal": change.principal}
    head = strict_json.canonical({**named, "status": change.status}, limit_bytes=_MAX_HEAD_BYTES, max_depth=2)
    content = _HEAD.pack(len(head)) + head + change.body
    digest = hmac.digest(salt, content, "sha256")
    return digest + rows.seal(subject_key, nonce, salt + content, _LABEL + digest)


def open_reply(claimed: Reply, sealed: bytes, subject_key: bytes, principal: str, key: str) -> Reply:
    """Return the claimed reply with its answer; DecryptionFailedError unless it was sealed for this key."""
    digest = sealed[:_DIGEST_BYTES]
    opened = rows.open_sealed(subject_key, sealed[_DIGEST_BYTES:], _LABEL + digest)
    salt, content = opened[:SALT_BYTES], opened[SALT_BYTES:]
    if not hmac.compare_digest(hmac.digest(salt, content, "sha256"), digest):
        raise DecryptionFailedError("a stored answer does not open", reason="its commitment differs")
    (size,) = _HEAD.unpack_from(content)
    body_at = _HEAD.size + size
    head = orjson.loads(content[_HEAD.size : body_at])
    if (head["principal"], head["key"]) != (principal, key):
        raise DecryptionFailedError("a stored answer does not open", reason="it is another request's")
    return replace(claimed, status=head["status"], headers=head["headers"], body=content[body_at:])
