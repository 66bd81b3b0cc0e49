"""Everything that a batch changes, written by one statement: one journey, whatever the number of tables.

Each table is one part of it, its rows given as one array a column. All parts see the store as it was
before, so no part may depend on another; the constraints between tables are checked at the end.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from macroslow.adapters.postgres._ledger import totals
from macroslow.adapters.postgres._link import Connection
from macroslow.adapters.postgres._log import TileRow
from macroslow.adapters.postgres._state import Tables
from macroslow.authn.ports import SignerRecord
from macroslow.authn.stored_key import key_json
from macroslow.errors import LogUnavailableError
from macroslow.tlog.ports import TreeHead

Rows = Sequence[Sequence[object]]


def _insert(table: str, columns: str, then: str = "") -> str:
    """An INSERT of one array a column, its places `{}`. An array in a column travels as text."""
    pairs = [column.split() for column in columns.split(", ")]
    arrays = ", ".join("{}::text[]" if kind.endswith("[]") else f"{{}}::{kind}[]" for _, kind in pairs)
    read = ", ".join(f"{name}::{kind}" if kind.endswith("[]") else name for name, kind in pairs)
    names = ", ".join(name for name, _ in pairs)
    return f"INSERT INTO {table} ({names}) SELECT {read} FROM unnest({arrays}) AS new ({names}) {then}"  # noqa: S608


def _or_update(key: str, columns: str) -> str:
    sets = ", ".join(f"{column} = excluded.{column}" for column in columns.split(", "))
    return f"ON CONFLICT ({key}) DO UPDATE SET {sets}"


_PARTS: Final[Mapping[str, str]] = {
    "names": _insert("names", "n int, name text"),
    "subject_keys": _insert("macroslow_subjects.keys", "subject text, class smallint, wrapped bytea"),
    "accounts": _insert(
        "accounts",
        "n int, parent int, limit_usd_micros bigint, spent_usd_micros bigint, held_usd_micros bigint,"
        " closed boolean, counter boolean, resets_s bigint",
        _or_update("n", "limit_usd_micros, spent_usd_micros, held_usd_micros, closed"),
    ),
    "calls": _insert(
        "calls",
        "id text, account int, budgets int[], reserved_usd_micros bigint, created_ns bigint,"
        " expires_ns bigint, principal int, key int, team int, provider int, model int, tag int, run int,"
        " owner int, settled_ns bigint, outcome smallint, input_tokens bigint, output_tokens bigint,"
        " usd_micros bigint",
        _or_update("id", "settled_ns, outcome, input_tokens, output_tokens, usd_micros"),
    ),
    "totals": _insert(
        "totals",
        "day int, key int, principal int, team int, provider int, model int, tag int, calls bigint,"
        " input_tokens bigint, output_tokens bigint, usd_micros bigint",
        "ON CONFLICT (day, key, principal, team, provider, model, tag) DO UPDATE SET"
        " calls = totals.calls + excluded.calls,"
        " input_tokens = totals.input_tokens + excluded.input_tokens,"
        " output_tokens = totals.output_tokens + excluded.output_tokens,"
        " usd_micros = totals.usd_micros + excluded.usd_micros",
    ),
    "entries": _insert("entries", "n bigint, leaf bytea, payload bytea, subject int"),
    "parts": _insert("parts", "entry bigint, position smallint, subject int, sealed bytea"),
    "tiles": _insert("tiles", "level smallint, number bigint, hashes bytea, root bytea"),
    "store": "UPDATE store SET size = new.size, root = new.root, identities = identities + new.changed"
    " FROM unnest({}::bigint[], {}::bytea[], {}::int[]) AS new (size, root, changed)",
    "checkpoints": _insert(
        "checkpoints",
        "size bigint, note bytea",
        f"{_or_update('one', 'size, note')} WHERE checkpoints.size <= excluded.size",
    ),
    "anchors": _insert("anchors", "size bigint, note bytea, token bytea", "ON CONFLICT (size) DO NOTHING"),
    "receipts": _insert(
        "receipts",
        "request text, principal int, entry bigint, expires_ns bigint",
        _or_update("request", "principal, entry, expires_ns"),
    ),
    "dropped_receipts": "DELETE FROM receipts USING unnest({}::text[]) AS old (request)"
    " WHERE receipts.request = old.request",
    "runs": _insert(
        "runs",
        "n int, principal int, state text, accepted_ns bigint, finished_ns bigint, document_sha256 text,"
        " document_bytes bigint, origin text, signer text, accepted_index bigint, finished_index bigint,"
        " owner int",
    ),
    "finished": "UPDATE runs SET state = new.state, finished_ns = new.finished_ns, finished_index = new.at"
    " FROM unnest({}::int[], {}::text[], {}::bigint[], {}::bigint[]) AS new (n, state, finished_ns, at)"
    " WHERE runs.n = new.n",
    "objects": _insert(
        "objects",
        "run int, kind text, subject int, sealed bytea",
        _or_update("run, kind", "subject, sealed"),
    ),
    "keys": _insert(
        "keys",
        "id text, created_ns bigint, record jsonb, secret_hmac bytea",
        f"{_or_update('id', 'created_ns, record, secret_hmac')} WHERE keys.record ->> 'revoked_ns' IS NULL",
    ),
    "signers": _insert(
        "signers", "key_id text, trusted_ns bigint, record jsonb", _or_update("key_id", "trusted_ns, record")
    ),
    "key_uses": _insert(
        "key_uses",
        "id text, used_ns bigint",
        "ON CONFLICT (id) DO UPDATE SET used_ns = greatest(key_uses.used_ns, excluded.used_ns)",
    ),
    "dropped_keys": "DELETE FROM keys USING unnest({}::text[]) AS old (id) WHERE keys.id = old.id",
    "dropped_uses": "DELETE FROM key_uses USING unnest({}::text[]) AS old (id) WHERE key_uses.id = old.id",
    "revoked_tokens": _insert("revoked_tokens", "id text, record jsonb", _or_update("id", "record")),
    "restored_tokens": "DELETE FROM revoked_tokens USING unnest({}::text[]) AS old (id)"
    " WHERE revoked_tokens.id = old.id",
    "replies": _insert(
        "replies",
        "principal int, key text, request_sha256 text, created_ns bigint, expires_ns bigint, sealed bytea",
        _or_update("principal, key", "request_sha256, created_ns, expires_ns, sealed"),
    ),
    "forgotten": "DELETE FROM replies USING unnest({}::int[], {}::text[]) AS old (principal, key)"
    " WHERE replies.principal = old.principal AND replies.key = old.key",
    "bound_ids": _insert(
        "bound_ids",
        "id text, kind text, principal int, provider int, account int, created_ns bigint, tokens bigint",
        _or_update("id", "kind, provider, account, created_ns, tokens"),
    ),
}
_BATCH: Final = "UPDATE owners SET batch = {} WHERE owner = {} AND epoch = {}"


@dataclass(frozen=True, slots=True)
class Signed:
    """Who makes a batch, in which epoch of its name, and the 16 random bytes by which it is known."""

    owner: str
    epoch: int
    batch: bytes


async def write(
    connection: Connection, state: Tables, head: TreeHead, tiles: Sequence[TileRow], signed: Signed
) -> None:
    """Write what `state` changed, the tree's new head and tiles, and whose batch it is.

    LogUnavailableError if another process goes by the owner's name by now: then nothing may be committed.
    """
    rows = {**_ledger(state), **_log(state, head, tiles), **_journal(state), **_others(state)}
    parts: list[str] = []
    arguments: list[object] = []
    for name, part in _PARTS.items():
        if rows[name]:
            parts.append(f"{name}_ AS ({_numbered(part, len(arguments))})")
            arguments += [list(column) for column in zip(*rows[name], strict=True)]
    statement = _numbered(_BATCH, len(arguments))
    if parts:
        statement = f"WITH {', '.join(parts)} {statement}"
    done = await connection.execute(statement, *arguments, signed.batch, signed.owner, signed.epoch)
    if done != "UPDATE 1":
        raise LogUnavailableError(
            f"another process goes by the name of {signed.owner} by now",
            fix="stop one of the two, and give every process that uses the database a name of its own",
        )


def _numbered(part: str, before: int) -> str:
    """Give the places of `part` their numbers."""
    places = (f"${before + at}" for at in range(1, part.count("{}") + 1))
    return part.format(*places)


def _ledger(state: Tables) -> dict[str, Rows]:
    number = state.number
    return {
        "names": [(n, name) for name, n in state.names.written()],
        "accounts": [
            (
                number(account.id),
                None if account.parent is None else number(account.parent),
                account.limit_usd_micros,
                account.spent_usd_micros,
                account.held_usd_micros,
                account.closed,
                account.counter,
                account.resets_s,
            )
            for _, account in state.accounts.written()
        ],
        "calls": [
            (
                call_id,
                number(call.account),
                f"{{{','.join(str(number(budget)) for budget in call.budgets)}}}",
                call.usd_micros,
                call.created_ns,
                call.expires_ns,
                *call.labels,
                *(call.settlement or (None,) * 5),
            )
            for call_id, call in state.calls.written()
        ],
        "totals": totals(state),
    }


def _log(state: Tables, head: TreeHead, tiles: Sequence[TileRow]) -> dict[str, Rows]:
    entries = state.entries.written()
    identities = bool(state.keys.changed or state.signers.changed or state.revocations.changed)
    return {
        "subject_keys": [(*whose, wrapped) for whose, wrapped in state.subject_keys.written()],
        "entries": [(index, entry.leaf, entry.payload, entry.subject) for index, entry in entries],
        "parts": [
            (index, position, part.subject, part.sealed)
            for index, entry in entries
            for position, part in enumerate(entry.parts)
        ],
        "tiles": tiles,
        "store": [(head.size, head.root, int(identities))] if entries or identities else [],
        "checkpoints": [newest for _, newest in state.checkpoint.written()],
        "anchors": [(size, anchor.note, anchor.token) for size, anchor in state.anchors.written()],
        "receipts": [
            (name, state.number(kept.principal), kept.index, kept.expires_ns)
            for name, kept in state.receipts.written()
        ],
        "dropped_receipts": [(name,) for name in state.receipts.deleted()],
    }


def _journal(state: Tables) -> dict[str, Rows]:
    number = state.number
    accepted: list[Sequence[object]] = []
    finished: list[Sequence[object]] = []
    for run_id, run in state.runs.written():
        finished_ns, at = run.finished or (None, None)
        if run.accepted is None:
            finished.append((number(run_id), run.state, finished_ns, at))
            continue
        change, index = run.accepted
        facts = (change.document_sha256, change.document_bytes, change.origin, change.signer)
        before = (number(run_id), number(change.principal), run.state, change.accepted_ns, finished_ns)
        accepted.append((*before, *facts, index, at, number(change.owner)))
    return {
        "runs": accepted,
        "finished": finished,
        "objects": [
            (number(run_id), kind, number(subject), sealed)
            for (run_id, kind), (subject, sealed) in state.objects.written()
        ],
    }


def _others(state: Tables) -> dict[str, Rows]:
    number = state.number
    return {
        "keys": [(key.id, key.created_ns, key_json(key), key.secret_hmac) for _, key in state.keys.written()],
        "signers": [
            (signer.key_id, signer.trusted_ns, _signer_json(signer)) for _, signer in state.signers.written()
        ],
        "key_uses": state.key_uses.written(),
        "dropped_keys": [(key_id,) for key_id in state.keys.deleted()],
        "dropped_uses": [(key_id,) for key_id in state.key_uses.deleted()],
        "revoked_tokens": [(name, json.dumps(asdict(one))) for name, one in state.revocations.written()],
        "restored_tokens": [(name,) for name in state.revocations.deleted()],
        "replies": [
            (number(principal), key, claim.request_sha256, claim.created_ns, claim.expires_ns, row.sealed)
            for (principal, key), row in state.replies.written()
            for claim in (row.claim,)
        ],
        "forgotten": [(number(principal), key) for principal, key in state.replies.deleted()],
        "bound_ids": [
            (
                bound.id,
                bound.kind,
                number(bound.principal),
                number(bound.provider),
                number(bound.account),
                bound.created_ns,
                bound.tokens,
            )
            for _, bound in state.bound_ids.written()
        ],
    }


def _signer_json(signer: SignerRecord) -> str:
    return json.dumps(asdict(signer))
