"""Who acts: the outcome of authentication, and what everything above keys its state by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """One caller, by one credential.

    `name` identifies the caller in the log and is the subject of its personal data; `account`
    is the ledger account that pays; `grants` are URI patterns that bound every document it runs.
    `weight` is its share beside others where calls must wait; the two budgets are what its key may
    spend in a day and in a month (UTC), None: no such bound.
    """

    name: str
    account: str
    scopes: frozenset[str]
    grants: tuple[str, ...] = ()
    key_id: str = ""
    team: str = ""
    weight: int = 1
    day_usd_micros: int | None = None
    month_usd_micros: int | None = None
