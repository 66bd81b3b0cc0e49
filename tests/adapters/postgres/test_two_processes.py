"""Two real processes on one database: one budget, one log, and what is left when one of them is killed."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.adapters.postgres.support import open_books
from tests.postgres import postgres_server
from tests.tlog.logs import ORIGIN, octets

from macroslow.adapters.postgres import PostgresBooks
from macroslow.adapters.system import SystemClock
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.services.calls.reap_reservations import ReapReservations
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.ports import StoreCheckpoint
from macroslow.tlog.tree import verify_consistency

GATEWAY = Path(__file__).with_name("gateway.py")
ROOT = Path(__file__).parents[3]
RESERVED = 2_500
PIPE_BYTES = 4_096  # a process is hardly ahead of what was heard of it, so a kill or a stop finds it at work
DOLLAR = 1_000_000


@dataclass
class Acknowledged:
    """What the processes said."""

    reserved: set[str] = field(default_factory=set)
    settled: dict[str, int] = field(default_factory=dict)
    leaves: dict[int, str] = field(default_factory=dict)
    heads: list[tuple[int, bytes]] = field(default_factory=list)
    refused: int = 0
    lost: int = 0
    done: int = 0

    def hear(self, line: str) -> None:
        match line.split():
            case ["reserved", name]:
                self.reserved.add(name)
            case ["refused", _]:
                self.refused += 1
            case ["lost", _]:
                self.lost += 1
            case ["done"]:
                self.done += 1
            case ["settled", name, cost, index, leaf]:
                assert int(index) not in self.leaves, "an index was given twice"
                self.settled[name] = int(cost)
                self.leaves[int(index)] = leaf
            case ["head", size, root]:
                self.heads.append((int(size), bytes.fromhex(root)))
            case _:
                raise AssertionError(f"not a line of a gateway: {line!r}")


class Gateway:
    """One process."""

    def __init__(self, url: str, owner: str, calls: int, said: Acknowledged) -> None:
        self._said = said
        self.process = subprocess.Popen(
            [sys.executable, str(GATEWAY), url, owner, str(calls)],
            stdout=subprocess.PIPE,
            pipesize=PIPE_BYTES,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": "."},
        )

    async def listen(self, lines: int = 10**9) -> None:
        """Hear so many lines of it, or all."""
        assert self.process.stdout is not None
        for _ in range(lines):
            line = await asyncio.to_thread(self.process.stdout.readline)
            if not line:
                return
            self._said.hear(line)

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.listen()
        self.close()

    def close(self) -> int:
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresBooks]:
    books = await open_books(url, "observer")
    yield books
    await books.close()


async def check_log(books: PostgresBooks, said: Acknowledged) -> None:
    """Every leaf that was acknowledged is where it was said to be, and every root is a prefix of the last."""
    log_key = LogPrivateKey(ORIGIN, octets("ed25519", 32), octets("ml-dsa-44", 32))
    head = await books.head()
    note = log_key.sign_checkpoint(head.size, head.root, time_s=1)
    await books.commit(StoreCheckpoint(head.size, note))
    verified = await VerifyLog(books, log_key.public)()
    assert (verified.entries, verified.signed) == (head.size, head.size)
    leaves = await books.leaves(0, head.size)
    assert {index: leaves[index].hex() for index in said.leaves} == said.leaves
    for size, root in said.heads:
        proof = await books.consistency_proof(size, head.size)
        verify_consistency(size, root, head.size, head.root, proof)


async def test_a_thousand_calls_of_two_processes_do_not_pass_a_dollar(url: str) -> None:
    said = Acknowledged()
    gateways = [Gateway(url, owner, 500, said) for owner in ("one", "two")]
    await asyncio.gather(*(gateway.listen() for gateway in gateways))
    assert [gateway.close() for gateway in gateways] == [0, 0]
    assert said.done == 2
    # On a busy machine the server may have been too slow for a call, which is then told that it was lost.
    assert 1_000 + 2 - said.lost <= len(said.reserved) + said.refused <= 1_000 + 2
    assert {name.split("-")[0] for name in said.settled} == {"one", "two"}
    async with opened(url) as books:
        open_now = {held.id for held in await books.open_reservations()}
        assert len(open_now) <= said.lost
        assert said.reserved - said.settled.keys() <= open_now
        total = await books.account("all/total")
        assert total is not None
        assert total.held_usd_micros == RESERVED * len(open_now)
        assert DOLLAR - 2 * RESERVED * 16 < total.spent_usd_micros + total.held_usd_micros <= DOLLAR
        assert total.spent_usd_micros == sum(said.settled.values())
        assert said.refused > 0, "the budget was never tried"
        assert len(said.heads) > 20
        await check_log(books, said)


async def test_what_a_killed_process_held_is_settled_by_another(url: str) -> None:
    said = Acknowledged()
    one, two = (Gateway(url, owner, 300, said) for owner in ("one", "two"))
    living = asyncio.create_task(two.listen())
    await one.listen(120)
    await one.kill()
    async with opened(url) as books:
        assert await books.is_alive("two")
        while await books.is_alive("one"):  # until the server has noticed
            await asyncio.sleep(0.02)
        left = {held.id for held in await books.open_reservations() if held.owner == "one"}
        reaped = await ReapReservations(books, SystemClock(), books.is_alive)()
        await living
        assert two.close() == 0
        assert reaped.calls == len(left)
        assert "one-long" in left
        assert not left & said.settled.keys(), "a settlement was lost"
        assert await books.open_reservations() == []
        total = await books.account("all/total")
        assert total is not None
        assert total.held_usd_micros == 0
        assert sum(said.settled.values()) + len(left) * RESERVED <= total.spent_usd_micros <= DOLLAR
        await check_log(books, said)


async def test_a_restart_of_the_server_in_the_middle_doubles_and_loses_nothing() -> None:
    said = Acknowledged()
    with postgres_server(durable=True) as server:
        gateways = [Gateway(server.url, owner, 250, said) for owner in ("one", "two")]
        for number in (signal.SIGINT, signal.SIGQUIT):  # a shutdown, then a crash
            await asyncio.gather(*(gateway.listen(80) for gateway in gateways))
            working = [asyncio.create_task(gateway.listen(40)) for gateway in gateways]
            await asyncio.to_thread(server.restart, number)
            await asyncio.gather(*working)
            assert not said.done
        await asyncio.gather(*(gateway.listen() for gateway in gateways))
        assert [gateway.close() for gateway in gateways] == [0, 0]
        assert said.done == 2
        async with opened(server.url) as books:
            open_now = {held.id for held in await books.open_reservations()}
            assert not open_now & said.settled.keys(), "a settlement was lost"
            total = await books.account("all/total")
            assert total is not None
            assert total.held_usd_micros == RESERVED * len(open_now)
            assert sum(said.settled.values()) <= total.spent_usd_micros <= DOLLAR
            await check_log(books, said)
