"""Changes with the facts filled in that a test does not care about, and what tests ask of any books."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

from macroslow.metering.ledger import Reserve, Settle, Usage
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books
from macroslow.workflow.journal import AcceptRun

LATE_NS = 4 * 10**18  # in the year 2096


def reserve(name: str, account: str, usd_micros: int, **facts: Any) -> Reserve:
    """A reservation of alice's; `facts` are fields of it."""
    usual = {"principal": "alice", "key_id": "k1", "provider": "openai", "model": "small", "created_ns": 1}
    owned = {"owner": "gateway", "expires_ns": LATE_NS}
    return Reserve(name, account, usd_micros, **{**usual, **owned, **facts})


def settle(
    name: str, usd_micros: int, *, settled_ns: int = 2, outcome: str = "ok", once: bool = False
) -> Settle:
    return Settle(name, Usage(10, 20, usd_micros), settled_ns, outcome, once)


def append(number: int = 0, subject: str = "alice") -> Append:
    return Append(Event(EventType.CHAT_COMPLETED, 1_000 + number, subject, {"number": number}))


def accept(name: str, principal: str = "alice", owner: str = "gateway") -> AcceptRun:
    return AcceptRun(name, principal, 5, "ab" * 32, 120, "agent://tests", None, owner)


async def money(books: Books, name: str) -> tuple[int, int]:
    """Spent and held of an account."""
    account = await books.account(name)
    assert account is not None
    return account.spent_usd_micros, account.held_usd_micros


async def refusals(attempts: Iterator[Awaitable[object]]) -> list[BaseException]:
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    return [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
