"""Client keys and document signers, read whole."""

import json
from typing import Any

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


async def version(connection: Connection) -> int:
    """Return a number that grows whenever a key or a signer changes."""
    number: int = await connection.fetchval("SELECT identities FROM store")
    return number


def _key(members: dict[str, Any], secret_hmac: bytes) -> KeyRecord:
    members["scopes"], members["grants"] = frozenset(members["scopes"]), tuple(members["grants"])
    return KeyRecord(**members, secret_hmac=secret_hmac)


def _signer(members: dict[str, Any]) -> SignerRecord:
    members["origins"] = tuple(members["origins"])
    return SignerRecord(**members)
