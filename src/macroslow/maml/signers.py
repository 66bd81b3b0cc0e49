"""The keys that documents may be signed with, as the operator trusts them."""

from collections.abc import Sequence

from macroslow.authn.ports import SignerRecord
from macroslow.crypto.hybrid import HybridPublicKey


class TrustedSigners:
    """The trusted document keys, by key id. A revoked key is known, so that it can be named, and gone."""

    def __init__(self, records: Sequence[SignerRecord]) -> None:
        self._records = {record.key_id: record for record in records}
        self._keys = {
            record.key_id: HybridPublicKey.from_jwks(record.public_jwks, use="document")
            for record in records
            if record.revoked_ns is None
        }

    def find_key(self, key_id: str) -> HybridPublicKey | None:
        """The public key, if it is trusted now."""
        return self._keys.get(key_id)

    def known(self, key_id: str) -> SignerRecord | None:
        """What the operator decided about a key, also if it was revoked."""
        return self._records.get(key_id)

    def record(self, key_id: str) -> SignerRecord:
        """What the operator decided about a key that `find_key` returned."""
        return self._records[key_id]
