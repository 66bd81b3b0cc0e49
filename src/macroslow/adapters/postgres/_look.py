"""One question to the store for a whole batch, asked under the batch lock.

Nothing but names is believed from one batch to the next, for another process may have written in between;
and names only until somebody is erased: the same name may be another person's then. The log's new leaves
come along, so that the edge in memory grows to the stored tree.
"""

from collections.abc import Mapping
from typing import Any, Final

from macroslow.adapters.postgres._erasing import look_held
from macroslow.adapters.postgres._link import Connection, Row
from macroslow.adapters.postgres._state import Call, ReplyRow, RunRow, Tables
from macroslow.adapters.postgres._subjects import SubjectKeys
from macroslow.adapters.postgres._tree import CATCH_UP, KnownTree
from macroslow.adapters.postgres._wanted import Wanted
from macroslow.metering.ledger import Account
from macroslow.tlog.event import EventClass
from macroslow.tlog.ports import Kept
from macroslow.workflow.journal import RunState
from macroslow.workflow.replies import BindId, ClaimReply

FORGET: Final = 4  # expired replies that each claim takes along
FORGET_RECEIPTS: Final = 2  # expired receipts that each kept one takes along
MAX_NAMES: Final = 50_000

_LOOK: Final = """
WITH RECURSIVE held AS MATERIALIZED (SELECT * FROM calls WHERE id = ANY($3::text[])),
paying (n) AS (
    (SELECT n FROM names WHERE name = ANY($2::text[])
        UNION SELECT account FROM held UNION SELECT unnest(budgets) FROM held)
    UNION SELECT a.parent FROM accounts a JOIN paying p ON a.n = p.n WHERE a.parent IS NOT NULL
)
SELECT s.size, s.root, s.erasures, (SELECT max(n) FROM names) AS last_name,
    ARRAY(SELECT leaf FROM entries WHERE n >= $9 ORDER BY n LIMIT $12) AS leaves,
    ARRAY(SELECT x FROM (SELECT name, n FROM names WHERE name = ANY($1::text[])) x) AS names,
    ARRAY(SELECT x FROM (
        SELECT a.n, i.name, p.name, a.limit_usd_micros, a.spent_usd_micros, a.held_usd_micros,
            a.closed, a.counter, a.resets_s
        FROM accounts a JOIN paying USING (n) JOIN names i USING (n) LEFT JOIN names p ON p.n = a.parent
    ) x) AS accounts,
    ARRAY(SELECT x FROM (
        SELECT id, account, array_to_string(budgets, ' ') AS budgets, reserved_usd_micros, created_ns,
            expires_ns, principal, key, team, provider, model, tag, run, owner,
            settled_ns, outcome, input_tokens, output_tokens, usd_micros
        FROM held
    ) x) AS calls,
    ARRAY(SELECT x FROM (
        SELECT subject, class, wrapped FROM macroslow_subjects.keys WHERE subject = ANY($4::text[])
    ) x) AS subjects,
    ARRAY(SELECT x FROM (
        SELECT i.name, r.state FROM runs r JOIN names i USING (n) WHERE i.name = ANY($5::text[])
    ) x) AS runs,
    ARRAY(SELECT x FROM (
        SELECT p.name, r.key, r.request_sha256, r.created_ns, r.expires_ns, r.sealed
        FROM unnest($6::text[], $7::text[]) AS w (principal, key)
            JOIN names p ON p.name = w.principal JOIN replies r ON r.principal = p.n AND r.key = w.key
    ) x) AS replies,
    ARRAY(SELECT x FROM (
        SELECT p.name, r.key, r.request_sha256, r.created_ns, r.expires_ns, NULL::bytea AS sealed
        FROM replies r JOIN names p ON p.n = r.principal
        WHERE r.expires_ns <= $10 ORDER BY r.expires_ns LIMIT $11
    ) x) AS expired,
    ARRAY(SELECT x FROM (
        SELECT b.id, b.kind, p.name, v.name, a.name, b.created_ns, b.tokens
        FROM bound_ids b JOIN names p ON p.n = b.principal JOIN names v ON v.n = b.provider
            JOIN names a ON a.n = b.account
        WHERE b.id = ANY($8::text[])
    ) x) AS bound_ids,
    ARRAY(SELECT x FROM (
        SELECT r.request, p.name, r.entry, r.expires_ns
        FROM receipts r JOIN names p ON p.n = r.principal WHERE r.request = ANY($13::text[])
    ) x) AS receipts,
    ARRAY(SELECT x FROM (
        SELECT r.request, p.name, r.entry, r.expires_ns
        FROM receipts r JOIN names p ON p.n = r.principal
        WHERE r.expires_ns <= $14 ORDER BY r.expires_ns LIMIT $15
    ) x) AS expired_receipts
FROM store s WHERE s.one
"""


