"""Checkpoints on demand: shared, monotonic, and unhurt by callers that go away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.adapters.signer.trees import LOG_KEY, engine_of
from tests.contract.fake_books import FakeBooks
from tests.machine import until
from tests.services.house import CLOCK, House

from macroslow.adapters.signer import HighWaterMarks, LocalSigner
from macroslow.errors import LogUnavailableError
from macroslow.services.signing.checkpoint_log import CheckpointLog
from macroslow.tlog.checkpoint import verify_checkpoint
from macroslow.tlog.ports import StoreCheckpoint


async def test_a_checkpoint_covers_the_entry_and_is_the_tree_as_it_is(house: House) -> None:
    await house.note(3)
    size, note = await house.checkpoints.covering(1)
    head = await house.books.head()
    checkpoint = verify_checkpoint(note, house.log_key)
    assert (size, checkpoint.size, checkpoint.root) == (head.size, head.size, head.root)
    assert await house.books.checkpoint() == (size, note)


async def test_an_entry_that_is_covered_already_costs_no_signature(house: House) -> None:
    await house.note(3)
    first = await house.checkpoints.covering(2)
    assert await house.checkpoints.covering(0) == first
    assert house.signer.asked == 1


async def test_callers_that_wait_together_share_one_signature(house: House) -> None:
    await house.note(20)
    covering = await asyncio.gather(*(house.checkpoints.covering(index) for index in range(20)))
    assert house.signer.asked == 1
    assert len(set(covering)) == 1


async def test_who_comes_while_an_older_tree_is_signed_gets_a_newer_one(house: House) -> None:
    await house.note(1)
    house.signer.leave = asyncio.Event()
    first = asyncio.create_task(house.checkpoints.covering(0))
    await until(lambda: house.signer.asked == 1)
    await house.note(1)
    newest = (await house.books.head()).size
    second = asyncio.create_task(house.checkpoints.covering(newest - 1))
    house.signer.leave.set()
    assert (await first)[0] < newest
    assert (await second)[0] == newest
    assert house.signer.asked == 2


async def test_a_caller_that_goes_away_while_the_signer_signs_harms_no_later_proof(house: House) -> None:
    """The next caller came while the signature was still made, and started from the tree before it."""
    await house.note(2)
    await house.checkpoints.covering(0)
    await house.note(2)
    house.signer.leave = asyncio.Event()
    gone = asyncio.create_task(house.checkpoints.covering(3))
    await until(lambda: house.signer.asked == 2)
    gone.cancel()
    await asyncio.wait({gone})
    await house.note(2)
    following = [asyncio.create_task(house.checkpoints.covering(index)) for index in (3, 4, 5)]
    await asyncio.sleep(0)
    house.signer.leave.set()
    sizes = [size for size, _ in await asyncio.gather(*following)]
    assert all(size > index for size, index in zip(sizes, (3, 4, 5), strict=True))
    assert house.signer.asked == 3


async def test_a_storm_of_callers_of_whom_half_go_away_leaves_a_sound_log(house: House) -> None:
    for round_ in range(8):
        await house.note(1)
        size = (await house.books.head()).size
        callers = [asyncio.create_task(house.checkpoints.covering(size - 1)) for _ in range(6)]
        for _ in range(round_):
            await asyncio.sleep(0)
        for caller in callers[::2]:
            caller.cancel()
        await asyncio.wait(callers)
        for caller in callers[1::2]:
            assert caller.result()[0] >= size


async def test_a_checkpoint_that_cannot_be_kept_fails_its_caller_and_no_later_one(house: House) -> None:
    await house.note(1)
    house.books.fail_once(StoreCheckpoint)
    with pytest.raises(LogUnavailableError, match="space"):
        await house.checkpoints.covering(0)
    assert verify_checkpoint((await house.checkpoints.covering(0))[1], house.log_key).size > 0
    await house.note(1)
    size = (await house.books.head()).size
    assert (await house.checkpoints.covering(size - 1))[0] == size
    assert (await house.books.checkpoint() or (0, b""))[0] == size


async def test_a_signer_that_is_away_for_a_while_is_asked_again(house: House) -> None:
    await house.note(1)
    house.signer.broken = True
    failed = await asyncio.gather(*(house.checkpoints.covering(0) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in failed] == [LogUnavailableError] * 3
    house.signer.broken = False
    assert (await house.checkpoints.covering(0))[0] == (await house.books.head()).size


async def test_an_entry_that_is_not_there_is_refused_and_nothing_is_signed(house: House) -> None:
    size = (await house.books.head()).size
    with pytest.raises(LogUnavailableError, match=f"entry {size} is not in"):
        await house.checkpoints.covering(size)
    assert house.signer.asked == 0


async def test_after_a_restart_the_stored_checkpoint_is_taken_up(house: House) -> None:
    await house.note(2)
    size, note = await house.checkpoints.covering(1)
    again = CheckpointLog(house.books, house.signer)
    await again.load()
    assert await again.covering(1) == (size, note)
    await house.note(1)
    newest = (await house.books.head()).size
    assert verify_checkpoint(await again.newest(), house.log_key).size == newest


class Windows:
    """The pauses between the windows: each lasts until the test goes on to the next."""

    def __init__(self) -> None:
        self._begun, self._over = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def sleep(self, _seconds: float) -> None:
        self._begun.release()
        await self._over.acquire()

    async def first(self) -> None:
        async with asyncio.timeout(30):
            await self._begun.acquire()

    async def next(self) -> None:
        self._over.release()
        await self.first()


@asynccontextmanager
async def signing_in_windows(house: House) -> AsyncIterator[Windows]:
    """Unsigned entries are signed once, and then in each window that the test opens."""
    windows = Windows()
    signing = asyncio.create_task(house.checkpoints.run(1.0, CLOCK, windows.sleep))
    try:
        await windows.first()
        yield windows
    finally:
        signing.cancel()
        await asyncio.wait({signing})


async def test_what_is_unsigned_is_signed_in_windows_and_only_then(house: House) -> None:
    await house.note(3)
    size = (await house.books.head()).size
    async with signing_in_windows(house) as windows:
        assert (house.signer.asked, house.signer.last.size) == (1, size)
        for _ in range(3):
            await windows.next()
        assert house.signer.asked == 1
        await house.note(1)
        assert house.signer.asked == 1
        await windows.next()
        assert (house.signer.asked, house.signer.last.size) == (2, size + 1)


async def test_a_signer_that_is_away_is_told_of_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.signer.broken = True
    await house.note(1)
    async with signing_in_windows(house) as windows:
        for _ in range(5):
            await windows.next()
        assert house.signer.asked == 6
        house.signer.broken = False
        await windows.next()
        assert house.signer.last.size == (await house.books.head()).size
    assert caplog.messages == ["the log is not signed: the signer is away", "the log is signed again"]


async def test_an_empty_log_has_nothing_to_sign(house: House) -> None:
    books = FakeBooks()
    empty = CheckpointLog(books, house.signer)
    await empty.load()
    await empty.sign_all()
    assert house.signer.asked == 0
    with pytest.raises(LogUnavailableError, match="empty"):
        await empty.published()


async def test_without_witnesses_the_newest_checkpoint_is_the_published_one(house: House) -> None:
    await house.note(3)
    await house.checkpoints.sign_all()
    note = (await house.checkpoints.published()).note
    assert verify_checkpoint(note, house.log_key).size == (await house.books.head()).size


async def test_a_log_that_is_signed_anew_shows_the_new_note(house: House) -> None:
    await house.note(1)
    before = await house.checkpoints.newest()
    asked = house.signer.asked
    await house.checkpoints.renew()
    assert house.signer.asked == asked + 1
    after = await house.checkpoints.newest()
    stored = await house.books.checkpoint()
    assert stored == ((await house.books.head()).size, after)
    assert verify_checkpoint(before, house.log_key).size == verify_checkpoint(after, house.log_key).size


async def test_processes_with_one_key_and_one_folder_of_marks_sign_one_log_in_turn(
    house: House, tmp_path: Path
) -> None:
    signers = [LocalSigner(engine_of(marks=HighWaterMarks(tmp_path / "marks"))) for _ in range(2)]
    logs = [CheckpointLog(house.books, signer) for signer in signers]
    for turn in range(5):
        await house.note(3)
        note = await logs[turn % 2].newest()
        assert verify_checkpoint(note, LOG_KEY.public).size == 3 * (turn + 1)
    await house.note(3)
    await asyncio.gather(*(log.newest() for log in logs))
    assert max(signer.last.size for signer in signers) == 18


async def test_a_tree_that_was_noted_and_not_stored_by_another_process_is_gone_on_from(
    house: House, tmp_path: Path
) -> None:
    ours, died = (LocalSigner(engine_of(marks=HighWaterMarks(tmp_path / "marks"))) for _ in range(2))
    log = CheckpointLog(house.books, ours)
    await house.note(3)
    await log.newest()
    await house.note(3)
    head = await house.books.head()
    await died.adopt((await house.books.checkpoint() or (0, b""))[1], [])
    await died.checkpoint(6, head.root, await house.books.consistency_proof(3, 6))
    await house.note(3)
    assert verify_checkpoint(await log.newest(), LOG_KEY.public).size == 9
