"""Client keys and document signers, read whole."""

import json

from macroslow.adapters.postgres._link import Connection
from macroslow.authn.ports import KeyRecord, SignerRecord


async def keys(connection: Connection) -> list[KeyRecord]:
    """Return all client keys, oldest first."""
    rows = await connection.fetch("SELECT record, secret_hmac FROM keys ORDER BY created_ns, id")
    return [_key(json.loads(record), secret_hmac) for record, secret_hmac in rows]


async def signers(connection: Connection) -> list[SignerRecord]:
    """Return all signers, oldest first."""
    rows = await connection.fetch("SELECT record FROM signers ORDER BY trusted_ns, key_id")
    return [_signer(json.loads(record)) for (record,) in rows]


def _key(members: dict[str, object], secret_hmac: bytes) -> KeyRecord:
    scopes, grants = frozenset(members.pop("scopes")), tuple(members.pop("grants"))  # type: ignore[arg-type]
    return KeyRecord(secret_hmac=secret_hmac, scopes=scopes, grants=grants, **members)  # type: ignore[arg-type]


def _signer(members: dict[str, object]) -> SignerRecord:
    origins = tuple(members.pop("origins"))  # type: ignore[arg-type]
    return SignerRecord(origins=origins, **members)  # type: ignore[arg-type]
