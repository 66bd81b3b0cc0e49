"""Client keys and document signers: written whole, read whole."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from macroslow.adapters.sqlite._stage import Row, Stage
from macroslow.adapters.sqlite._statements import PUT_KEY, PUT_SIGNER
from macroslow.authn.ports import KeyRecord, PutKey, PutSigner, SignerRecord

_KEYS: Final = """
SELECT id, principal, secret_hmac, scopes, grants, note, created_ns, expires_ns, revoked_ns,
    requests_per_minute, team, weight, day_usd_micros, month_usd_micros, legacy
FROM keys ORDER BY created_ns, id
"""


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
        record.team,
        record.weight,
        record.day_usd_micros,
        record.month_usd_micros,
        record.legacy,
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
    rows = connection.execute(_KEYS)
    return [_key(row) for row in rows]


def signers(connection: sqlite3.Connection) -> list[SignerRecord]:
    """Return all signers, oldest first."""
    rows = connection.execute("SELECT * FROM signers ORDER BY trusted_ns, key_id")
    return [
        SignerRecord(key_id, name, public_jwks, tuple(json.loads(origins)), trusted_ns, revoked_ns)
        for key_id, name, public_jwks, origins, trusted_ns, revoked_ns in rows
    ]


def _key(row: Row) -> KeyRecord:
    key_id, principal, secret_hmac, scopes, grants, *facts, legacy = row
    listed = frozenset(json.loads(scopes)), tuple(json.loads(grants))
    record = KeyRecord(key_id, principal, secret_hmac, *listed, *facts)
    return replace(record, legacy=bool(legacy))


def _listed(values: Iterable[str]) -> str:
    return json.dumps(list(values))
