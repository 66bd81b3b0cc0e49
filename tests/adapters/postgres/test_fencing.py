"""Whoever lost the lock, the session or the name writes nothing any more: no leaf, no row, no checkpoint."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.postgres.proxy import breaking_proxy
from tests.adapters.postgres.support import open_books, sound
from tests.contract.changes import append, money, reserve
from tests.postgres import PostgresServer
from tests.tlog.logs import ORIGIN, octets

from macroslow.adapters.postgres import _presence, _writer
from macroslow.errors import BudgetExhaustedError, ConflictError, LogUnavailableError
from macroslow.metering.ledger import OpenAccount
from macroslow.ports import Statement
from macroslow.services.signing.checkpoint_log import CheckpointLog
from macroslow.tlog.checkpoint import Checkpoint, LogPrivateKey, verify_checkpoint
from macroslow.tlog.ports import StoreCheckpoint, TreeHead
from macroslow.tlog.tree import EMPTY_ROOT, verify_consistency

KEY = LogPrivateKey(ORIGIN, octets("ed25519", 32), octets("ml-dsa-44", 32))
STOPPED = Path(__file__).with_name("stopped_writer.py")
ROOT = Path(__file__).parents[3]
END_SESSIONS = (
    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
    " WHERE state = 'idle in transaction' AND application_name = 'macroslow'"
)


class EndedSessions:
    """In the place of `_writer.write`: for so many batches the session is gone before or after it."""

    def __init__(self, server: PostgresServer, times: int, *, after: bool) -> None:
        self._server = server
        self._write = _writer.write
        self._after = after
        self.left = times

    async def __call__(self, *of_a_batch: Any) -> None:
        if self._after:
            await self._write(*of_a_batch)
        if self.left:
            self.left -= 1
            # Nothing to end: the machine stalled for so long that the server has ended it.
            assert self._server.sql(END_SESSIONS) in {"t", ""}
        if not self._after:
            await self._write(*of_a_batch)


class Signing:
    """One process's signer: of the log's one key, and of what itself signed last."""

    def __init__(self) -> None:
        self.last = TreeHead(0, EMPTY_ROOT)

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        verify_consistency(self.last.size, self.last.root, size, root, proof)
        self.last = TreeHead(size, root)
        return KEY.sign_checkpoint(size, root, time_s=1)

    async def answer(self, statement: Statement) -> str:
        raise NotImplementedError

    async def history(self, statement: Statement) -> str:
        raise NotImplementedError


@pytest.mark.parametrize("after", [False, True], ids=["before-it-wrote", "before-its-commit"])
async def test_a_batch_whose_session_the_server_ends_is_made_with_another(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    books = await open_books(server.url)
    await books.commit(OpenAccount("a", 100), append(0))
    monkeypatch.setattr(_writer, "write", EndedSessions(server, _writer.ATTEMPTS - 1, after=after))
    (entry,) = await books.commit(reserve("r", "a", 10), append(1))
    assert entry.index == 1
    assert await money(books, "a") == (0, 10)
    await sound(books)
    await books.close()


async def test_a_batch_that_never_gets_through_is_refused_and_nothing_of_it_stays(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = await open_books(server.url)
    await books.commit(OpenAccount("a", 100), append(0))
    monkeypatch.setattr(_writer, "write", EndedSessions(server, _writer.ATTEMPTS, after=True))
    with pytest.raises(LogUnavailableError):
        await books.commit(reserve("r", "a", 10), append(1))
    (entry,) = await books.commit(append(2))
    assert entry.index == 1
    assert await money(books, "a") == (0, 0)
    await sound(books)
    await books.close()


async def test_a_batch_that_is_made_again_is_decided_again(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await open_books(server.url, "one"), await open_books(server.url, "two")
    await one.commit(OpenAccount("a", 10), append(0))
    ended = EndedSessions(server, 1, after=True)

    async def another_is_quicker(*of_a_batch: Any) -> None:
        if ended.left:
            await ended(*of_a_batch)
            await two.commit(reserve("r2", "a", 6), append(1))
        else:
            await ended(*of_a_batch)

    monkeypatch.setattr(_writer, "write", another_is_quicker)
    outcomes = await asyncio.gather(
        one.commit(reserve("r1", "a", 6), append(2)), one.commit(append(3)), return_exceptions=True
    )
    assert isinstance(outcomes[0], BudgetExhaustedError)
    assert isinstance(outcomes[1], list)
    assert outcomes[1][0].index == 2
    assert await money(one, "a") == (0, 6)
    await sound(one)
    await one.close()
    await two.close()


async def test_a_process_that_is_stopped_over_a_batch_cannot_write_it_later(server: PostgresServer) -> None:
    books = await open_books(server.url)
    with subprocess.Popen(
        [sys.executable, str(STOPPED), server.url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": "."},
    ) as process:
        either = os.WSTOPPED | os.WEXITED | os.WNOWAIT
        became = await asyncio.to_thread(os.waitid, os.P_PID, process.pid, either)
        assert became is not None
        assert became.si_code == os.CLD_STOPPED
        (between,) = await books.commit(append(10))
        process.send_signal(signal.SIGCONT)
        said, _ = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0
    its = {int(index): leaf for index, leaf in (line.split() for line in said.splitlines())}
    assert between.index == 1, "the batch it was stopped over was never committed"
    assert sorted(its) == [0, 2, 3]
    leaves = await books.leaves(0, 9)
    assert [leaf.hex() for leaf in leaves] == [its[0], between.leaf.hex(), its[2], its[3]]
    await sound(books)
    await books.close()


async def test_without_the_lock_too_the_log_does_not_fork(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await open_books(server.url, "one"), await open_books(server.url, "two")
    await one.commit(OpenAccount("a", 10), append(0))
    write, both = _writer.write, asyncio.Barrier(2)

    async def write_together(*of_a_batch: Any) -> None:
        await both.wait()
        await write(*of_a_batch)

    monkeypatch.setattr(_writer, "LOCK", "SELECT 'no lock'")
    monkeypatch.setattr(_writer, "write", write_together)
    outcomes = await asyncio.gather(
        one.commit(append(1)), two.commit(append(2), reserve("r", "a", 1)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {list, ConflictError}
    await sound(one)
    assert await one.head() == await two.head()
    await one.close()
    await two.close()


async def test_a_process_whose_name_went_over_to_another_writes_nothing(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_presence, "WATCH_S", 3_600.0)  # it does not see what befell it
    former = await open_books(server.url, "one")
    await former.commit(OpenAccount("a", 10), append(0))
    low = _presence.lock_of("one") & 0xFFFFFFFF
    server.sql(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE objid::bigint = {low}")
    successor = await open_books(server.url, "one")
    with pytest.raises(LogUnavailableError, match="goes by the name of one"):
        await former.commit(reserve("r", "a", 1), append(1))
    assert await money(former, "a") == (0, 0)
    (entry,) = await successor.commit(append(1))
    assert entry.index == 1
    assert await former.head() == await successor.head(), "reading does no harm"
    await former.close()
    await successor.close()


async def test_what_became_of_a_commit_is_not_guessed_once_the_name_went_over(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_a_batch_of_the_successor() -> Iterator[float]:
        batch = secrets.token_hex(16)
        server.sql(f"UPDATE macroslow.owners SET epoch = epoch + 1, batch = '\\x{batch}'")
        yield 0.0

    async with breaking_proxy(server.folder) as proxy:
        books = await open_books(proxy.url)
        monkeypatch.setattr(_writer, "ASK_AGAIN_S", after_a_batch_of_the_successor())
        proxy.broken = "after"
        with pytest.raises(LogUnavailableError, match="not known"):
            await books.commit(append())
        await books.close()


async def test_a_checkpoint_that_comes_late_does_not_take_the_place_of_a_newer_one(
    server: PostgresServer,
) -> None:
    one, two = await open_books(server.url, "one"), await open_books(server.url, "two")
    await one.commit(append(0))
    signed_by_one = StoreCheckpoint((await one.head()).size, b"of one, for 1")
    await two.commit(append(1))
    await two.commit(StoreCheckpoint((await two.head()).size, b"of two, for 2"))
    await one.commit(signed_by_one)
    assert await one.checkpoint() == await two.checkpoint() == (2, b"of two, for 2")
    with pytest.raises(ValueError, match="size 3"):
        await one.commit(StoreCheckpoint(3, b"of a tree that is not there"))
    await one.close()
    await two.close()


async def test_what_two_processes_sign_is_one_log(server: PostgresServer) -> None:
    books = [await open_books(server.url, owner) for owner in ("one", "two")]
    signers = [Signing(), Signing()]
    logs = [CheckpointLog(mine, signer) for mine, signer in zip(books, signers, strict=True)]
    signed: list[Checkpoint] = []

    async def process(number: int) -> None:
        for event in range(12):
            (entry,) = await books[number].commit(append(event, f"of process {number}"))
            size, note = await logs[number].covering(entry.index)
            signed.append(verify_checkpoint(note, KEY.public))
            assert entry.index < size == signed[-1].size

    await asyncio.gather(process(0), process(1))
    head = await books[0].head()
    for each in signed:
        proof = await books[0].consistency_proof(each.size, head.size)
        verify_consistency(each.size, each.root, head.size, head.root, proof)
    stored = await books[0].checkpoint()
    assert stored is not None
    assert stored[0] == verify_checkpoint(stored[1], KEY.public).size == max(each.size for each in signed)
    assert await books[1].checkpoint() == stored
    for one in books:
        await one.close()


async def test_what_another_process_signed_is_not_signed_once_more(server: PostgresServer) -> None:
    one, two = await open_books(server.url, "one"), await open_books(server.url, "two")
    first, second = Signing(), Signing()
    of_one, of_two = CheckpointLog(one, first), CheckpointLog(two, second)
    await one.commit(append(0))
    await of_one.sign_all()
    await two.commit(append(1))
    await of_two.sign_all()
    await of_one.sign_all()
    assert (first.last.size, second.last.size) == (1, 2)
    await one.commit(append(2))
    await of_one.sign_all()
    assert (first.last.size, second.last.size) == (3, 2)
    await one.close()
    await two.close()
