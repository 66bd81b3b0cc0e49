"""What readers ask of the ledger. Every function reads one snapshot."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

from macroslow.adapters.postgres._link import Connection, Row
from macroslow.authn.keyring import account_of
from macroslow.metering.accounts import share
from macroslow.metering.ledger import (
    Account,
    DailyUsage,
    LedgerDifference,
    OpenReservation,
    RecentCall,
    UsageRow,
)
from macroslow.ports import DAY_NS

_ACCOUNTS: Final = """
SELECT i.name, p.name, a.limit_usd_micros, a.spent_usd_micros, a.held_usd_micros, a.closed, a.counter,
    a.resets_s
FROM accounts a JOIN names i ON i.n = a.n LEFT JOIN names p ON p.n = a.parent
"""
_IN_FORCE: Final = f"""
WITH counters (name, parent, most, spent, held, closed, counter, resets_s) AS (
    {_ACCOUNTS} WHERE a.counter AND (a.resets_s IS NULL OR a.resets_s > $1)
)
SELECT * FROM counters WHERE NOT starts_with(name, 'tag/')
UNION ALL (
    SELECT * FROM counters WHERE starts_with(name, 'tag/')
    ORDER BY (spent + held)::float8 / greatest(most, 1) DESC, name LIMIT $2
) ORDER BY 1
"""  # noqa: S608  constants alone
_OPEN_CALLS: Final = """
SELECT c.id, a.name, c.reserved_usd_micros, p.name, k.name, v.name, m.name, t.name, r.name,
    c.created_ns, o.name, c.expires_ns
FROM calls c JOIN names a ON a.n = c.account JOIN names p ON p.n = c.principal JOIN names k ON k.n = c.key
    JOIN names v ON v.n = c.provider JOIN names m ON m.n = c.model JOIN names t ON t.n = c.tag
    JOIN names r ON r.n = c.run JOIN names o ON o.n = c.owner
WHERE c.settled_ns IS NULL ORDER BY c.created_ns, c.id
"""
_RECENT: Final = """
SELECT v.name, m.name, c.created_ns, c.input_tokens + c.output_tokens
FROM calls c JOIN names v ON v.n = c.provider JOIN names m ON m.n = c.model
WHERE c.created_ns >= $1 ORDER BY c.created_ns, c.id
"""
_LABELS: Final[Mapping[str, str]] = {
    "key": "(SELECT name FROM names WHERE n = key)",
    "principal": "(SELECT name FROM names WHERE n = principal)",
    "team": "(SELECT name FROM names WHERE n = team)",
    "model": "(SELECT name FROM names WHERE n = model)",
    "provider": "(SELECT name FROM names WHERE n = provider)",
    "tag": "(SELECT name FROM names WHERE n = tag)",
    "day": "day",
}
_USED: Final = """
SELECT {} AS label, sum(calls)::bigint, sum(input_tokens)::bigint,
    sum(output_tokens)::bigint, sum(usd_micros)::bigint
FROM totals
WHERE ($1::text IS NULL OR principal = (SELECT n FROM names WHERE name = $1)) AND day BETWEEN $2 AND $3
GROUP BY 1 ORDER BY 1
"""
_DAILY: Final = """
SELECT day, m.name, sum(calls)::bigint, sum(input_tokens)::bigint,
    sum(output_tokens)::bigint, sum(usd_micros)::bigint
FROM totals JOIN names m ON m.n = model
WHERE provider = (SELECT n FROM names WHERE name = $1) AND day BETWEEN $2 AND $3
GROUP BY 1, 2 ORDER BY 1, 2
"""
_OF_RUN: Final = """
SELECT m.name, count(*), sum(input_tokens)::bigint, sum(output_tokens)::bigint, sum(usd_micros)::bigint
FROM calls c JOIN names m ON m.n = c.model
WHERE c.run > 0 AND c.run = (SELECT n FROM names WHERE name = $1) AND c.settled_ns IS NOT NULL
GROUP BY 1 ORDER BY 1
"""
_KEYS: Final = """
SELECT k.id, a.held_usd_micros, a.limit_usd_micros
FROM (SELECT id FROM keys WHERE $1::text IS NULL OR record->>'principal' = $1
        UNION SELECT unnest($2::text[])) k
    LEFT JOIN names i ON i.name = $3 || k.id LEFT JOIN accounts a ON a.n = i.n
"""
_ROW_SUMS: Final = """
SELECT i.name, coalesce(sum(s.spent), 0)::bigint, coalesce(sum(s.held), 0)::bigint
FROM accounts a JOIN names i ON i.n = a.n LEFT JOIN (
    SELECT p.payer, coalesce(usd_micros, 0) AS spent,
        CASE WHEN settled_ns IS NULL THEN reserved_usd_micros ELSE 0 END AS held
    FROM calls, unnest(account || budgets) AS p (payer)
) s ON s.payer = a.n
GROUP BY 1
"""
_TOTALS: Final = """
SELECT day, key, principal, team, provider, model, tag, calls, input_tokens, output_tokens, usd_micros
FROM totals
"""
_COUNTED: Final = """
SELECT settled_ns / $1::bigint, key, principal, team, provider, model, tag,
    count(*), sum(input_tokens)::bigint, sum(output_tokens)::bigint, sum(usd_micros)::bigint
FROM calls WHERE settled_ns IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_COUNTS: Final = ("calls", "input_tokens", "output_tokens", "usd_micros")
_NO_COUNTS: Final = (0, 0, 0, 0)
_NO_LAST_DAY: Final = 2**31 - 1


