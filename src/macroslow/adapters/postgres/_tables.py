"""The tables of the schema `macroslow`, and of `macroslow_subjects`, which holds nothing but subjects' keys.

Every identifier that repeats is stored once, in `names`, and stands as its number elsewhere. A call is
one row from its reservation on; while `settled_ns` is empty it is open. The log is `entries` and `tiles`:
the rightmost, growing tile of each level is not stored. `store` says what the whole log must hash to.
Texts are ordered by their bytes, whatever the database's own order is.

Subjects stand by name beside their keys: a backup may hold the one schema without the other, and numbers
would then mean other people.
"""

from typing import Final

from macroslow.tlog.event import CLASSES

VERSION: Final = 1

TYPE: Final = "substring(e.leaf FROM 13 FOR 2)"
"""The type of the event of an entry `e`, as two bytes."""

NUMBER_OF_TYPE: Final = "get_byte(e.leaf, 12) * 256 + get_byte(e.leaf, 13)"

_ROWS_OF_TYPES: Final = ", ".join(f"('\\x{kind:04x}'::bytea, {int(CLASSES[kind])})" for kind in CLASSES)
TYPES: Final = f"(VALUES {_ROWS_OF_TYPES}) AS types (type, class)"
"""Which class of its subject's keys seals an event of each type."""

