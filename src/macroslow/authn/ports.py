"""API keys, document signers and revocations of tokens as they are stored."""

from dataclasses import dataclass
from typing import Protocol

from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.terms import Terms


@dataclass(frozen=True, slots=True)
class KeyRecord(Terms):
    """One client key. `secret_hmac` is the keyed hash of its secret; the secret itself is nowhere.

    `legacy` marks a key that another gateway made: its text is `sk-…`, its id begins with `legacy`, and
    `secret_hmac` is the keyed hash of the text's SHA-256 (of its 64 hexadecimal digits), which is all
    that the other gateway kept.

    `maker` is the id of the key that made it, which it falls with; "": the operator.
    `generation` counts its secrets, from 1. The one before works until `old_until_ns`, if it still does.
    """

    id: str
    principal: str
    secret_hmac: bytes
    created_ns: int
    note: str = ""
    revoked_ns: int | None = None
    legacy: bool = False
    maker: str = ""
    generation: int = 1
    old_secret_hmac: bytes = b""
    old_until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SignerRecord:
    """A key that may sign documents for origins that match one of `origins` (`agent://NAME` patterns)."""

    key_id: str
    name: str
    public_jwks: str
    origins: tuple[str, ...]
    trusted_ns: int
    revoked_ns: int | None = None


@dataclass(frozen=True, slots=True)
class PutKey:
    """Create or replace a client key. One that was revoked in an earlier commit stays as it is, for good."""

    record: KeyRecord


@dataclass(frozen=True, slots=True)
class PutKeyUse:
    """A key was used at `used_ns`; where a later use is known already, nothing changes."""

    key_id: str
    used_ns: int


@dataclass(frozen=True, slots=True)
class DropKey:
    """Forget a client key that ended long ago, and when it was used, by its `id`. Idempotent.

    No key is ever put under that id again.
    """

    id: str


@dataclass(frozen=True, slots=True)
class PutSigner:
    """Create or replace a trusted signer."""

    record: SignerRecord


@dataclass(frozen=True, slots=True)
class PutRevocation:
    """Revoke tokens; another revocation of the same takes its place."""

    revocation: Revocation


@dataclass(frozen=True, slots=True)
class DropRevocation:
    """Forget a revocation, by its `id`, once no token that it concerns can be valid. Idempotent."""

    id: str


class IdentityReader(Protocol):
    """Reading keys, signers and revocations of tokens. Values are those of the last commit."""

    async def keys(self) -> list[KeyRecord]: ...

    async def key_uses(self) -> dict[str, int]:
        """When keys were last used, by their ids."""
        ...

    async def signers(self) -> list[SignerRecord]: ...

    async def revocations(self) -> list[Revocation]: ...
