-- A database of schema 1 as Macroslow 0.1.0 made it: a run, an open call and a settled one, three entries.
CREATE SCHEMA macroslow;
CREATE TABLE macroslow.accounts (
    n integer NOT NULL,
    parent integer,
    limit_usd_micros bigint,
    spent_usd_micros bigint NOT NULL,
    held_usd_micros bigint NOT NULL,
    closed boolean NOT NULL,
    counter boolean NOT NULL,
    resets_s bigint,
    CONSTRAINT accounts_held_usd_micros_check CHECK ((held_usd_micros >= 0)),
    CONSTRAINT accounts_limit_usd_micros_check CHECK ((limit_usd_micros >= 0)),
    CONSTRAINT accounts_spent_usd_micros_check CHECK ((spent_usd_micros >= 0))
)
WITH (fillfactor='70');
CREATE TABLE macroslow.bound_ids (
    id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    principal integer NOT NULL,
    provider integer NOT NULL,
    account integer NOT NULL,
    created_ns bigint NOT NULL,
    tokens bigint NOT NULL
);
CREATE TABLE macroslow.calls (
    id text NOT NULL COLLATE pg_catalog."C",
    created_ns bigint NOT NULL,
    expires_ns bigint NOT NULL,
    reserved_usd_micros bigint NOT NULL,
    settled_ns bigint,
    input_tokens bigint,
    output_tokens bigint,
    usd_micros bigint,
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
    CONSTRAINT calls_check CHECK ((num_nulls(settled_ns, outcome, input_tokens, output_tokens, usd_micros) = ANY (ARRAY[0, 5]))),
    CONSTRAINT calls_input_tokens_check CHECK ((input_tokens >= 0)),
    CONSTRAINT calls_output_tokens_check CHECK ((output_tokens >= 0)),
    CONSTRAINT calls_reserved_usd_micros_check CHECK ((reserved_usd_micros >= 0)),
    CONSTRAINT calls_usd_micros_check CHECK ((usd_micros >= 0))
);
CREATE TABLE macroslow.checkpoints (
    one boolean DEFAULT true NOT NULL,
    size bigint NOT NULL,
    note bytea NOT NULL,
    CONSTRAINT checkpoints_one_check CHECK (one)
);
CREATE TABLE macroslow.entries (
    n bigint NOT NULL,
    subject integer NOT NULL,
    leaf bytea NOT NULL,
    payload bytea NOT NULL,
    CONSTRAINT entries_leaf_check CHECK ((length(leaf) = 78))
);
CREATE TABLE macroslow.key_uses (
    id text NOT NULL COLLATE pg_catalog."C",
    used_ns bigint NOT NULL
);
CREATE TABLE macroslow.keys (
    id text NOT NULL COLLATE pg_catalog."C",
    created_ns bigint NOT NULL,
    record jsonb NOT NULL,
    secret_hmac bytea NOT NULL
);
CREATE TABLE macroslow.names (
    n integer NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE macroslow.objects (
    run integer NOT NULL,
    kind text NOT NULL,
    subject integer NOT NULL,
    sealed bytea NOT NULL
);
CREATE TABLE macroslow.owners (
    owner text NOT NULL COLLATE pg_catalog."C",
    batch bytea,
    gone_since timestamp with time zone,
    CONSTRAINT owners_batch_check CHECK ((length(batch) = 16))
);
CREATE UNLOGGED TABLE macroslow.rates (
    key text NOT NULL COLLATE pg_catalog."C",
    before_ns bigint NOT NULL,
    stamp_ns bigint NOT NULL,
    state bytea
)
WITH (fillfactor='50');
CREATE TABLE macroslow.replies (
    principal integer NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    request_sha256 text NOT NULL,
    created_ns bigint NOT NULL,
    expires_ns bigint NOT NULL,
    sealed bytea
);
CREATE TABLE macroslow.revoked_tokens (
    id text NOT NULL COLLATE pg_catalog."C",
    record jsonb NOT NULL
);
CREATE TABLE macroslow.runs (
    n integer NOT NULL,
    principal integer NOT NULL,
    state text NOT NULL,
    accepted_ns bigint NOT NULL,
    finished_ns bigint,
    document_sha256 text NOT NULL,
    document_bytes bigint NOT NULL,
    origin text NOT NULL,
    signer text,
    accepted_index bigint NOT NULL,
    finished_index bigint,
    owner integer NOT NULL
);
CREATE TABLE macroslow.signers (
    key_id text NOT NULL COLLATE pg_catalog."C",
    trusted_ns bigint NOT NULL,
    record jsonb NOT NULL
);
CREATE TABLE macroslow.store (
    one boolean DEFAULT true NOT NULL,
    schema_version integer NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL,
    identities bigint DEFAULT 0 NOT NULL,
    CONSTRAINT store_one_check CHECK (one),
    CONSTRAINT store_root_check CHECK ((length(root) = 32))
);
CREATE TABLE macroslow.subject_keys (
    subject integer NOT NULL,
    wrapped bytea NOT NULL
);
CREATE TABLE macroslow.tiles (
    level smallint NOT NULL,
    number bigint NOT NULL,
    hashes bytea NOT NULL,
    root bytea NOT NULL,
    CONSTRAINT tiles_hashes_check CHECK ((length(hashes) = 8192)),
    CONSTRAINT tiles_root_check CHECK ((length(root) = 32))
);
CREATE TABLE macroslow.totals (
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
    usd_micros bigint NOT NULL
)
WITH (fillfactor='70');
INSERT INTO macroslow.accounts VALUES (1, NULL, 1000, 40, 200, false, false, NULL);
INSERT INTO macroslow.bound_ids VALUES ('resp_1', 'response', 2, 4, 1, 5, 7);
INSERT INTO macroslow.calls VALUES ('r1', 1, 0, 60, 2, 10, 20, 40, 1, 2, 3, 0, 4, 5, 0, 0, 0, 0, '{}');
INSERT INTO macroslow.calls VALUES ('r2', 1, 0, 200, NULL, NULL, NULL, NULL, 1, 2, 3, 0, 4, 5, 0, 0, 0, NULL, '{}');
INSERT INTO macroslow.checkpoints VALUES (true, 3, '\x6e6f7465');
INSERT INTO macroslow.entries VALUES (0, 2, '\x4d534c3100000000000003e800145f7d7c6ca85184b1bd1bfa9a4df1912738e73a2f3093ce473747e0250d208474765dcd3e1784377b1885278da9bfb3e255658554ae160064db621e42e0ceb1f8', '\x652830e8887f91b2a334556db7e72717bab66fc65a47cdebbeb2e49924ee864e0b932a918c7898a6fa0062c392603fc28522e3ac8f4e63622351301ad9bb710ee74b4ac61efb3c79f0b98ca5f626508823e35fcce2f276518e9222e45de7285141b0a8461a82edfed77c4c1d82f63cfd94e0781886803cd85d64e3cbbb413bd6');
INSERT INTO macroslow.entries VALUES (1, 7, '\x4d534c3100000000000003e900282d55b031d4a8c5e8aae5fc470ad62b18d9c6329d2cacc38163f168255f0389a8f37f97301c897eb96f302ad3e4ad551940a21f6e8fe6fd03d95df19c6f7badd4', '\x9df1c7f69c1832b5b34d15f87df8cd24198bb0e9507b71cca6894807de2d611ee3f3289cf69f15fc9647849be7e4f8cae186f9b49be659bf24994a757de7c404a6ba065e5cf511cf970dea91217d86ba8ee78c585661c854d5faf1f8864f3010dea13266935e4d6a4fc42ede27fff358e81114e19c098e930074158c2d72');
INSERT INTO macroslow.entries VALUES (2, 2, '\x4d534c3100000000000003ea001e10f04659c6d808e4886a41758fb303fec3bbcef60844c0ae967eb1043f90a2588e2851edd9288904d74909c761f9d313eea3f32e1919231646e88d77bcceae05', '\xab860d25e76d50de3bb4aa7b5b024088569e0b6b8a673983194f5f076889e83cf9c09b9788404cb98696986b2b909e39a61fc8806cd8432f25085537935b56ed275b000917fa4c50d921939867216d5e6d4b6707fedd438dc32842e8ff4d356c92e0f67b6ac040f6a1e77990d6cd2455409bf59d8b38b45909991482a3877e6b');
INSERT INTO macroslow.keys VALUES ('k1', 1, '{"id": "k1", "note": "note", "team": "", "maker": "", "grants": ["https://*"], "legacy": false, "scopes": ["inference:chat", "usage:read"], "weight": 1, "addresses": [], "principal": "alice", "created_ns": 1, "expires_ns": 2, "generation": 1, "revoked_ns": null, "old_until_ns": null, "day_usd_micros": null, "old_secret_hmac": "", "month_usd_micros": null, "concurrent_requests": null, "requests_per_minute": 60}', '\x0000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO macroslow.names VALUES (0, '');
INSERT INTO macroslow.names VALUES (1, 'key/k1');
INSERT INTO macroslow.names VALUES (2, 'alice');
INSERT INTO macroslow.names VALUES (3, 'k1');
INSERT INTO macroslow.names VALUES (4, 'openai');
INSERT INTO macroslow.names VALUES (5, 'small');
INSERT INTO macroslow.names VALUES (6, 'run-1');
INSERT INTO macroslow.names VALUES (7, 'bob');
INSERT INTO macroslow.objects VALUES (6, 'document', 2, '\x007365616c6564');
INSERT INTO macroslow.owners VALUES ('one', '\x261f54dd9d77a870c6e94d739c0024a6', NULL);
INSERT INTO macroslow.replies VALUES (2, 'k', 'abababababababababababababababababababababababababababababababab', 1, 1000000000000000000, '\xd9896aff58cedae717ddabd2e7c361db004c2f4c11097869392980a762fd00f651c113603b0874d24042daa859b7898344b05438949fd820a415d15587ebe91386d8116490a7e9cd65d103777e2835d1a1373b08ea91355c6debbdf8b00c298b68bfd24dadd6c44973cc3c8751c36219930ee7816538e59df1f535ed7524e7e8b3483b7f3d520a9bc149736c376714e397839ddffcd6a6300674e6c7c295a459b7cf5c5dcca5');
INSERT INTO macroslow.runs VALUES (6, 2, 'running', 5, NULL, 'abababababababababababababababababababababababababababababababab', 120, 'agent://tests', NULL, 1, NULL, 0);
INSERT INTO macroslow.signers VALUES ('s1', 3, '{"name": "Alice", "key_id": "s1", "origins": ["agent://alice", "agent://lab/*"], "revoked_ns": null, "trusted_ns": 3, "public_jwks": "{\"keys\":[]}"}');
INSERT INTO macroslow.store VALUES (true, 1, 3, '\x966d18072a0cb0444b198145307adce383ee54b5f8c2546b2bb5cc22ed7fe7f2', 1);
INSERT INTO macroslow.subject_keys VALUES (2, '\x7375626a6563742d6b65797c616c6963657cdf4234d49dc3f41f4f6c8653ddba1c68ab4f5bd3cdd1dcd2bbac72f584b9803d');
INSERT INTO macroslow.subject_keys VALUES (7, '\x7375626a6563742d6b65797c626f627c4d1e9d4d08cf3597f11a77a3a52a8448a3a3fb877a18ef42a343de011ba9c76c');
INSERT INTO macroslow.totals VALUES (0, 3, 2, 0, 4, 5, 0, 1, 10, 20, 40);
ALTER TABLE ONLY macroslow.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (n);
ALTER TABLE ONLY macroslow.bound_ids
    ADD CONSTRAINT bound_ids_pkey PRIMARY KEY (id);
ALTER TABLE ONLY macroslow.calls
    ADD CONSTRAINT calls_pkey PRIMARY KEY (id);
ALTER TABLE ONLY macroslow.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (one);
ALTER TABLE ONLY macroslow.entries
    ADD CONSTRAINT entries_pkey PRIMARY KEY (n);
ALTER TABLE ONLY macroslow.key_uses
    ADD CONSTRAINT key_uses_pkey PRIMARY KEY (id);
ALTER TABLE ONLY macroslow.keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY macroslow.names
    ADD CONSTRAINT names_name_key UNIQUE (name);
ALTER TABLE ONLY macroslow.names
    ADD CONSTRAINT names_pkey PRIMARY KEY (n);
ALTER TABLE ONLY macroslow.objects
    ADD CONSTRAINT objects_pkey PRIMARY KEY (run, kind);
ALTER TABLE ONLY macroslow.owners
    ADD CONSTRAINT owners_pkey PRIMARY KEY (owner);
ALTER TABLE ONLY macroslow.rates
    ADD CONSTRAINT rates_pkey PRIMARY KEY (key);
ALTER TABLE ONLY macroslow.replies
    ADD CONSTRAINT replies_pkey PRIMARY KEY (principal, key);
ALTER TABLE ONLY macroslow.revoked_tokens
    ADD CONSTRAINT revoked_tokens_pkey PRIMARY KEY (id);
ALTER TABLE ONLY macroslow.runs
    ADD CONSTRAINT runs_accepted_index_key UNIQUE (accepted_index);
ALTER TABLE ONLY macroslow.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (n);
ALTER TABLE ONLY macroslow.signers
    ADD CONSTRAINT signers_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY macroslow.store
    ADD CONSTRAINT store_pkey PRIMARY KEY (one);
ALTER TABLE ONLY macroslow.subject_keys
    ADD CONSTRAINT subject_keys_pkey PRIMARY KEY (subject);
ALTER TABLE ONLY macroslow.tiles
    ADD CONSTRAINT tiles_pkey PRIMARY KEY (level, number);
ALTER TABLE ONLY macroslow.totals
    ADD CONSTRAINT totals_pkey PRIMARY KEY (day, key, principal, team, provider, model, tag);
CREATE INDEX accounts_counters ON macroslow.accounts USING btree (resets_s) WHERE counter;
CREATE INDEX accounts_open_children ON macroslow.accounts USING btree (n) WHERE ((parent IS NOT NULL) AND (NOT closed));
CREATE INDEX calls_by_time ON macroslow.calls USING btree (created_ns);
CREATE INDEX calls_of_runs ON macroslow.calls USING btree (run) WHERE (run > 0);
CREATE INDEX calls_open ON macroslow.calls USING btree (created_ns) WHERE (settled_ns IS NULL);
CREATE INDEX replies_by_expiry ON macroslow.replies USING btree (expires_ns);
CREATE INDEX runs_of_principal ON macroslow.runs USING btree (principal, accepted_index);
CREATE INDEX runs_running ON macroslow.runs USING btree (accepted_index) WHERE (state = 'running'::text);
ALTER TABLE ONLY macroslow.accounts
    ADD CONSTRAINT accounts_n_fkey FOREIGN KEY (n) REFERENCES macroslow.names(n);
ALTER TABLE ONLY macroslow.accounts
    ADD CONSTRAINT accounts_parent_fkey FOREIGN KEY (parent) REFERENCES macroslow.accounts(n);
ALTER TABLE ONLY macroslow.bound_ids
    ADD CONSTRAINT bound_ids_account_fkey FOREIGN KEY (account) REFERENCES macroslow.names(n);
ALTER TABLE ONLY macroslow.bound_ids
    ADD CONSTRAINT bound_ids_principal_fkey FOREIGN KEY (principal) REFERENCES macroslow.names(n);
ALTER TABLE ONLY macroslow.bound_ids
    ADD CONSTRAINT bound_ids_provider_fkey FOREIGN KEY (provider) REFERENCES macroslow.names(n);
ALTER TABLE ONLY macroslow.objects
    ADD CONSTRAINT objects_run_fkey FOREIGN KEY (run) REFERENCES macroslow.runs(n);
ALTER TABLE ONLY macroslow.objects
    ADD CONSTRAINT objects_subject_fkey FOREIGN KEY (subject) REFERENCES macroslow.names(n);
ALTER TABLE ONLY macroslow.replies
    ADD CONSTRAINT replies_principal_fkey FOREIGN KEY (principal) REFERENCES macroslow.names(n);
ALTER TABLE ONLY macroslow.runs
    ADD CONSTRAINT runs_n_fkey FOREIGN KEY (n) REFERENCES macroslow.names(n);
ALTER TABLE ONLY macroslow.runs
    ADD CONSTRAINT runs_principal_fkey FOREIGN KEY (principal) REFERENCES macroslow.names(n);
ALTER TABLE ONLY macroslow.subject_keys
    ADD CONSTRAINT subject_keys_subject_fkey FOREIGN KEY (subject) REFERENCES macroslow.names(n);
