"""kill -9 in the middle of concurrent calls: nothing that was acknowledged is lost, nothing is forked.

And no budget is passed, before or after what was left open is charged; none is left held.
"""

import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.adapters.sqlite.support import SystemClock, open_books

from macroslow.adapters.sqlite import SqliteBooks
from macroslow.services.recovery.recover_after_crash import RecoverAfterCrash
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.tree import root_of, verify_consistency

ROUNDS = 5
VICTIM = Path(__file__).with_name("crash_victim.py")


@dataclass
class Acknowledged:
    """What the victims said before they died."""

    reserved: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    settled: dict[str, int] = field(default_factory=dict)
    leaves: dict[int, str] = field(default_factory=dict)
    heads: list[tuple[int, bytes]] = field(default_factory=list)

    def hear(self, line: str) -> None:
        match line.split():
            case ["reserved", name]:
                self.reserved.add(name)
            case ["refused", budget]:
                self.refused.add(budget)
            case ["settled", name, cost, index, leaf]:
                assert int(index) not in self.leaves, "an index was given twice"
                self.settled[name] = int(cost)
                self.leaves[int(index)] = leaf
            case ["head", size, root]:
                self.heads.append((int(size), bytes.fromhex(root)))
            case _:
                raise AssertionError(f"not a line of the victim: {line!r}")


def run_and_kill(path: Path, name: str, after_lines: int, said: Acknowledged) -> None:
    """Start a victim, hear it say `after_lines` lines, kill it, and hear what it had said until then."""
    with subprocess.Popen(
        [sys.executable, str(VICTIM), str(path), name],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={"PYTHONPATH": "."},
    ) as victim:
        assert victim.stdout is not None
        for _ in range(after_lines):
            said.hear(victim.stdout.readline())
        victim.send_signal(signal.SIGKILL)
        for line in victim.stdout:
            said.hear(line)
    assert victim.returncode == -signal.SIGKILL


async def check(books: SqliteBooks, said: Acknowledged) -> None:
    open_now = {held.id for held in await books.open_reservations()}
    (usage,) = await books.usage("key")
    assert await books.audit_ledger() == []
    account = await books.account("key/k1")
    assert account is not None
    assert account.spent_usd_micros == usage.usd_micros >= sum(said.settled.values())
    assert account.held_usd_micros == 100 * len(open_now)
    assert not open_now & said.settled.keys(), "a settlement was lost"
    assert len(said.reserved) <= usage.calls + len(open_now), "a reservation was lost"

    head = await books.head()
    leaves = await books.leaves(0, head.size)
    assert head.root == root_of([leaf_hash(leaf) for leaf in leaves])
    assert {index: leaves[index].hex() for index in said.leaves} == said.leaves
    for size, root in said.heads:
        proof = await books.consistency_proof(size, head.size)
        verify_consistency(size, root, head.size, head.root, proof)


async def check_budgets(books: SqliteBooks, *, idle: bool) -> None:
    """No budget is passed, the counters are the rows' sums, and nothing is held once all is closed."""
    assert await books.audit_ledger() == []
    everything, *days = await books.budget_accounts(0)
    account = await books.account("key/k1")
    assert account is not None
    assert everything.spent_usd_micros == account.spent_usd_micros
    assert everything.held_usd_micros == account.held_usd_micros
    assert sum(day.spent_usd_micros for day in days) == account.spent_usd_micros
    for counter in (everything, *days):
        assert counter.limit_usd_micros is not None
        assert counter.spent_usd_micros + counter.held_usd_micros <= counter.limit_usd_micros
        assert not (idle and counter.held_usd_micros)


async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    said = Acknowledged()
    chance = random.Random(20_261_122)
    for round_number in range(ROUNDS):
        run_and_kill(path, f"round{round_number}", chance.randint(150, 900), said)
        books = await open_books(path)
        await check(books, said)
        await check_budgets(books, idle=False)
        await RecoverAfterCrash(books, SystemClock(), "again")()
        assert await books.open_reservations() == []
        await check_budgets(books, idle=True)
        await books.close()
    assert len(said.settled) > 200
    assert len(said.heads) > ROUNDS
    assert said.refused, "no budget was ever exhausted: the storm was too small"
