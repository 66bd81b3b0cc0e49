"""Every statement that writes, in the order in which a batch makes them: what is referred to comes first."""

from functools import cache
from typing import Final

PUT_SUBJECT_KEY: Final = "INSERT INTO keys (name, wrapped) VALUES (?, ?)"
ERASE_ENTRY: Final = "UPDATE entries SET payload = ? WHERE n = ?"
ERASE_PART: Final = "UPDATE parts SET subject = ?, sealed = ? WHERE n = ?"
ERASE_OBJECTS: Final = "UPDATE objects SET subject = 0, sealed = zeroblob(length(sealed)) WHERE subject = ?"
ERASE_REPLIES: Final = "DELETE FROM replies WHERE principal = ?"
ERASE_BOUND_IDS: Final = "DELETE FROM bound_ids WHERE principal = ?"
ERASE_RECEIPTS: Final = "DELETE FROM kept_receipts WHERE principal = ?"
PUT_ERASED_KEY: Final = "INSERT OR IGNORE INTO erased_keys (name, sha256) VALUES (?, ?)"
RENAME: Final = "UPDATE names SET name = ? WHERE n = ?"
PUT_NAME: Final = "INSERT INTO names (n, name) VALUES (?, ?)"
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
DELETE_RESERVATION: Final = "DELETE FROM reservations WHERE id IN (VALUES (?))"
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
PUT_PART: Final = "INSERT INTO parts (n, subject, sealed) VALUES (?, ?, ?)"
PUT_SUBJECT_TILES: Final = """
INSERT INTO subject_tiles
SELECT subject, ?1 FROM entries WHERE n >= ?1 * 256 AND n < ?1 * 256 + 256
UNION SELECT subject, ?1 FROM parts WHERE n >= ?1 * 65536 AND n < ?1 * 65536 + 65536
"""
PUT_TILE: Final = "INSERT INTO tiles (level, number, hashes, root) VALUES (?, ?, ?, ?)"
PUT_CHECKPOINT: Final = "INSERT OR REPLACE INTO checkpoints (size, note) VALUES (?, ?)"
DELETE_OLD_CHECKPOINTS: Final = "DELETE FROM checkpoints WHERE size < (SELECT max(size) FROM checkpoints)"
PUT_ANCHOR: Final = "INSERT OR IGNORE INTO anchors (size, note, token) VALUES (?, ?, ?)"
DELETE_EXPIRED_RECEIPTS: Final = """
DELETE FROM kept_receipts WHERE request IN (
    SELECT request FROM kept_receipts WHERE expires_ns <= ? ORDER BY expires_ns LIMIT 2
)
"""
PUT_RECEIPT: Final = """
INSERT OR REPLACE INTO kept_receipts (request, principal, entry, expires_ns) VALUES (?, ?, ?, ?)
"""
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

OF_MANY_ROWS: Final = frozenset({PUT_RESERVATION, DELETE_RESERVATION, PUT_CALL, PUT_ENTRY})
"""Those of every call, which take the values of many rows in one step: `with_rows`."""

OF_SUBJECTS: Final = (PUT_SUBJECT_KEY,)
IN_ORDER: Final = (
    ERASE_ENTRY,
    ERASE_PART,
    ERASE_OBJECTS,
    ERASE_REPLIES,
    ERASE_BOUND_IDS,
    ERASE_RECEIPTS,
    PUT_ERASED_KEY,
    RENAME,
    PUT_NAME,
    PUT_ACCOUNT,
    PUT_RESERVATION,
    DELETE_RESERVATION,
    PUT_CALL,
    ADD_TOTAL,
    PUT_ENTRY,
    PUT_PART,
    PUT_SUBJECT_TILES,
    PUT_TILE,
    PUT_CHECKPOINT,
    DELETE_OLD_CHECKPOINTS,
    PUT_ANCHOR,
    DELETE_EXPIRED_RECEIPTS,
    PUT_RECEIPT,
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


@cache
def with_rows(statement: str, count: int) -> str:
    """Return one of OF_MANY_ROWS with its last parenthesis, the values of a row, so many times."""
    start = statement.rindex("(")
    end = statement.index(")", start) + 1
    return f"{statement[:start]}{', '.join([statement[start:end]] * count)}{statement[end:]}"
