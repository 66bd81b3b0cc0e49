"""Books of an older schema, brought to the newest without a byte of log or ledger changed.

A migration is a list of statements in one transaction with the version's own number: a process that is
killed in the middle leaves the old schema. Columns are added at a table's end, which rewrites no row;
what is only a sum (the totals) is added up anew from the rows.
"""

import sqlite3
from collections.abc import Mapping
from typing import Final

from macroslow.adapters.sqlite._subjects import import_keys
from macroslow.adapters.sqlite._tiles import rebuild

VERSION_OF_SUBJECTS: Final = 3
"""From here on subjects' keys are a database of their own; theirs is durable before the books let go."""

MIGRATIONS: Final[Mapping[int, tuple[str, ...]]] = {
    1: (
        "ALTER TABLE accounts ADD COLUMN counter INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE accounts ADD COLUMN resets_s INTEGER",
        "CREATE INDEX accounts_counters ON accounts (resets_s) WHERE counter = 1",
        "ALTER TABLE reservations ADD COLUMN team INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE reservations ADD COLUMN budgets INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE reservations ADD COLUMN owner INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE reservations ADD COLUMN expires_ns INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE calls ADD COLUMN team INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE calls ADD COLUMN budgets INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX calls_by_time ON calls (created_ns)",
        "ALTER TABLE runs ADD COLUMN owner INTEGER NOT NULL DEFAULT 0",
        "DROP TABLE totals",
        """
        CREATE TABLE totals (
            day INTEGER NOT NULL,
            key INTEGER NOT NULL,
            principal INTEGER NOT NULL,
            team INTEGER NOT NULL,
            provider INTEGER NOT NULL,
            model INTEGER NOT NULL,
            tag INTEGER NOT NULL,
            calls INTEGER NOT NULL,
            input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            usd_micros INTEGER NOT NULL,
            PRIMARY KEY (day, key, principal, team, provider, model, tag)
        ) STRICT, WITHOUT ROWID
        """,
        """
        INSERT INTO totals SELECT settled_ns / 86400000000000, key, principal, team, provider, model, tag,
            count(*), sum(input_tokens), sum(output_tokens), sum(usd_micros)
        FROM calls GROUP BY 1, 2, 3, 4, 5, 6, 7
        """,
        "ALTER TABLE keys RENAME TO keys_of_version_1",
        """
        CREATE TABLE keys (
            id TEXT PRIMARY KEY,
            created_ns INTEGER NOT NULL,
            record TEXT NOT NULL,
            secret_hmac BLOB NOT NULL
        ) STRICT
        """,
        """
        INSERT INTO keys SELECT id, created_ns, json_object(
            'id', id, 'principal', principal, 'scopes', json(scopes), 'grants', json(grants), 'note', note,
            'created_ns', created_ns, 'expires_ns', expires_ns, 'revoked_ns', revoked_ns,
            'requests_per_minute', requests_per_minute
        ), secret_hmac FROM keys_of_version_1
        """,
        "DROP TABLE keys_of_version_1",
        """
        CREATE TABLE key_uses (
            id TEXT PRIMARY KEY,
            used_ns INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE revoked_tokens (
            id TEXT PRIMARY KEY,
            issuer TEXT NOT NULL,
            jti TEXT NOT NULL,
            subject TEXT NOT NULL,
            before_s INTEGER NOT NULL,
            expires_s INTEGER
        ) STRICT
        """,
        """
        CREATE TABLE replies (
            n INTEGER PRIMARY KEY,
            principal INTEGER NOT NULL REFERENCES names,
            key TEXT NOT NULL,
            request_sha256 TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            expires_ns INTEGER NOT NULL,
            sealed BLOB,
            UNIQUE (principal, key)
        ) STRICT
        """,
        "CREATE INDEX replies_expiring ON replies (expires_ns)",
        """
        CREATE TABLE bound_ids (
            id TEXT PRIMARY KEY,
            kind INTEGER NOT NULL,
            principal INTEGER NOT NULL,
            provider INTEGER NOT NULL,
            account INTEGER NOT NULL,
            created_ns INTEGER NOT NULL,
            tokens INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
    2: (
        "CREATE TABLE parts (n INTEGER PRIMARY KEY, subject INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT",
        """
        CREATE TABLE subject_tiles (
            subject INTEGER NOT NULL,
            tile INTEGER NOT NULL,
            PRIMARY KEY (subject, tile)
        ) STRICT, WITHOUT ROWID
        """,
        """
        INSERT INTO subject_tiles SELECT DISTINCT subject, n / 256 FROM entries
        WHERE n < (SELECT coalesce(max(n) + 1, 0) / 256 * 256 FROM entries)
        """,
        """
        CREATE TABLE erased_keys (
            name BLOB NOT NULL,
            sha256 BLOB NOT NULL,
            PRIMARY KEY (name, sha256)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE TABLE anchors (size INTEGER PRIMARY KEY, note BLOB NOT NULL, token BLOB NOT NULL) STRICT",
        """
        CREATE TABLE kept_receipts (
            request TEXT PRIMARY KEY,
            principal INTEGER NOT NULL,
            entry INTEGER NOT NULL,
            expires_ns INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX kept_receipts_expiring ON kept_receipts (expires_ns)",
        "DROP TABLE subject_keys",
    ),
}
"""What leads from each version to the next."""


def migrate(books: sqlite3.Connection, subjects: sqlite3.Connection, version: int) -> bool:
    """Bring the books to `version`, within the transaction that is open on them; False if they are there.

    VerificationError, and nothing is changed, if the log of older books is damaged.
    """
    (found,) = books.execute("PRAGMA user_version").fetchone()
    if found < version:
        rebuild(books)
    if found < VERSION_OF_SUBJECTS:
        import_keys(books, subjects)
    for older in range(found, version):
        for statement in MIGRATIONS[older]:
            books.execute(statement)
        books.execute(f"PRAGMA user_version = {older + 1}")
    return bool(found < version)