TABLES: Final = f"""
CREATE TABLE store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema_version integer NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL CHECK (length(root) = 32),
    identities bigint NOT NULL DEFAULT 0, -- grows whenever a client key, a signer or a revocation changes
    erasures bigint NOT NULL DEFAULT 0 -- grows whenever names and keys remembered from before may be wrong
);
INSERT INTO store (schema_version, size, root) VALUES ({VERSION}, 0, sha256(''));

CREATE TABLE owners (
    owner text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL, -- grows with each process that takes the name
    batch bytea CHECK (length(batch) = 16),
    gone_since timestamptz
);

CREATE TABLE names (n integer PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE);
INSERT INTO names VALUES (0, '');

CREATE TABLE accounts (
    n integer PRIMARY KEY REFERENCES names,
    parent integer REFERENCES accounts,
    limit_usd_micros bigint CHECK (limit_usd_micros >= 0),
    spent_usd_micros bigint NOT NULL CHECK (spent_usd_micros >= 0),
    held_usd_micros bigint NOT NULL CHECK (held_usd_micros >= 0),
    closed boolean NOT NULL,
    counter boolean NOT NULL,
    resets_s bigint
) WITH (fillfactor = 70);
CREATE INDEX accounts_open_children ON accounts (n) WHERE parent IS NOT NULL AND NOT closed;
CREATE INDEX accounts_counters ON accounts (resets_s) WHERE counter;

CREATE TABLE calls (
    id text COLLATE "C" PRIMARY KEY,
    created_ns bigint NOT NULL,
    expires_ns bigint NOT NULL,
    reserved_usd_micros bigint NOT NULL CHECK (reserved_usd_micros >= 0),
    settled_ns bigint,
    input_tokens bigint CHECK (input_tokens >= 0),
    output_tokens bigint CHECK (output_tokens >= 0),
    usd_micros bigint CHECK (usd_micros >= 0),
    account integer NOT NULL,
    principal integer NOT NULL,
    key integer NOT NULL,
    team integer NOT NULL,
    provider integer NOT NULL,
    model integer NOT NULL,
    tag integer NOT NULL,
    run integer NOT NULL,
    owner integer NOT NULL,
    outcome smallint,
    budgets integer[] NOT NULL,
    CHECK (num_nulls(settled_ns, outcome, input_tokens, output_tokens, usd_micros) IN (0, 5))
);
CREATE INDEX calls_open ON calls (created_ns) WHERE settled_ns IS NULL;
CREATE INDEX calls_by_time ON calls (created_ns);
CREATE INDEX calls_of_runs ON calls (run) WHERE run > 0;

CREATE TABLE totals (
    day integer NOT NULL,
    key integer NOT NULL,
    principal integer NOT NULL,
    team integer NOT NULL,
    provider integer NOT NULL,
    model integer NOT NULL,
    tag integer NOT NULL,
    calls bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    usd_micros bigint NOT NULL,
    PRIMARY KEY (day, key, principal, team, provider, model, tag)
) WITH (fillfactor = 70);

CREATE TABLE entries (
    n bigint PRIMARY KEY,
    subject integer NOT NULL,
    leaf bytea NOT NULL CHECK (length(leaf) = 78),
    payload bytea NOT NULL
);
CREATE INDEX entries_held ON entries (subject, n) WHERE length(payload) > 8;

CREATE TABLE parts (
    entry bigint NOT NULL,
    position smallint NOT NULL,
    subject integer NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (entry, position)
);
CREATE INDEX parts_of_subjects ON parts (subject, entry);

CREATE TABLE anchors (size bigint PRIMARY KEY, note bytea NOT NULL, token bytea NOT NULL);

CREATE TABLE receipts (
    request text COLLATE "C" PRIMARY KEY,
    principal integer NOT NULL REFERENCES names,
    entry bigint NOT NULL,
    expires_ns bigint NOT NULL
);
CREATE INDEX receipts_by_expiry ON receipts (expires_ns);
CREATE INDEX receipts_of_principals ON receipts (principal);

CREATE TABLE tiles (
    level smallint NOT NULL,
    number bigint NOT NULL,
    hashes bytea NOT NULL CHECK (length(hashes) = 8192),
    root bytea NOT NULL CHECK (length(root) = 32),
    PRIMARY KEY (level, number)
);

CREATE TABLE checkpoints (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    size bigint NOT NULL,
    note bytea NOT NULL
);

CREATE TABLE runs (
    n integer PRIMARY KEY REFERENCES names,
    principal integer NOT NULL REFERENCES names,
    state text NOT NULL,
    accepted_ns bigint NOT NULL,
    finished_ns bigint,
    document_sha256 text NOT NULL,
    document_bytes bigint NOT NULL,
    origin text NOT NULL,
    signer text,
    accepted_index bigint NOT NULL UNIQUE,
    finished_index bigint,
    owner integer NOT NULL
);
CREATE INDEX runs_of_principal ON runs (principal, accepted_index);
CREATE INDEX runs_running ON runs (accepted_index) WHERE state = 'running';

CREATE TABLE objects (
    run integer NOT NULL REFERENCES runs,
    kind text NOT NULL,
    subject integer NOT NULL REFERENCES names,
    sealed bytea NOT NULL,
    PRIMARY KEY (run, kind)
);

CREATE TABLE keys (
    id text COLLATE "C" PRIMARY KEY,
    created_ns bigint NOT NULL,
    record jsonb NOT NULL,
    secret_hmac bytea NOT NULL
);

CREATE TABLE signers (
    key_id text COLLATE "C" PRIMARY KEY,
    trusted_ns bigint NOT NULL,
    record jsonb NOT NULL
);

CREATE TABLE key_uses (
    id text COLLATE "C" PRIMARY KEY,
    used_ns bigint NOT NULL
);

CREATE TABLE revoked_tokens (
    id text COLLATE "C" PRIMARY KEY,
    record jsonb NOT NULL
);

CREATE TABLE replies (
    principal integer NOT NULL REFERENCES names,
    key text COLLATE "C" NOT NULL,
    request_sha256 text NOT NULL,
    created_ns bigint NOT NULL,
    expires_ns bigint NOT NULL,
    sealed bytea,
    PRIMARY KEY (principal, key)
);
CREATE INDEX replies_by_expiry ON replies (expires_ns);

CREATE TABLE bound_ids (
    id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    principal integer NOT NULL REFERENCES names,
    provider integer NOT NULL REFERENCES names,
    account integer NOT NULL REFERENCES names,
    created_ns bigint NOT NULL,
    tokens bigint NOT NULL
);

CREATE UNLOGGED TABLE rates (
    key text COLLATE "C" PRIMARY KEY,
    before_ns bigint NOT NULL, -- the stamp that this state took the place of
    stamp_ns bigint NOT NULL,
    state bytea
) WITH (fillfactor = 50);
"""  # noqa: S608

SUBJECTS: Final = """
CREATE TABLE macroslow_subjects.keys (
    subject text COLLATE "C" NOT NULL,
    class smallint NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (subject, class)
) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
"""
