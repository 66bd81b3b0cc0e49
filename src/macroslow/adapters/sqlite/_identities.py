"""Client keys, document signers and revocations of tokens: written whole, read whole."""

import json
import sqlite3
from collections.abc import Iterable

from macroslow.adapters.sqlite._stage import Stage
from macroslow.adapters.sqlite._statements import (
    DROP_KEY,
    DROP_KEY_USE,
    PUT_KEY,
    PUT_KEY_USE,
    PUT_REVOCATION,
    PUT_SIGNER,
    SWEEP_REVOCATION,
)
from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.ports import (
    DropKey,
    DropRevocation,
    KeyRecord,
    PutKey,
    PutKeyUse,
    PutRevocation,
    PutSigner,
    SignerRecord,
)
from macroslow.authn.stored_key import key_from_json, key_json


def put_key(stage: Stage, change: PutKey) -> None:
    """Create or replace a client key."""
    record = change.record
    stage.write(PUT_KEY, (record.id, record.created_ns, key_json(record), record.secret_hmac))


def put_key_use(stage: Stage, change: PutKeyUse) -> None:
    """Note a key's last use."""
    stage.write(PUT_KEY_USE, (change.key_id, change.used_ns))


def drop_key(stage: Stage, change: DropKey) -> None:
    """Forget a client key and its last use."""
    stage.write(DROP_KEY, (change.id,))
    stage.write(DROP_KEY_USE, (change.id,))


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


def put_revocation(stage: Stage, change: PutRevocation) -> None:
    """Create or replace a revocation of tokens."""
    one = change.revocation
    stage.write(PUT_REVOCATION, (one.id, one.issuer, one.jti, one.subject, one.before_s, one.expires_s))


def drop_revocation(stage: Stage, change: DropRevocation) -> None:
    """Forget a revocation of tokens."""
    stage.write(PUT_REVOCATION, (change.id, "", "", "", 0, None))
    stage.write(SWEEP_REVOCATION, (change.id,))


def keys(connection: sqlite3.Connection) -> list[KeyRecord]:
    """Return all client keys, oldest first."""
    rows = connection.execute("SELECT record, secret_hmac FROM keys ORDER BY created_ns, id")
    return [key_from_json(record, secret_hmac) for record, secret_hmac in rows]


def key_uses(connection: sqlite3.Connection) -> dict[str, int]:
    """Return when keys were last used."""
    return dict(connection.execute("SELECT id, used_ns FROM key_uses"))


def signers(connection: sqlite3.Connection) -> list[SignerRecord]:
    """Return all signers, oldest first."""
    rows = connection.execute("SELECT * FROM signers ORDER BY trusted_ns, key_id")
    return [
        SignerRecord(key_id, name, public_jwks, tuple(json.loads(origins)), trusted_ns, revoked_ns)
        for key_id, name, public_jwks, origins, trusted_ns, revoked_ns in rows
    ]


def revocations(connection: sqlite3.Connection) -> list[Revocation]:
    """Return all revocations of tokens, by their ids."""
    rows = connection.execute(
        "SELECT issuer, jti, subject, before_s, expires_s FROM revoked_tokens ORDER BY id"
    )
    return [Revocation(*row) for row in rows]


def _listed(values: Iterable[str]) -> str:
    return json.dumps(list(values))
