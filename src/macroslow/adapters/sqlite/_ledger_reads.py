"""What readers ask of the ledger. Every function reads one snapshot."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

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
_NOT_PAST: Final = f"""
{_ACCOUNTS} WHERE a.counter = 1 AND a.resets_s IS NULL
UNION ALL {_ACCOUNTS} WHERE a.counter = 1 AND a.resets_s > ?1
"""
_IN_FORCE: Final = f"""
WITH counters (name, parent, most, spent, held, closed, counter, resets_s) AS ({_NOT_PAST})
SELECT * FROM counters WHERE name NOT GLOB 'tag/*'
UNION ALL SELECT * FROM (
    SELECT * FROM counters WHERE name GLOB 'tag/*'
    ORDER BY 1.0 * (spent + held) / max(most, 1) DESC, name LIMIT ?2
) ORDER BY 1
"""  # noqa: S608  constants alone
_OF_KEYS: Final = f"{_ACCOUNTS} JOIN keys k ON i.name = ? || k.id ORDER BY k.id"
_OPEN_RESERVATIONS: Final = """
SELECT r.id, a.name, r.usd_micros, p.name, k.name, v.name, m.name, t.name, u.name, r.created_ns,
    o.name, r.expires_ns
FROM reservations r JOIN names a ON a.n = r.account JOIN names p ON p.n = r.principal
    JOIN names k ON k.n = r.key JOIN names v ON v.n = r.provider JOIN names m ON m.n = r.model
    JOIN names t ON t.n = r.tag JOIN names u ON u.n = r.run JOIN names o ON o.n = r.owner
ORDER BY r.created_ns, r.id
"""
_GROUPINGS: Final[Mapping[str, str]] = {
    "key": "(SELECT name FROM names WHERE n = key)",
    "principal": "(SELECT name FROM names WHERE n = principal)",
    "team": "(SELECT name FROM names WHERE n = team)",
    "model": "(SELECT name FROM names WHERE n = model)",
    "provider": "(SELECT name FROM names WHERE n = provider)",
    "tag": "(SELECT name FROM names WHERE n = tag)",
    "day": "day",
}
_OF_RUN: Final = """
SELECT (SELECT name FROM names WHERE n = model),
    count(*), sum(input_tokens), sum(output_tokens), sum(usd_micros), 0, NULL
FROM calls WHERE run > 0 AND run = (SELECT n FROM names WHERE name = ?) GROUP BY 1 ORDER BY 1
"""
_DAILY: Final = """
SELECT day, m.name, sum(calls), sum(input_tokens), sum(output_tokens), sum(usd_micros)
FROM totals JOIN names m ON m.n = model
WHERE day BETWEEN ? AND ? AND provider = (SELECT n FROM names WHERE name = ?)
GROUP BY 1, 2 ORDER BY 1, 2
"""
_RECENT: Final = """
SELECT v.name, m.name, made.created_ns, made.tokens
FROM (
    SELECT provider, model, created_ns, input_tokens + output_tokens AS tokens
    FROM calls WHERE created_ns >= ?1
    UNION ALL SELECT provider, model, created_ns, NULL FROM reservations WHERE created_ns >= ?1
) made JOIN names v ON v.n = made.provider JOIN names m ON m.n = made.model
ORDER BY made.created_ns
"""
_SUMS: Final = "sum(calls), sum(input_tokens), sum(output_tokens), sum(usd_micros)"
_ROW_SUMS: Final = """
SELECT n.name, coalesce(c.spent, 0), coalesce(r.held, 0)
FROM accounts a JOIN names n ON n.n = a.n
    LEFT JOIN (SELECT account, sum(usd_micros) AS spent FROM calls GROUP BY 1) c ON c.account = a.n
    LEFT JOIN (SELECT account, sum(usd_micros) AS held FROM reservations GROUP BY 1) r ON r.account = a.n
"""
_COUNTERS: Final = "SELECT a.n, i.name FROM accounts a JOIN names i ON i.n = a.n WHERE a.counter = 1"
_BUDGET_SUMS: Final = """
SELECT b.name, sum(spent), sum(held)
FROM (
    SELECT budgets, usd_micros AS spent, 0 AS held FROM calls WHERE budgets > 0
    UNION ALL SELECT budgets, 0, usd_micros FROM reservations WHERE budgets > 0
) JOIN names b ON b.n = budgets GROUP BY 1
"""
_COUNTED: Final = """
SELECT settled_ns / ?, key, principal, team, provider, model, tag,
    count(*), sum(input_tokens), sum(output_tokens), sum(usd_micros)