class Memory:
    """The numbers of names as a process knows them, and after how many erasures."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.erasures = 0

    def learn(self, names: Mapping[str, int]) -> None:
        """Remember them as well."""
        if len(self.names) > MAX_NAMES:
            self.names.clear()
        self.names.update(names)


async def look(
    connection: Connection, wanted: Wanted, tree: KnownTree, memory: Memory, subjects: SubjectKeys
) -> Tables:
    """Return what the store holds of what is wanted, the tree grown to the stored one."""
    found = await _ask(connection, wanted, tree, memory)
    if found["erasures"] != memory.erasures:
        memory.names.clear()
        memory.erasures = found["erasures"]
        subjects.forget()
        found = await _ask(connection, wanted, tree, memory)
    await tree.grow(connection, found["size"], found["root"], found["leaves"])
    state = Tables(tree.edge, found["last_name"])
    for name in wanted.names:
        if name in memory.names:
            state.names.learn(name, memory.names[name])
    _learn(state, found)
    if wanted.erased:
        await look_held(connection, state, [*wanted.erased])
    return state


async def _ask(connection: Connection, wanted: Wanted, tree: KnownTree, memory: Memory) -> Any:
    return await connection.fetchrow(
        _LOOK,
        [name for name in wanted.names if name not in memory.names],
        [*wanted.accounts],
        [*wanted.calls],
        [*wanted.subjects],
        [*wanted.runs],
        [principal for principal, _ in wanted.replies],
        [key for _, key in wanted.replies],
        [*wanted.bound_ids],
        tree.size,
        min(wanted.claimed_ns, default=0),
        FORGET * len(wanted.claimed_ns),
        CATCH_UP,
        [*wanted.receipts],
        min(wanted.kept_ns, default=0),
        FORGET_RECEIPTS * len(wanted.kept_ns),
    )


def _learn(state: Tables, found: Any) -> None:
    for name, number in found["names"]:
        state.names.learn(name, number)
    by_number: dict[int, str] = {}
    for number, name, *facts in found["accounts"]:
        by_number[number] = name
        state.names.learn(name, number)
        state.accounts.learn(name, Account(name, *facts))
    for call_id, *row in found["calls"]:
        state.calls.learn(call_id, _call(row, by_number))
    for subject, kind, wrapped in found["subjects"]:
        state.subject_keys.learn((subject, EventClass(kind)), wrapped)
    for run_id, run_state in found["runs"]:
        state.runs.learn(run_id, RunRow(RunState(run_state)))
    for *claim, sealed in (*found["expired"], *found["replies"]):
        state.replies.learn((claim[0], claim[1]), ReplyRow(ClaimReply(*claim), sealed))
    state.expired = [(principal, key) for principal, key, *_ in found["expired"]]
    for row in found["bound_ids"]:
        state.bound_ids.learn(row[0], BindId(*row))
    for request, *kept in (*found["expired_receipts"], *found["receipts"]):
        state.receipts.learn(request, Kept(*kept))
    state.expired_receipts = [request for request, *_ in found["expired_receipts"]]


def _call(row: Row, by_number: Mapping[int, str]) -> Call:
    account, budgets, usd_micros, created_ns, expires_ns, *numbers = row
    labels, settlement = tuple(numbers[:8]), tuple(numbers[8:])
    return Call(
        account=by_number[account],
        budgets=tuple(by_number[int(number)] for number in budgets.split()),
        usd_micros=usd_micros,
        created_ns=created_ns,
        expires_ns=expires_ns,
        labels=labels,
        settlement=None if settlement[0] is None else settlement,
    )
