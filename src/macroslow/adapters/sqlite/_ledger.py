"""Ledger rows and account counters, as the writer changes them. The rules are metering/accounts'."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._stage import Cache, Row, Stage
from macroslow.adapters.sqlite._statements import (
    ADD_TOTAL,
    DELETE_RESERVATION,
    PUT_ACCOUNT,
    PUT_CALL,
    PUT_RESERVATION,
)
from macroslow.errors import ConflictError, NotFoundError
from macroslow.metering.accounts import bounded_counts, closed, opened, reserved, settled
from macroslow.metering.ledger import OUTCOMES, Account, CloseAccount, OpenAccount, Reserve, Settle
from macroslow.ports import DAY_NS

_ACCOUNT: Final = """
SELECT p.name, a.limit_usd_micros, a.spent_usd_micros, a.held_usd_micros, a.closed, a.counter, a.resets_s
FROM accounts a LEFT JOIN names p ON p.n = a.parent WHERE a.n = ?
"""
_LAST_SETTLED: Final = "SELECT coalesce(max(id), '') FROM calls"
_RESERVATIONS: Final = """
SELECT a.name, b.name, r.id, r.account, r.usd_micros, r.principal, r.key, r.provider, r.model, r.tag, r.run,
    r.team, r.budgets, r.created_ns
FROM reservations r JOIN names a ON a.n = r.account JOIN names b ON b.n = r.budgets
"""


_Held = tuple[str, tuple[str, ...], int, Row]
"""An open reservation: account, budgets, micro-dollars, and its row, with which a call's begins."""

_Labels = tuple[int, int, Row]
"""The numbers of account and owner, and of what else a call names."""


