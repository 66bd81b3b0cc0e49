"""Every statement that writes, in the order in which a batch makes them: what is referred to comes first."""

from typing import Final

PUT_NAME: Final = "INSERT INTO names (n, name) VALUES (?, ?)"
PUT_SUBJECT_KEY: Final = "INSERT INTO subject_keys (subject, wrapped) VALUES (?, ?)"
PUT_ACCOUNT: Final = """
INSERT INTO accounts (
    n, parent, limit_usd_micros, spent_usd_micros, held_usd_micros, closed, counter, resets_s
) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    limit_usd_micros = excluded.limit_usd_micros,
    spent_usd_micros = excluded.spent_usd_micros,
    held_usd_micros = excluded.held_usd_micros,
    closed = excluded.closed
"""
PUT_RESERVATION: Final = """
INSERT INTO reservations (
    id, account, usd_micros, principal, key, provider, model, tag, run, team, budgets, created_ns,
    owner, expires_ns
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
DELETE_RESERVATION: Final = "DELETE FROM reservations WHERE id = ?"
PUT_CALL: Final = """
INSERT INTO calls (
    id, account, reserved_usd_micros, principal, key, provider, model, tag, run, team, budgets, created_ns,
    settled_ns, outcome, input_tokens, output_tokens, usd_micros
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_TOTAL: Final = """
INSERT INTO totals (
    day, key, principal, team, provider, model, tag, calls, input_tokens, output_tokens, usd_micros
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    calls = calls + excluded.calls,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    usd_micros = usd_micros + excluded.usd_micros
"""
PUT_ENTRY: Final = "INSERT INTO entries (n, leaf, payload, subject) VALUES (?, ?, ?, ?)"
PUT_TILE: Final = "INSERT INTO tiles (level, number, hashes, root) VALUES (?, ?, ?, ?)"
PUT_CHECKPOINT: Final = "INSERT OR REPLACE INTO checkpoints (size, note) VALUES (?, ?)"
DELETE_OLD_CHECKPOINTS: Final = "DELETE FROM checkpoints WHERE size < (SELECT max(size) FROM checkpoints)"
PUT_RUN: Final = """
INSERT INTO runs (
    n, principal, state, accepted_ns, document_sha256, document_bytes, origin, signer, accepted_index, owner
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
FINISH_RUN: Final = "UPDATE runs SET state = ?, finished_ns = ?, finished_index = ? WHERE n = ?"
PUT_OBJECT: Final = "INSERT OR REPLACE INTO objects (run, kind, subject, sealed) VALUES (?, ?, ?, ?)"
PUT_KEY: Final = """
INSERT INTO keys (id, created_ns, record, secret_hmac) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    created_ns = excluded.created_ns,
    record = excluded.record,
    secret_hmac = excluded.secret_hmac
WHERE json_extract(keys.record, '$.revoked_ns') IS NULL
"""
PUT_KEY_USE: Final = """
INSERT INTO key_uses (id, used_ns) VALUES (?, ?)
ON CONFLICT (id) DO UPDATE SET used_ns = max(used_ns, excluded.used_ns)
"""
DROP_KEY: Final = "DELETE FROM keys WHERE id = ?"
DROP_KEY_USE: Final = "DELETE FROM key_uses WHERE id = ?"
PUT_SIGNER: Final = "INSERT OR REPLACE INTO signers VALUES (?, ?, ?, ?, ?, ?)"
PUT_REVOCATION: Final = "INSERT OR REPLACE INTO revoked_tokens VALUES (?, ?, ?, ?, ?, ?)"
SWEEP_REVOCATION: Final = "DELETE FROM revoked_tokens WHERE id = ? AND issuer = ''"
"""Of one that was dropped and not put again in the same batch: the newest of its rows names no issuer."""
DELETE_EXPIRED_REPLIES: Final = """
DELETE FROM replies WHERE n IN (
    SELECT n FROM replies WHERE expires_ns <= ? ORDER BY expires_ns LIMIT 2
)
"""
PUT_REPLY: Final = """
INSERT INTO replies (principal, key, request_sha256, created_ns, expires_ns, sealed)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (principal, key) DO UPDATE SET
    request_sha256 = excluded.request_sha256,
    created_ns = excluded.created_ns,
    expires_ns = excluded.expires_ns,
    sealed = excluded.sealed
"""
DELETE_REPLY: Final = "DELETE FROM replies WHERE principal = ? AND key = ?"
PUT_BOUND_ID: Final = """
INSERT OR REPLACE INTO bound_ids (id, kind, principal, provider, account, created_ns, tokens)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""

IN_ORDER: Final = (
    PUT_NAME,
    PUT_SUBJECT_KEY,
    PUT_ACCOUNT,
    PUT_RESERVATION,
    DELETE_RESERVATION,
    PUT_CALL,
    ADD_TOTAL,
    PUT_ENTRY,
    PUT_TILE,
    PUT_CHECKPOINT,
    DELETE_OLD_CHECKPOINTS,
    PUT_RUN,
    FINISH_RUN,
    PUT_OBJECT,
    PUT_KEY,
    PUT_KEY_USE,
    DROP_KEY,
    DROP_KEY_USE,
    PUT_SIGNER,
    PUT_REVOCATION,
    SWEEP_REVOCATION,
    DELETE_EXPIRED_REPLIES,
    PUT_REPLY,
    DELETE_REPLY,
    PUT_BOUND_ID,
)
