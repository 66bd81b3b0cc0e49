"""What readers ask of the ledger. Every function reads one snapshot."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from macroslow.adapters.sqlite._ledger import DAY_NS
from macroslow.authn.keyring import account_of
from macroslow.metering.accounts import share
from macroslow.metering.ledger import Account, LedgerDifference, OpenReservation, UsageRow

_ACCOUNTS: Final = """
SELECT i.name, p.name, a.limit_usd_micros, a.spent_usd_micros, a.held_usd_micros, a.closed
FROM accounts a JOIN names i ON i.n = a.n LEFT JOIN names p ON p.n = a.parent
"""
_OPEN_RESERVATIONS: Final = """
SELECT r.id, a.name, r.usd_micros, p.name, k.name, v.name, m.name, t.name, u.name, r.created_ns
FROM reservations r JOIN names a ON a.n = r.account JOIN names p ON p.n = r.principal
    JOIN names k ON k.n = r.key JOIN names v ON v.n = r.provider JOIN names m ON m.n = r.model
    JOIN names t ON t.n = r.tag JOIN names u ON u.n = r.run
ORDER BY r.created_ns, r.id
"""
_GROUPINGS: Final[Mapping[str, str]] = {
    "key": "(SELECT name FROM names WHERE n = key)",
    "principal": "(SELECT name FROM names WHERE n = principal)",
    "model": "(SELECT name FROM names WHERE n = model)",
    "tag": "(SELECT name FROM names WHERE n = tag)",
    "day": "day",
}
_OF_RUN: Final = """
SELECT (SELECT name FROM names WHERE n = model),
    count(*), sum(input_tokens), sum(output_tokens), sum(usd_micros), 0, NULL
FROM calls WHERE run > 0 AND run = (SELECT n FROM names WHERE name = ?) GROUP BY 1 ORDER BY 1
"""
_SUMS: Final = "sum(calls), sum(input_tokens), sum(output_tokens), sum(usd_micros)"
_ROW_SUMS: Final = """
SELECT n.name, coalesce(c.spent, 0), coalesce(r.held, 0)
FROM accounts a JOIN names n ON n.n = a.n
    LEFT JOIN (SELECT account, sum(usd_micros) AS spent FROM calls GROUP BY 1) c ON c.account = a.n
    LEFT JOIN (SELECT account, sum(usd_micros) AS held FROM reservations GROUP BY 1) r ON r.account = a.n
"""
_COUNTED: Final = """
SELECT settled_ns / ?, key, principal, model, tag,
    count(*), sum(input_tokens), sum(output_tokens), sum(usd_micros)
FROM calls GROUP BY 1, 2, 3, 4, 5
"""
_COUNTS: Final = ("calls", "input_tokens", "output_tokens", "usd_micros")
_NO_COUNTS: Final = (0, 0, 0, 0)


def account(connection: sqlite3.Connection, account_id: str) -> Account | None:
    """Return the account, or None."""
    rows = _accounts(connection, "WHERE i.name = ?", account_id)
    return next(rows, None)


def open_child_accounts(connection: sqlite3.Connection) -> list[Account]:
    """Return the children that are not closed, oldest first."""
    return list(_accounts(connection, "WHERE a.parent IS NOT NULL AND a.closed = 0 ORDER BY a.n"))


def open_reservations(connection: sqlite3.Connection) -> list[OpenReservation]:
    """Return what is not settled, oldest first."""
    return [OpenReservation(*row) for row in connection.execute(_OPEN_RESERVATIONS)]


def usage(connection: sqlite3.Connection, by: str, principal: str | None) -> list[UsageRow]:
    """Return settled calls by `by`, from the totals: the cost does not grow with the number of calls."""
    if by not in _GROUPINGS:
        raise ValueError(f"usage is grouped by one of {', '.join(_GROUPINGS)}, not {by!r}")
    where = "" if principal is None else "WHERE principal = (SELECT n FROM names WHERE name = ?)"
    values = () if principal is None else (principal,)
    query = f"SELECT {_GROUPINGS[by]}, {_SUMS}, 0, NULL FROM totals {where} GROUP BY 1 ORDER BY 1"  # noqa: S608  our own words
    found = [UsageRow(*row) for row in connection.execute(query, values)]
    match by:
        case "key":
            return _with_accounts(connection, found, principal)
        case "day":
            return [replace(row, key=_date(int(row.key))) for row in found]
        case _:
            return found


def run_usage(connection: sqlite3.Connection, run_id: str) -> list[UsageRow]:
    """Return the settled calls of one run by model; an index over run calls alone finds them."""
    return [UsageRow(*row) for row in connection.execute(_OF_RUN, (run_id,))]


def audit_ledger(connection: sqlite3.Connection) -> list[LedgerDifference]:
    """Add every row up again; return the counters and totals that differ."""
    accounts = list(_accounts(connection, ""))
    sums = {name: (spent, held) for name, spent, held in connection.execute(_ROW_SUMS)}
    for child in accounts:
        if child.parent is not None:
            spent, held = sums[child.parent]
            sums[child.parent] = spent + child.spent_usd_micros, held + share(child)
    compared = [
        *((f"account {a.id}: spent", a.spent_usd_micros, sums[a.id][0]) for a in accounts),
        *((f"account {a.id}: held", a.held_usd_micros, sums[a.id][1]) for a in accounts),
        *_compared_totals(connection),
    ]
    return [LedgerDifference(*found) for found in compared if found[1] != found[2]]


def _compared_totals(connection: sqlite3.Connection) -> Iterator[tuple[str, int, int]]:
    recorded = {row[:5]: row[5:] for row in connection.execute("SELECT * FROM totals")}
    counted = {row[:5]: row[5:] for row in connection.execute(_COUNTED, (DAY_NS,))}
    for total in sorted(recorded.keys() | counted.keys()):
        pairs = zip(recorded.get(total, _NO_COUNTS), counted.get(total, _NO_COUNTS), strict=True)
        for what, (counter, rows) in zip(_COUNTS, pairs, strict=True):
            yield f"total of {_date(total[0])}: {what}", counter, rows


def _accounts(connection: sqlite3.Connection, where: str, *values: str) -> Iterator[Account]:
    for account_id, parent, limit, spent, held, is_closed in connection.execute(_ACCOUNTS + where, values):
        yield Account(account_id, parent, limit, spent, held, bool(is_closed))


def _with_accounts(
    connection: sqlite3.Connection, used: Sequence[UsageRow], principal: str | None
) -> list[UsageRow]:
    """Give each key the state of its account, and a row to each key that was never used."""
    query = "SELECT id, 0, 0, 0, 0, 0, NULL FROM keys WHERE ?1 IS NULL OR principal = ?1"
    rows = {row[0]: UsageRow(*row) for row in connection.execute(query, (principal,))}
    rows |= {row.key: row for row in used}
    for key in rows:
        paying = account(connection, account_of(key))
        if paying is not None:
            held, limit = paying.held_usd_micros, paying.limit_usd_micros
            rows[key] = replace(rows[key], held_usd_micros=held, limit_usd_micros=limit)
    return [rows[key] for key in sorted(rows)]


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()
