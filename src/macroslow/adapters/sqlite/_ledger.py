"""Ledger rows and account counters, as the writer changes them. The rules are metering/ledger's."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._staged import Staged
from macroslow.errors import NotFoundError
from macroslow.metering.ledger import (
    OUTCOMES,
    Account,
    CloseAccount,
    OpenAccount,
    Reserve,
    Settle,
    Usage,
    bounded,
    closed,
    opened,
    reserved,
    settled,
)

DAY_NS: Final = 86_400 * 10**9

_Total = tuple[int, int, int, int, int]
"""Day since 1970, and the numbers of key, principal, model and tag."""

_RESERVE: Final = """
INSERT INTO reservations (
    id, account, reserved_usd_micros, principal, key, provider, model, tag, run, created_ns
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SETTLE: Final = """
UPDATE reservations SET settled_ns = ?, outcome = ?, input_tokens = ?, output_tokens = ?, usd_micros = ?
WHERE id = ? AND settled_ns IS NULL
RETURNING account, reserved_usd_micros, key, principal, model, tag
"""
_ADD_TOTAL: Final = """
INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    calls = calls + excluded.calls,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    usd_micros = usd_micros + excluded.usd_micros
"""
_PUT_ACCOUNT: Final = """
INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    limit_usd_micros = excluded.limit_usd_micros,
    spent_usd_micros = excluded.spent_usd_micros,
    held_usd_micros = excluded.held_usd_micros,
    closed = excluded.closed
"""
_ACCOUNT: Final = """
SELECT parent, limit_usd_micros, spent_usd_micros, held_usd_micros, closed FROM accounts WHERE n = ?
"""


class Ledger:
    """Accounts are kept in memory and written once a batch; rows are written as they come."""

    def __init__(self, connection: sqlite3.Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._accounts = Staged[str, Account]()
        self._settled: list[tuple[_Total, Usage]] = []
        self._settled_kept = 0

    def open_account(self, change: OpenAccount) -> None:
        self._put(opened(self._find(change.id), change, self._account))

    def close_account(self, change: CloseAccount) -> None:
        self._put(closed(self._account(change.id), self._account))

    def reserve(self, change: Reserve) -> None:
        self._put(reserved(self._account(change.account), change.usd_micros, self._account))
        number = self._names.number
        row = (
            change.id,
            number(change.account),
            change.usd_micros,
            number(change.principal),
            number(change.key_id),
            number(change.provider),
            number(change.model),
            number(change.tag),
            number(change.run_id),
            change.created_ns,
        )
        self._connection.execute(_RESERVE, row)

    def settle(self, change: Settle) -> None:
        usage = change.usage
        row = (
            change.settled_ns,
            OUTCOMES.index(change.outcome),
            bounded(usage.input_tokens),
            bounded(usage.output_tokens),
            bounded(usage.usd_micros),
            change.id,
        )
        found = self._connection.execute(_SETTLE, row).fetchall()
        if not found:
            self._require_known(change.id)
            return
        account, held, key, principal, model, tag = found[0]
        before = self._account(self._names.name(account))
        self._put(settled(before, held, usage.usd_micros, self._account))
        self._settled.append(((change.settled_ns // DAY_NS, key, principal, model, tag), usage))

    def keep(self) -> None:
        self._accounts.keep()
        self._settled_kept = len(self._settled)

    def drop(self) -> None:
        self._accounts.drop()
        del self._settled[self._settled_kept :]

    def flush(self) -> None:
        """Write what the batch left in memory."""
        number = self._names.number
        rows = [
            (
                number(account.id),
                None if account.parent is None else number(account.parent),
                account.limit_usd_micros,
                account.spent_usd_micros,
                account.held_usd_micros,
                account.closed,
            )
            for account in self._accounts.changed().values()
        ]
        self._connection.executemany(_PUT_ACCOUNT, rows)
        self._connection.executemany(_ADD_TOTAL, _sums(self._settled))

    def committed(self) -> None:
        self._accounts.committed()
        self._settled.clear()
        self._settled_kept = 0

    def forget(self) -> None:
        self._accounts.forget()
        self._settled.clear()
        self._settled_kept = 0

    def _put(self, accounts: Iterable[Account]) -> None:
        for account in accounts:
            self._accounts.put(account.id, account)

    def _account(self, account_id: str) -> Account:
        account = self._find(account_id)
        if account is None:
            raise NotFoundError(f"There is no account {account_id}.", step="reserve")
        return account

    def _find(self, account_id: str) -> Account | None:
        known = self._accounts.get(account_id)
        if known is not None:
            return known
        row = self._connection.execute(_ACCOUNT, (self._names.number(account_id),)).fetchone()
        if row is None:
            return None
        parent, limit, spent, held, is_closed = row
        name = None if parent is None else self._names.name(parent)
        return self._accounts.learn(
            account_id, Account(account_id, name, limit, spent, held, bool(is_closed))
        )

    def _require_known(self, reservation_id: str) -> None:
        query = "SELECT 1 FROM reservations WHERE id = ?"
        if self._connection.execute(query, (reservation_id,)).fetchone() is None:
            raise NotFoundError(f"Nothing was reserved under {reservation_id}.", step="settle")


def _sums(settlements: Iterable[tuple[_Total, Usage]]) -> list[tuple[int, ...]]:
    """Add settlements of the same total up, so that a batch writes each total once."""
    sums: dict[_Total, list[int]] = {}
    for total, usage in settlements:
        counts = sums.setdefault(total, [0, 0, 0, 0])
        counts[0] += 1
        counts[1] += usage.input_tokens
        counts[2] += usage.output_tokens
        counts[3] += usage.usd_micros
    return [(*total, *counts) for total, counts in sums.items()]
