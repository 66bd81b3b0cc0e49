"""Which key may sign documents for which origin: the operator's decision, kept and logged."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from macroslow.authn.ports import PutSigner, SignerRecord
from macroslow.authn.principal import THE_OPERATOR
from macroslow.authz.uri import Pattern
from macroslow.crypto.hybrid import HybridPublicKey
from macroslow.errors import BadRequestError, ConflictError, NotFoundError
from macroslow.maml.signers import TrustedSigners
from macroslow.ports import Clock
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")


class ManageSigners:
    """Trusted signers: `trusted` is what documents are checked against from the next one on."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._records: dict[str, SignerRecord] = {}
        self._trusted = TrustedSigners(())
        self._changing = asyncio.Lock()  # what was read before a revocation must not undo it

    async def load(self) -> None:
        """Read the signers that are stored."""
        async with self._changing:
            self._records = {record.key_id: record for record in await self._books.signers()}
            self._trusted = TrustedSigners(tuple(self._records.values()))

    @property
    def trusted(self) -> TrustedSigners:
        """The keys in force now."""
        return self._trusted

    async def trust(self, name: str, public_jwks: str, origins: Sequence[str]) -> SignerRecord:
        """Let a public document key speak for `origins` (patterns such as `agent://reports-*`).

        Trusting a trusted key again adds to its origins; trusting a revoked one begins anew. Raises
        BadRequestError, and ConflictError for a name that another trusted key has.
        """
        if not _NAME.fullmatch(name):
            raise BadRequestError(
                f"{name[:80]!r} is no name for a signer", fix="1 to 128 letters, digits, . _ @ + -"
            )
        if not origins:
            raise BadRequestError(
                "no origin given: a key that speaks for nobody is of no use", fix="--origin agent://NAME"
            )
        for origin in origins:
            if Pattern.parse(origin).scheme != "agent":
                raise BadRequestError(f"origin {origin!r} is not agent://NAME", fix="--origin agent://NAME")
        key = HybridPublicKey.from_jwks(public_jwks, use="document")
        async with self._changing:
            record = self._trusting(key.key_id, name, public_jwks, origins)
            await self._put(record, EventType.SIGNER_TRUSTED)
        return record

    def _trusting(self, key_id: str, name: str, public_jwks: str, origins: Sequence[str]) -> SignerRecord:
        if any(one.name == name and one.key_id != key_id and one.revoked_ns is None for one in self.list()):
            raise ConflictError(f"another trusted signer is called {name!r}", fix="choose another --name")
        before = self._records.get(key_id)
        held = before.origins if before is not None and before.revoked_ns is None else ()
        together = tuple(dict.fromkeys((*held, *origins)))
        return SignerRecord(key_id, name, public_jwks, together, self._clock.now_ns())

    async def revoke(self, name_or_key_id: str) -> SignerRecord:
        """Stop trusting a signer. Documents signed by it are refused from now on."""
        async with self._changing:
            for record in self._records.values():
                if name_or_key_id in {record.key_id, record.name} and record.revoked_ns is None:
                    revoked = replace(record, revoked_ns=self._clock.now_ns())
                    await self._put(revoked, EventType.SIGNER_REVOKED)
                    return revoked
        raise NotFoundError(f"no trusted signer {name_or_key_id!r}", fix="macroslow signers list")

    def list(self) -> list[SignerRecord]:
        """Return all signers, revoked ones too, oldest first."""
        return sorted(self._records.values(), key=lambda record: record.trusted_ns)

    async def _put(self, record: SignerRecord, event_type: EventType) -> None:
        fields = {"key_id": record.key_id, "name": record.name, "origins": [*record.origins]}
        event = Event(event_type, self._clock.now_ns(), THE_OPERATOR, fields)
        await self._books.commit(PutSigner(record), Append(event))
        self._records[record.key_id] = record
        self._trusted = TrustedSigners(tuple(self._records.values()))
