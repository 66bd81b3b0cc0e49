"""What was spent, by whom and on what, and how much of every budget is left.

Days are those of UTC and of the settlement, both ends of a span inclusive. Spending is the ledger's:
what a call under way will cost is not in it, but is held, and told as held.
"""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.errors import BadRequestError
from macroslow.metering.budgets import BudgetRule, Scope, Spender, budgets_of, own_rules
from macroslow.metering.ledger import USAGE_GROUPS, Account, UsageRow
from macroslow.ports import NS_PER_S, Clock
from macroslow.services.spending.budgets_in_force import read_in_force
from macroslow.services.verbs import utc
from macroslow.workflow.books import Books

_SHARED: Final = frozenset({Scope.TAG, Scope.ALL})
"""Whose counters tell a client of others' spending, and are not his to see."""
MAX_SHOWN: Final = 40  # of what is no day


@dataclass(frozen=True, slots=True)
class ReportUsage:
    """Reads the books, changes nothing. `rules` are the operator's budgets."""

    books: Books
    rules: tuple[BudgetRule, ...]
    clock: Clock

    async def by(self, group: str, *, first_day: str = "", last_day: str = "") -> dict[str, object]:
        """Everything that was settled, by a word of USAGE_GROUPS. BadRequestError for what is none."""
        if group not in USAGE_GROUPS:
            raise BadRequestError(f"no report by {group!r}", fix=f"--by {'|'.join(USAGE_GROUPS)}")
        require_days(first_day, last_day)
        rows = await self.books.usage(group, first_day=first_day, last_day=last_day)
        told = [_row(row, group) for row in rows]
        if group == "key":
            owners = {record.id: record.principal for record in await self.books.keys()}
            told = [_of_key(row, owners.get(row.key, "")) for row in rows]
        return {"by": group, "rows": told}

    async def days(self, provider: str, first_day: str, last_day: str) -> dict[str, object]:
        """What was settled with one provider, by day and model, to compare with its own report."""
        require_days(first_day, last_day)
        rows = await self.books.daily_usage(provider, first_day, last_day)
        return {"rows": [asdict(row) for row in rows]}

    async def budgets(self) -> dict[str, object]:
        """The budget of every key, and every counter that is in use in its present period."""
        in_force = await read_in_force(self.books, self.clock.now_ns())
        return {"budgets": [_told(one.account) for one in in_force.budgets]}

    async def own(
        self, principal: Principal, *, first_day: str = "", last_day: str = ""
    ) -> dict[str, object]:
        """What one principal spent with all its keys, and the budgets that bind the key it came with.

        From the first of this month if no day is given. BadRequestError for what is no day.
        """
        first_day = first_day or f"{utc(self.clock.now_ns())[:7]}-01"
        require_days(first_day, last_day)
        span = {"first_day": first_day, "last_day": last_day}
        groups = {
            f"by_{group}": [
                _row(row, group) for row in await self.books.usage(group, principal=principal.name, **span)
            ]
            for group in ("model", "day", "tag")
        }
        total = sum(row["usd_micros"] for row in groups["by_day"] if isinstance(row["usd_micros"], int))
        budgets = [_told(one) for one in await self._binding(principal)]
        return {
            "principal": principal.name,
            "from": first_day,
            "to": last_day or None,
            "usd_micros": total,
            **groups,
            "budgets": budgets,
        }

    async def _binding(self, principal: Principal) -> list[Account]:
        """The accounts that a call of the principal is held in now, whether or not one was."""
        own = await self.books.account(principal.account)
        found = [own] if own is not None and own.limit_usd_micros is not None else []
        spender = Spender(principal.key_id, principal.name, principal.team)
        rules = [rule for rule in (*self.rules, *own_rules(principal)) if rule.scope not in _SHARED]
        for budget in budgets_of(rules, spender, self.clock.now_ns()):
            known = await self.books.account(budget.id)
            spent, held = (known.spent_usd_micros, known.held_usd_micros) if known else (0, 0)
            limit, resets_s = budget.limit_usd_micros, budget.resets_s
            found.append(Account(budget.id, None, limit, spent, held, counter=True, resets_s=resets_s))
        return found


def _told(account: Account) -> dict[str, object]:
    resets_s = account.resets_s
    return {
        "budget": account.id,
        "limit_usd_micros": account.limit_usd_micros,
        "spent_usd_micros": account.spent_usd_micros,
        "held_usd_micros": account.held_usd_micros,
        "left_usd_micros": account.left_usd_micros,
        "resets_at": None if resets_s is None else utc(resets_s * NS_PER_S),
    }


def _row(row: UsageRow, group: str) -> dict[str, object]:
    """A line headed by what it is grouped by: `{"team": "lab", "calls": …}`."""
    return {
        group: row.key,
        "calls": row.calls,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "usd_micros": row.usd_micros,
    }


def _of_key(row: UsageRow, principal: str) -> dict[str, object]:
    """A key's line: also whose it is, and what its own account holds and may spend."""
    told = {"key": row.key, "principal": principal, **_row(row, "key")}
    return {**told, "held_usd_micros": row.held_usd_micros, "budget_usd_micros": row.limit_usd_micros}


def require_days(first_day: str, last_day: str) -> None:
    """Raise BadRequestError unless each is empty or a day, and they are in order."""
    for day in (first_day, last_day):
        if day and not _is_day(day):
            shown = repr(day if len(day) <= MAX_SHOWN else f"{day[:MAX_SHOWN]}…")
            raise BadRequestError(f"{shown} is not a day", fix="write for example 2026-01-31")
    if first_day and last_day and last_day < first_day:
        raise BadRequestError("the last day is before the first", fix="exchange them")


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