FROM calls GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_COUNTS: Final = ("calls", "input_tokens", "output_tokens", "usd_micros")
_NO_COUNTS: Final = (0, 0, 0, 0)
_EPOCH: Final = date(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = "0001-01-01", "9999-12-31"


def account(connection: sqlite3.Connection, account_id: str) -> Account | None:
    """Return the account, or None."""
    return next(_accounts(connection, f"{_ACCOUNTS} WHERE i.name = ?", account_id), None)


def open_child_accounts(connection: sqlite3.Connection) -> list[Account]:
    """Return the children that are not closed, oldest first."""
    query = f"{_ACCOUNTS} WHERE a.parent IS NOT NULL AND a.closed = 0 ORDER BY a.n"
    return list(_accounts(connection, query))


def budget_accounts(connection: sqlite3.Connection, now_s: int, tags: int) -> list[Account]:
    """Return the counters whose period has not ended, by name; an index leaves the others out."""
    return list(_accounts(connection, _IN_FORCE, now_s, tags))


def accounts_of_keys(connection: sqlite3.Connection) -> dict[str, Account]:
    """Return each client key's account by the key's id."""
    prefix = account_of("")
    return {found.id.removeprefix(prefix): found for found in _accounts(connection, _OF_KEYS, prefix)}


def open_reservations(connection: sqlite3.Connection) -> list[OpenReservation]:
    """Return what is not settled, oldest first."""
    return [OpenReservation(*row) for row in connection.execute(_OPEN_RESERVATIONS)]


def usage(
    connection: sqlite3.Connection, by: str, principal: str | None, first_day: str, last_day: str
) -> list[UsageRow]:
    """Return settled calls by `by`, from the totals: the cost does not grow with the number of calls."""
    if by not in _GROUPINGS:
        raise ValueError(f"usage is grouped by one of {', '.join(_GROUPINGS)}, not {by!r}")
    where = "day BETWEEN ?1 AND ?2 AND (?3 IS NULL OR principal = (SELECT n FROM names WHERE name = ?3))"
    query = f"SELECT {_GROUPINGS[by]}, {_SUMS}, 0, NULL FROM totals WHERE {where} GROUP BY 1 ORDER BY 1"  # noqa: S608  our own words
    bounds = (_day(first_day or _FIRST_DAY), _day(last_day or _LAST_DAY))
    found = [UsageRow(*row) for row in connection.execute(query, (*bounds, principal))]
    match by:
        case "key":
            return _with_accounts(connection, found, principal)
        case "day":
            return [replace(row, key=_date(int(row.key))) for row in found]
        case _:
            return found


def daily_usage(
    connection: sqlite3.Connection, provider: str, first_day: str, last_day: str
) -> list[DailyUsage]:
    """Return what was settled with one provider by day and model, from the totals."""
    rows = connection.execute(_DAILY, (_day(first_day), _day(last_day), provider))
    return [DailyUsage(_date(day), *counts) for day, *counts in rows]


def recent_calls(connection: sqlite3.Connection, since_ns: int) -> list[RecentCall]:
    """Return the calls made since then, oldest first; an index finds them whatever came before."""
    return [RecentCall(*row) for row in connection.execute(_RECENT, (since_ns,))]


def run_usage(connection: sqlite3.Connection, run_id: str) -> list[UsageRow]:
    """Return the settled calls of one run by model; an index over run calls alone finds them."""
    return [UsageRow(*row) for row in connection.execute(_OF_RUN, (run_id,))]


def audit_ledger(connection: sqlite3.Connection) -> list[LedgerDifference]:
    """Add every row up again; return the counters and totals that differ."""
    accounts = list(_accounts(connection, _ACCOUNTS))
    sums = {name: (spent, held) for name, spent, held in connection.execute(_ROW_SUMS)}
    for child in accounts:
        if child.parent is not None:
            spent, held = sums[child.parent]
            sums[child.parent] = spent + child.spent_usd_micros, held + share(child)
    for name, found in _counted_budgets(connection).items():
        if name not in sums:  # its counter is gone
            accounts.append(Account(name, None, None, 0, 0, counter=True))
        sums[name] = found
    compared = [
        *((f"account {a.id}: spent", a.spent_usd_micros, sums[a.id][0]) for a in accounts),
        *((f"account {a.id}: held", a.held_usd_micros, sums[a.id][1]) for a in accounts),
        *_compared_totals(connection),
    ]
    return [LedgerDifference(*facts) for facts in compared if facts[1] != facts[2]]


def _counted_budgets(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Spent and held of each budget by the rows; the budgets of a row are a set that many rows share."""
    names = {str(number): name for number, name in connection.execute(_COUNTERS)}
    sums: dict[str, tuple[int, int]] = {}
    for numbers, more_spent, more_held in connection.execute(_BUDGET_SUMS):
        for number in numbers.split(","):
            name = names.get(number, f"numbered {number}")
            spent, held = sums.get(name, (0, 0))
            sums[name] = spent + more_spent, held + more_held
    return sums


def _compared_totals(connection: sqlite3.Connection) -> Iterator[tuple[str, int, int]]:
    recorded = {row[:7]: row[7:] for row in connection.execute("SELECT * FROM totals")}
    counted = {row[:7]: row[7:] for row in connection.execute(_COUNTED, (DAY_NS,))}
    for total in sorted(recorded.keys() | counted.keys()):
        pairs = zip(recorded.get(total, _NO_COUNTS), counted.get(total, _NO_COUNTS), strict=True)
        for what, (counter, rows) in zip(_COUNTS, pairs, strict=True):
            yield f"total of {_date(total[0])}: {what}", counter, rows


def _accounts(connection: sqlite3.Connection, query: str, *values: str | int) -> Iterator[Account]:
    for account_id, parent, limit, spent, held, is_closed, is_counter, resets_s in connection.execute(
        query, values
    ):
        yield Account(account_id, parent, limit, spent, held, bool(is_closed), bool(is_counter), resets_s)


def _with_accounts(
    connection: sqlite3.Connection, used: Sequence[UsageRow], principal: str | None
) -> list[UsageRow]:
    """Give each key the state of its account, and a row to each key that was never used."""
    query = "SELECT id, 0, 0, 0, 0, 0, NULL FROM keys WHERE ?1 IS NULL OR record ->> 'principal' = ?1"
    rows = {row[0]: UsageRow(*row) for row in connection.execute(query, (principal,))}
    rows |= {row.key: row for row in used}
    for key in rows:
        paying = account(connection, account_of(key))
        if paying is not None:
            held, limit = paying.held_usd_micros, paying.limit_usd_micros
            rows[key] = replace(rows[key], held_usd_micros=held, limit_usd_micros=limit)
    return [rows[key] for key in sorted(rows)]


def _day(text: str) -> int:
    """The number of a day since 1970; ValueError unless it is written as 2026-01-31."""
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError(f"{text!r} is not a day as 2026-01-31")
    return (day - _EPOCH).days


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()
