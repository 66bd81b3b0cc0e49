"""A start goes on from what was signed, and from nothing else."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.services.house import House, Keys, open_house

from macroslow.errors import ConfigurationError, VerificationError
from macroslow.services.signing.resume_signing import resume_signing
from macroslow.tlog import tree
from macroslow.tlog.checkpoint import verify_checkpoint
from macroslow.tlog.ports import Mark, StoreCheckpoint, TreeHead

NOTHING = TreeHead(0, tree.EMPTY_ROOT)


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys.new()


@pytest.fixture
async def house(tmp_path: Path, keys: Keys) -> AsyncIterator[House]:
    async with open_house(tmp_path, keys=keys) as opened:
        yield opened


class Marked:
    """The house's signer after a start: what it knows of before is its mark alone."""

    def __init__(self, keys: Keys, mark: TreeHead = NOTHING) -> None:
        self.key = keys.log
        self.last = mark
        self.mark: Mark | None = None

    async def adopt(self, signed_note: bytes, proof: Sequence[bytes]) -> None:
        found = verify_checkpoint(signed_note, self.key.public)
        if found.size >= self.last.size:
            tree.verify_consistency(self.last.size, self.last.root, found.size, found.root, proof)
            self.last = TreeHead(found.size, found.root)

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        tree.verify_consistency(self.last.size, self.last.root, size, root, proof)
        self.last = TreeHead(size, root)
        return self.key.sign_checkpoint(size, root, time_s=1)


async def signed(house: House, entries: int) -> TreeHead:
    """Append so many entries and have the tree signed and stored."""
    await house.note(entries)
    await house.checkpoints.newest()
    return await house.books.head()


async def test_a_new_log_has_nothing_to_resume(house: House, keys: Keys) -> None:
    subject = Marked(keys)
    await resume_signing(house.books, subject)
    assert subject.last == NOTHING
    assert await house.books.checkpoint() is None


async def test_without_a_mark_the_stored_checkpoint_counts(house: House, keys: Keys) -> None:
    head = await signed(house, 5)
    await house.note(3)
    subject = Marked(keys)
    await resume_signing(house.books, subject)
    assert subject.last == head


async def test_a_mark_older_than_the_store_is_caught_up(house: House, keys: Keys) -> None:
    old = await signed(house, 5)
    head = await signed(house, 3)
    subject = Marked(keys, old)
    await resume_signing(house.books, subject)
    assert subject.last == head


async def test_what_was_signed_and_not_stored_is_stored_now(house: House, keys: Keys) -> None:
    await signed(house, 5)
    await house.note(2)
    marked = await house.books.head()  # its signature left, and the machine stopped
    await house.note(4)
    await resume_signing(house.books, Marked(keys, marked))
    stored = await house.books.checkpoint()
    assert stored is not None
    assert stored[0] == marked.size
    assert verify_checkpoint(stored[1], house.log_key).root == marked.root


async def test_an_older_copy_is_refused_with_both_sizes_and_both_repairs(house: House, keys: Keys) -> None:
    await signed(house, 5)
    with pytest.raises(ConfigurationError, match="has 5 entries, and 9 were signed") as caught:
        await resume_signing(house.books, Marked(keys, TreeHead(9, b"\x01" * 32)))
    assert "backup" in caught.value.fix
    assert "audit fork" in caught.value.fix


@pytest.mark.parametrize("more", [-1, 3])
async def test_a_copy_that_was_started_by_mistake_is_the_first_thing_to_look_at(
    more: int, house: House, keys: Keys
) -> None:
    await signed(house, 5)
    subject = Marked(keys, TreeHead(5 - more, b"\x01" * 32))
    subject.mark = Mark(subject.last, "/marks/ABC", "/srv/copy", "2027-01-15T08:00:00+00:00")
    with pytest.raises(ConfigurationError, match="signed last from /srv/copy at 2027-01-15T08:00") as caught:
        await resume_signing(house.books, subject)
    assert caught.value.fix.startswith("if /srv/copy is a copy that was started by mistake: end it")
    assert "mv /marks/ABC /marks/ABC.bad" in caught.value.fix
    assert "audit fork" in caught.value.fix


async def test_where_this_folder_signed_last_it_is_told_when(house: House, keys: Keys) -> None:
    await signed(house, 5)
    subject = Marked(keys, TreeHead(9, b"\x01" * 32))
    subject.mark = Mark(subject.last, "/marks/ABC", "", "2027-01-15T08:00:00+00:00")
    with pytest.raises(ConfigurationError, match=r"\(signed last at 2027-01-15T08:00") as caught:
        await resume_signing(house.books, subject)
    assert caught.value.fix.startswith("restore the newest backup")


async def test_a_log_that_was_declared_forked_is_not_served(house: House, keys: Keys) -> None:
    subject = Marked(keys, await signed(house, 5))
    await resume_signing(house.books, subject)
    at = "2027-01-15T08:00:00+00:00"
    subject.mark = Mark(subject.last, "/marks/ABC", "", at, "macroslow/x.2", at)
    with pytest.raises(ConfigurationError, match=r"declared forked at 2027.*: it is macroslow/x\.2 now"):
        await resume_signing(house.books, subject)


@pytest.mark.parametrize("more", [0, 1, 4])
async def test_other_entries_than_the_signed_ones_are_refused(more: int, house: House, keys: Keys) -> None:
    await house.note(5 + more)
    with pytest.raises(ConfigurationError, match="first 5 are not those"):
        await resume_signing(house.books, Marked(keys, TreeHead(5, b"\x01" * 32)))


async def test_a_log_shorter_than_its_own_checkpoint_is_refused(
    house: House, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.note(2)

    async def cut_off() -> tuple[int, bytes]:
        return 7, keys.log.sign_checkpoint(7, b"\x01" * 32, time_s=1)

    monkeypatch.setattr(house.books, "checkpoint", cut_off)
    with pytest.raises(ConfigurationError, match="has 2 entries, and 7 were signed"):
        await resume_signing(house.books, Marked(keys))


async def test_a_stored_checkpoint_of_another_key_is_not_believed(house: House, keys: Keys) -> None:
    await house.note(2)
    head = await house.books.head()
    await house.books.commit(StoreCheckpoint(2, Keys.new().log.sign_checkpoint(2, head.root, time_s=1)))
    with pytest.raises(VerificationError, match="pinned log key"):
        await resume_signing(house.books, Marked(keys))


async def test_what_another_signer_of_the_key_noted_meanwhile_is_gone_on_from(
    house: House, keys: Keys
) -> None:
    old = await signed(house, 5)
    head = await signed(house, 3)

    class Beside(Marked):
        """Finds once, when it is asked to adopt, that another one signed the newer tree."""

        async def adopt(self, signed_note: bytes, proof: Sequence[bytes]) -> None:
            if self.last == old:
                self.last = head
            await super().adopt(signed_note, proof)

    subject = Beside(keys, old)
    await resume_signing(house.books, subject)
    assert subject.last == head
