"""Client keys, document signers and revocations of tokens, read whole."""

import json
from typing import Any

from macroslow.adapters.postgres._link import Connection
from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.ports import KeyRecord, SignerRecord
from macroslow.authn.stored_key import key_from_json


async def keys(connection: Connection) -> list[KeyRecord]:
    """Return all client keys, oldest first."""
    rows = await connection.fetch("SELECT record, secret_hmac FROM keys ORDER BY created_ns, id")
    return [key_from_json(record, secret_hmac) for record, secret_hmac in rows]


async def key_uses(connection: Connection) -> dict[str, int]:
    """Return when keys were last used."""
    rows = await connection.fetch("SELECT id, used_ns FROM key_uses")
    return {key_id: used_ns for key_id, used_ns in rows}  # noqa: C416 (a row is no pair to the type checker)


async def signers(connection: Connection) -> list[SignerRecord]:
    """Return all signers, oldest first."""
    rows = await connection.fetch("SELECT record FROM signers ORDER BY trusted_ns, key_id")
    return [_signer(json.loads(record)) for (record,) in rows]


async def revocations(connection: Connection) -> list[Revocation]:
    """Return all revocations of tokens, by their ids."""
    rows = await connection.fetch("SELECT record FROM revoked_tokens ORDER BY id")
    return [Revocation(**json.loads(record)) for (record,) in rows]


async def version(connection: Connection) -> int:
    """Return a number that grows whenever a key, a signer or a revocation changes."""
    number: int = await connection.fetchval("SELECT identities FROM store")
    return number


def _signer(members: dict[str, Any]) -> SignerRecord:
    members["origins"] = tuple(members["origins"])
    return SignerRecord(**members)
