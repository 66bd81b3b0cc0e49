"""The tables of the books, and those of the subjects' keys, which are a database of their own.

Every identifier that repeats (accounts, principals, models, tags, runs, subjects) is stored once in
`names` and stands as its number elsewhere, so that a ledger row stays narrow. `reservations` holds what
is under way and stays small; settling moves a row to `calls`, which only grows. The log is `entries` and
`tiles`; the rightmost, growing tile of each level is not stored but rebuilt from them at start. A part of a
shared event has the number of its entry times 256 plus its place. `subject_tiles` says of each complete
tile whom it has something of: what a subject left is found without reading the log.

The budgets that a call is held in are a set that many calls share: it is a name too, the numbers of its
counters in order ("3,17,29"), and 0, which is no name, where there are none.

What is erased is overwritten in its place, at its length: SQLite zeroes what it frees, but where rows
move between pages a copy may stay behind in an old place. So no row of `entries`, `parts`, `objects` or of
the subjects' `keys` is deleted or made shorter, and none moves.
"""

from typing import Final

TABLES: Final = """
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

CREATE TABLE entries (
    n INTEGER PRIMARY KEY,
    leaf BLOB NOT NULL,
    payload BLOB NOT NULL,
    subject INTEGER NOT NULL
) STRICT;

CREATE TABLE parts (
    n INTEGER PRIMARY KEY,
    subject INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE subject_tiles (
    subject INTEGER NOT NULL,
    tile INTEGER NOT NULL,
    PRIMARY KEY (subject, tile)
) STRICT, WITHOUT ROWID;

CREATE TABLE erased_keys (
    name BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (name, sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE tiles (
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    root BLOB NOT NULL,
    PRIMARY KEY (level, number)
) STRICT;

CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;

CREATE TABLE anchors (size INTEGER PRIMARY KEY, note BLOB NOT NULL, token BLOB NOT NULL) STRICT;

CREATE TABLE kept_receipts (
    request TEXT PRIMARY KEY,
    principal INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_receipts_expiring ON kept_receipts (expires_ns);

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

SUBJECT_TABLES: Final = """
CREATE TABLE keys (n INTEGER PRIMARY KEY, name BLOB NOT NULL, wrapped BLOB NOT NULL) STRICT;
CREATE INDEX keys_by_name ON keys (name);
"""
"""A key's name says nothing of its subject; see `_subjects`."""
