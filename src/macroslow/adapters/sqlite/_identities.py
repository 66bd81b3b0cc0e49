"""Client keys and document signers: written whole, read whole."""

import json
import sqlite3
from collections.abc import Iterable

from macroslow.adapters.sqlite._stage import Stage
from macroslow.adapters.sqlite._statements import PUT_KEY, PUT_SIGNER
from macroslow.authn.ports import KeyRecord, PutKey, PutSigner, SignerRecord


def put_key(stage: Stage, change: PutKey) -> None:
    """Create or replace a client key."""
    record = change.record
    row = (
        record.id,
        record.principal,
        record.secret_hmac,
        _listed(sorted(record.scopes)),
        _listed(record.grants),
        record.note,
        record.created_ns,
        record.expires_ns,
        record.revoked_ns,
        record.requests_per_minute,
    )
    stage.write(PUT_KEY, row)


def put_signer(stage: Stage, change: PutSigner) -> None:
    """Create or replace a trusted signer."""
    record = change.record
    row = (
        record.key_id,
        record.name,
        record.public_jwks,
        _listed(record.origins),
        record.trusted_ns,
        record.revoked_ns,
    )
    stage.write(PUT_SIGNER, row)


def keys(connection: sqlite3.Connection) -> list[KeyRecord]:
    """Return all client keys, oldest first."""
    rows = connection.execute("SELECT * FROM keys ORDER BY created_ns, id")
    return [_key(*row) for row in rows]


def signers(connection: sqlite3.Connection) -> list[SignerRecord]:
    """Return all signers, oldest first."""
    rows = connection.execute("SELECT * FROM signers ORDER BY trusted_ns, key_id")
    return [
        SignerRecord(key_id, name, public_jwks, tuple(json.loads(origins)), trusted_ns, revoked_ns)
        for key_id, name, public_jwks, origins, trusted_ns, revoked_ns in rows
    ]


def _key(
    key_id: str, principal: str, secret_hmac: bytes, scopes: str, grants: str, note: str, *rest: int
) -> KeyRecord:
    return KeyRecord(
        key_id,
        principal,
        secret_hmac,
        frozenset(json.loads(scopes)),
        tuple(json.loads(grants)),
        note,
        *rest,
    )


def _listed(values: Iterable[str]) -> str:
    return json.dumps(list(values))
