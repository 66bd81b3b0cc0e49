"""The operator's verbs about keys that sign documents."""

from dataclasses import dataclass

from macroslow.authn.ports import SignerRecord
from macroslow.crypto.hybrid import HybridPublicKey
from macroslow.services.identity.manage_signers import ManageSigners
from macroslow.services.verbs import Texts, utc


@dataclass(frozen=True, slots=True)
class SignerVerbs:
    """Every verb takes JSON and returns JSON."""

    signers: ManageSigners

    async def trust(self, name: str, public_jwks: str, origins: Texts) -> object:
        return _told(await self.signers.trust(name, public_jwks, origins))

    async def list(self) -> object:
        return {"signers": [_told(record) for record in self.signers.list()]}

    async def revoke(self, name: str) -> object:
        return _told(await self.signers.revoke(name))


def _told(record: SignerRecord) -> dict[str, object]:
    return {
        "key_id": record.key_id,
        "fingerprint": HybridPublicKey.from_jwks(record.public_jwks, use="document").fingerprint,
        "name": record.name,
        "origins": [*record.origins],
        "trusted_at": utc(record.trusted_ns),
        "revoked_at": utc(record.revoked_ns),
    }