async def account(connection: Connection, account_id: str) -> Account | None:
    """Return the account, or None."""
    row = await connection.fetchrow(f"{_ACCOUNTS} WHERE i.name = $1", account_id)
    return None if row is None else Account(*row)


async def open_child_accounts(connection: Connection) -> list[Account]:
    """Return the children that are not closed, oldest first."""
    return await _accounts(connection, "WHERE a.parent IS NOT NULL AND NOT a.closed ORDER BY a.n")


async def budget_accounts(connection: Connection, now_s: int, tags: int) -> list[Account]:
    """Return the counters whose period has not ended, by name; an index leaves the others out."""
    return [Account(*row) for row in await connection.fetch(_IN_FORCE, now_s, tags)]


async def accounts_of_keys(connection: Connection) -> dict[str, Account]:
    """Return each client key's account by the key's id."""
    prefix = account_of("")
    found = await _accounts(connection, "JOIN keys k ON i.name = $1 || k.id ORDER BY k.id", prefix)
    return {account.id.removeprefix(prefix): account for account in found}


async def open_reservations(connection: Connection) -> list[OpenReservation]:
    """Return what is not settled, oldest first."""
    return [OpenReservation(*row) for row in await connection.fetch(_OPEN_CALLS)]


async def recent_calls(connection: Connection, since_ns: int) -> list[RecentCall]:
    """Return the calls made since then, oldest first."""
    return [RecentCall(*row) for row in await connection.fetch(_RECENT, since_ns)]


async def usage(
    connection: Connection, by: str, principal: str | None, first_day: str, last_day: str
) -> list[UsageRow]:
    """Return settled calls by `by`, from the totals: the cost does not grow with the number of calls."""
    query = _USED.format(_LABELS[by])
    rows = await connection.fetch(query, principal, *_days(first_day, last_day))
    if by == "day":
        return [_row(_date(day), *counts) for day, *counts in rows]
    found = [_row(*row) for row in rows]
    return await _with_accounts(connection, found, principal) if by == "key" else found


async def daily_usage(
    connection: Connection, provider: str, first_day: str, last_day: str
) -> list[DailyUsage]:
    """Return what was settled with one provider by day and model."""
    rows = await connection.fetch(_DAILY, provider, *_days(first_day, last_day))
    return [DailyUsage(_date(day), *facts) for day, *facts in rows]


async def run_usage(connection: Connection, run_id: str) -> list[UsageRow]:
    """Return the settled calls of one run by model; an index over run calls alone finds them."""
    return [_row(*row) for row in await connection.fetch(_OF_RUN, run_id)]


async def audit_ledger(connection: Connection) -> list[LedgerDifference]:
    """Add every row up again; return the counters and totals that differ."""
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    accounts = await _accounts(connection, "")
    sums = {name: (spent, held) for name, spent, held in await connection.fetch(_ROW_SUMS)}
    recorded, counted = await connection.fetch(_TOTALS), await connection.fetch(_COUNTED, DAY_NS)
    await connection.execute("COMMIT")
    for child in accounts:
        if child.parent is not None:
            spent, held = sums[child.parent]
            sums[child.parent] = spent + child.spent_usd_micros, held + share(child)
    compared = [
        *((f"account {a.id}: spent", a.spent_usd_micros, sums[a.id][0]) for a in accounts),
        *((f"account {a.id}: held", a.held_usd_micros, sums[a.id][1]) for a in accounts),
        *_compared_totals(recorded, counted),
    ]
    return [LedgerDifference(*found) for found in compared if found[1] != found[2]]


def _compared_totals(recorded: Sequence[Row], counted: Sequence[Row]) -> Iterator[tuple[str, int, int]]:
    before = {tuple(row[:7]): tuple(row[7:]) for row in recorded}
    again = {tuple(row[:7]): tuple(row[7:]) for row in counted}
    for total in sorted(before.keys() | again.keys()):
        pairs = zip(before.get(total, _NO_COUNTS), again.get(total, _NO_COUNTS), strict=True)
        for what, (counter, rows) in zip(_COUNTS, pairs, strict=True):
            yield f"total of {_date(total[0])}: {what}", counter, rows


async def _accounts(connection: Connection, where: str, *values: object) -> list[Account]:
    return [Account(*row) for row in await connection.fetch(_ACCOUNTS + where, *values)]


async def _with_accounts(
    connection: Connection, used: Sequence[UsageRow], principal: str | None
) -> list[UsageRow]:
    """Give each key the state of its account, and a row to each key that was never used."""
    rows = {row.key: row for row in used}
    for key, held, limit in await connection.fetch(_KEYS, principal, [*rows], account_of("")):
        row = rows.get(key, UsageRow(key, 0, 0, 0, 0, 0, None))
        rows[key] = replace(row, held_usd_micros=held or 0, limit_usd_micros=limit)
    return [rows[key] for key in sorted(rows)]


def _row(key: str, calls: int, input_tokens: int, output_tokens: int, usd_micros: int) -> UsageRow:
    return UsageRow(key, calls, input_tokens, output_tokens, usd_micros, 0, None)


def _days(first_day: str, last_day: str) -> tuple[int, int]:
    """The bounds as days since 1970; ValueError for a text that is no day."""
    return _day(first_day) if first_day else 0, _day(last_day) if last_day else _NO_LAST_DAY


def _day(text: str) -> int:
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError(f"{text!r} is not a day like 2026-01-31")
    return (day - date(1970, 1, 1)).days


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()