class Ledger:
    """The `accounts`, `reservations`, `calls` and `totals` tables, for the writer.

    All open reservations are in memory: there are never more of them than calls under way.
    """

    def __init__(self, connection: sqlite3.Connection, stage: Stage, names: Names) -> None:
        self._connection = connection
        self._stage = stage
        self._names = names
        self._accounts = Cache[str, Account](stage)
        self._labels = Cache[Row, _Labels](stage)
        self._open = Cache[str, _Held](stage, None)
        self._last_settled = ""  # no id beyond this one was ever settled
        self._touched: set[str] = set()
        self.reload()

    def open_account(self, change: OpenAccount) -> None:
        self._names.number(change.id)
        self._put(opened(self._find(change.id), change, self._account))

    def close_account(self, change: CloseAccount) -> None:
        self._put(closed(self._account(change.id), self._account))

    def reserve(self, change: Reserve) -> None:
        name = change.id
        if self._open.get(name) is not None or self._is_settled(name):
            raise ConflictError(f"the reservation {name} was made before", step="reserve")
        self._put(reserved(self._account(change.account), change, self._account, self._find))
        budgets = tuple([budget.id for budget in change.budgets]) if change.budgets else ()
        account, owner, labels = self._numbers(change, budgets)
        row = (name, account, change.usd_micros, *labels, change.created_ns)
        self._open.put(name, (change.account, budgets, change.usd_micros, row))
        self._stage.write(PUT_RESERVATION, (*row, owner, change.expires_ns))

    def settle(self, change: Settle) -> None:
        name, usage = change.id, change.usage
        counts = bounded_counts(usage)
        held = self._open.take(name)
        if held is None:
            if not self._is_settled(name):
                raise NotFoundError(f"nothing was reserved under {name}", step="settle")
            if change.once:
                raise ConflictError(f"the reservation {name} was settled before", step="settle")
            return
        account, budgets, usd_micros, row = held
        counters = [self._account(budget) for budget in budgets] if budgets else ()
        self._put(settled(self._account(account), counters, usd_micros, usage.usd_micros, self._account))
        self._last_settled = max(self._last_settled, name)
        self._stage.write(DELETE_RESERVATION, (name,))
        self._stage.write(PUT_CALL, (*row, change.settled_ns, OUTCOMES.index(change.outcome), *counts))

    def flush(self) -> None:
        """Have the accounts and totals written that the batch changed."""
        accounts = self._stage.rows(PUT_ACCOUNT)
        for account_id in self._touched:
            account = self._accounts.get(account_id)
            if account is not None:
                accounts.append(self._account_row(account))
        self._touched.clear()
        calls = self._stage.rows(PUT_CALL)
        if calls:
            self._stage.rows(ADD_TOTAL).extend(_totals(calls))

    def reload(self) -> None:
        self._touched.clear()
        self._accounts.clear()
        self._labels.clear()
        self._open.clear()
        (self._last_settled,) = self._connection.execute(_LAST_SETTLED).fetchone()
        for account, budgets, *row in self._connection.execute(_RESERVATIONS).fetchall():
            counters = tuple(self._names.name(int(number)) for number in budgets.split(",") if number)
            self._open.learn(row[0], (account, counters, row[2], tuple(row)))

    def _put(self, accounts: Iterable[Account]) -> None:
        for account in accounts:
            self._accounts.put(account.id, account)
            self._touched.add(account.id)

    def _account(self, account_id: str) -> Account:
        account = self._accounts.get(account_id)
        if account is None:
            account = self._find(account_id)
        if account is None:
            raise NotFoundError(f"there is no account {account_id}", step="reserve")
        return account

    def _find(self, account_id: str) -> Account | None:
        known = self._accounts.get(account_id)
        if known is not None:
            return known
        row = self._connection.execute(_ACCOUNT, (self._names.known(account_id),)).fetchone()
        if row is None:
            return None
        parent, limit, spent, held, is_closed, is_counter, resets_s = row
        account = Account(account_id, parent, limit, spent, held, bool(is_closed), bool(is_counter), resets_s)
        return self._accounts.learn(account_id, account)

    def _numbers(self, change: Reserve, budgets: tuple[str, ...]) -> _Labels:
        """What a row names, as numbers: looked up once for all alike."""
        names = (
            change.account,
            change.owner,
            change.principal,
            change.key_id,
            change.provider,
            change.model,
            change.tag,
            change.run_id,
            change.team,
        )
        labels = (names, budgets)
        numbers = self._labels.get(labels)
        if numbers is None:
            counters = ",".join(map(str, sorted(map(self._names.number, budgets))))
            account, owner, *others = map(self._names.number, (*names, counters))
            numbers = account, owner, tuple(others)
            self._labels.put(labels, numbers)
        return numbers

    def _account_row(self, account: Account) -> Row:
        return (
            self._names.number(account.id),
            None if account.parent is None else self._names.number(account.parent),
            account.limit_usd_micros,
            account.spent_usd_micros,
            account.held_usd_micros,
            int(account.closed),
            int(account.counter),
            account.resets_s,
        )

    def _is_settled(self, reservation_id: str) -> bool:
        """Ids that begin with their time lie beyond all that were settled: the store is seldom asked."""
        if reservation_id > self._last_settled:
            return False
        if any(call[0] == reservation_id for call in self._stage.rows(PUT_CALL)):  # by this batch
            return True
        query = "SELECT 1 FROM calls WHERE id = ?"
        return self._connection.execute(query, (reservation_id,)).fetchone() is not None


def _totals(calls: Iterable[Row]) -> list[Row]:
    """Add calls of the same total up, so that a batch writes each total once."""
    sums: dict[Row, list[int]] = {}
    for row in calls:
        _, _, _, principal, key, provider, model, tag, _, team, _, _, settled_ns, _, *used = row
        total = (settled_ns // DAY_NS, key, principal, team, provider, model, tag)
        counts = sums.setdefault(total, [0, 0, 0, 0])
        counts[0] += 1
        counts[1] += used[0]
        counts[2] += used[1]
        counts[3] += used[2]
    return [(*total, *counts) for total, counts in sums.items()]
