"""The tables, and the opening of connections that keep SQLite's promises.

Every identifier that repeats (accounts, principals, models, tags, runs, subjects) is stored once in
`names` and stands as its number elsewhere, so that a ledger row stays narrow. `reservations` holds what
is under way and stays small; settling moves a row to `calls`, which only grows. The log is `entries` and
`tiles`; the rightmost, growing tile of each level is not stored but rebuilt from them at start.

The budgets that a call is held in are a set that many calls share: it is a name too, the numbers of its
counters in order ("3,17,29"), and 0, which is no name, where there are none.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final

from macroslow.adapters.sqlite._errors import translated
from macroslow.adapters.sqlite._migrations import migrate
from macroslow.errors import ConfigurationError

APPLICATION_ID: Final = 0x4D534C57  # "MSLW", at offset 68 of the file
VERSION: Final = 2
BUSY_TIMEOUT_S: Final = 5.0
MINIMUM_SQLITE: Final = (3, 38, 0)  # JSON functions; STRICT tables came with 3.37

_TABLES: Final = """
CREATE TABLE names (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO names VALUES (0, '');

CREATE TABLE accounts (
    n INTEGER PRIMARY KEY REFERENCES names,
    parent INTEGER REFERENCES accounts DEFERRABLE INITIALLY DEFERRED,
    limit_usd_micros INTEGER CHECK (limit_usd_micros >= 0),
    spent_usd_micros INTEGER NOT NULL CHECK (spent_usd_micros >= 0),
    held_usd_micros INTEGER NOT NULL CHECK (held_usd_micros >= 0),
    closed INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    resets_s INTEGER
) STRICT;
CREATE INDEX accounts_open_children ON accounts (n) WHERE parent IS NOT NULL AND closed = 0;
CREATE INDEX accounts_counters ON accounts (resets_s) WHERE counter = 1;

CREATE TABLE reservations (
    id TEXT PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts,
    usd_micros INTEGER NOT NULL,
    principal INTEGER NOT NULL,
    key INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    model INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    run INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    team INTEGER NOT NULL,
    budgets INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE calls (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account INTEGER NOT NULL,
    reserved_usd_micros INTEGER NOT NULL,
    principal INTEGER NOT NULL,
    key INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    model INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    run INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    settled_ns INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    usd_micros INTEGER NOT NULL,
    team INTEGER NOT NULL,
    budgets INTEGER NOT NULL
) STRICT;
CREATE INDEX calls_of_runs ON calls (run) WHERE run > 0;
CREATE INDEX calls_by_time ON calls (created_ns);

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
) STRICT, WITHOUT ROWID;

CREATE TABLE subject_keys (subject INTEGER PRIMARY KEY REFERENCES names, wrapped BLOB NOT NULL) STRICT;

CREATE TABLE entries (
    n INTEGER PRIMARY KEY,
    leaf BLOB NOT NULL,
    payload BLOB NOT NULL,
    subject INTEGER NOT NULL
) STRICT;

CREATE TABLE tiles (
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    root BLOB NOT NULL,
    PRIMARY KEY (level, number)
) STRICT;

CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;

CREATE TABLE runs (
    n INTEGER PRIMARY KEY REFERENCES names,
    principal INTEGER NOT NULL REFERENCES names,
    state TEXT NOT NULL,
    accepted_ns INTEGER NOT NULL,
    finished_ns INTEGER,
    document_sha256 TEXT NOT NULL,
    document_bytes INTEGER NOT NULL,
    origin TEXT NOT NULL,
    signer TEXT,
    accepted_index INTEGER NOT NULL UNIQUE,
    finished_index INTEGER,
    owner INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_of_principal ON runs (principal, accepted_index);
CREATE INDEX runs_running ON runs (accepted_index) WHERE state = 'running';

CREATE TABLE objects (
    n INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs,
    kind TEXT NOT NULL,
    subject INTEGER NOT NULL REFERENCES names,
    sealed BLOB NOT NULL,
    UNIQUE (run, kind)
) STRICT;

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    created_ns INTEGER NOT NULL,
    record TEXT NOT NULL,
    secret_hmac BLOB NOT NULL
) STRICT;

CREATE TABLE signers (
    key_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    public_jwks TEXT NOT NULL,
    origins TEXT NOT NULL,
    trusted_ns INTEGER NOT NULL,
    revoked_ns INTEGER
) STRICT;

CREATE TABLE key_uses (
    id TEXT PRIMARY KEY,
    used_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revoked_tokens (
    id TEXT PRIMARY KEY,
    issuer TEXT NOT NULL,
    jti TEXT NOT NULL,
    subject TEXT NOT NULL,
    before_s INTEGER NOT NULL,
    expires_s INTEGER
) STRICT;

CREATE TABLE replies (
    n INTEGER PRIMARY KEY,
    principal INTEGER NOT NULL REFERENCES names,
    key TEXT NOT NULL,
    request_sha256 TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    sealed BLOB,
    UNIQUE (principal, key)
) STRICT;
CREATE INDEX replies_expiring ON replies (expires_ns);

CREATE TABLE bound_ids (
    id TEXT PRIMARY KEY,
    kind INTEGER NOT NULL,
    principal INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    account INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    tokens INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the books at `path` for writing, creating them (mode 0600) if there is no file.

    A file of an older schema is brought to this one, all of it or nothing. Raises ConfigurationError,
    with the repair, if the file is empty, truncated, no SQLite database, not ours, of a newer schema or
    not writable; VerificationError if a log that is to be migrated is damaged.
    """
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        raise ConfigurationError(
            f"this Python brings SQLite {sqlite3.sqlite_version}; the books need 3.38 or newer",
            fix="use a Python that is linked with a newer SQLite",
        )
    with translated(path, ConfigurationError):
        if not path.exists():
            _create(path)
        return _open_existing(path)


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a second connection that cannot write."""
    with translated(path, ConfigurationError):
        return _connect(path, "ro")


def _create(path: Path) -> None:
    if path.with_name(f"{path.name}-wal").exists():
        raise ConfigurationError(
            f"{path} is missing, but its write-ahead log {path.name}-wal is there",
            fix=f"put {path.name} back beside it; move the -wal file away only to start from nothing",
        )
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = _connect(path, "rw")
    try:
        connection.executescript(
            f"BEGIN EXCLUSIVE; {_TABLES} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {VERSION}; COMMIT;"
        )
    except sqlite3.Error:
        path.unlink()  # an empty file would look like lost books at the next start
        raise
    finally:
        connection.close()


def _open_existing(path: Path) -> sqlite3.Connection:
    if path.stat().st_size == 0:
        raise ConfigurationError(
            f"{path} is empty: books were lost, or a first start was cut off",
            fix="restore it from a backup; if nothing was ever kept in it, delete it",
        )
    connection = _connect(path, "rw")
    try:
        _require_ours(path, connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # a deleted subject key leaves no bytes behind
        connection.execute("BEGIN IMMEDIATE")  # fails here, not at the first call, if it cannot be written
        migrate(connection, VERSION)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _require_ours(path: Path, connection: sqlite3.Connection) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise ConfigurationError(
            f"{path} is an SQLite database of another program",
            fix="move it away, or correct the state folder in the configuration",
        )
    if not 1 <= version <= VERSION:
        raise ConfigurationError(
            f"{path} has schema {version}; this version of Macroslow knows {VERSION}",
            fix="run the version of Macroslow that wrote it, or a newer one",
        )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions are begun and ended in so many words
        check_same_thread=False,  # opened in one thread, then used by one other
    )
