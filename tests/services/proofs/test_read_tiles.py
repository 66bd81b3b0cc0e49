"""The log's files come from what is signed: nothing beyond, nothing of a payload, and no number believed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from tests.contract.fake_books import FakeBooks

from macroslow.errors import LogUnavailableError, NotFoundError
from macroslow.services.proofs.read_tiles import ReadTiles
from macroslow.services.signing.checkpoint_log import CheckpointLog
from macroslow.tlog.checkpoint import LogPrivateKey, verify_checkpoint
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.ports import Append
from macroslow.tlog.tiles import TileFile, unbundle
from macroslow.tlog.tree import root_of

KEY = LogPrivateKey("log.example/one", bytes(32), bytes(range(32)))


class Signer:
    """Signs what it is asked to: here nobody checks that it extends anything."""

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        return KEY.sign_checkpoint(size, root, time_s=1_800_000_000)


@dataclass
class House:
    """Books and what signs them."""

    books: FakeBooks = field(default_factory=FakeBooks)
    signer: Signer = field(default_factory=Signer)

    def __post_init__(self) -> None:
        self.checkpoints = CheckpointLog(self.books, self.signer)  # type: ignore[arg-type]

    async def note(self, count: int) -> None:
        events = [Event(EventType.SERVER_STARTED, number, "tests", {}) for number in range(count)]
        await self.books.commit(*map(Append, events))


@pytest.fixture
def house() -> House:
    return House()


async def signed(house: House, entries: int) -> tuple[ReadTiles, list[bytes]]:
    """Files of a log that has so many entries, all of them signed."""
    await house.note(entries)
    await house.checkpoints.newest()
    return ReadTiles(house.books, house.checkpoints), await house.books.leaves(0, entries)


async def test_tiles_and_entries_are_those_of_the_tree(house: House) -> None:
    read, leaves = await signed(house, 300)
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert await read("tile/0/000") == b"".join(hashes[:256])
    assert await read("tile/0/001.p/44") == b"".join(hashes[256:])
    assert await read("tile/1/000.p/1") == root_of(hashes[:256])
    assert unbundle(await read("tile/entries/000")) == leaves[:256]
    assert unbundle(await read("tile/entries/001.p/44")) == leaves[256:]


async def test_who_keeps_an_older_checkpoint_still_finds_its_narrower_tiles(house: House) -> None:
    read, leaves = await signed(house, 300)
    for width in (1, 100, 255):
        whole = b"".join(map(leaf_hash, leaves[:width]))
        assert await read(TileFile(0, 0, width).path) == whole
        assert unbundle(await read(TileFile(None, 0, width).path)) == leaves[:width]


BEYOND = [
    "tile/0/000.p/6",
    "tile/0/000.p/255",
    "tile/0/000",
    "tile/0/001.p/1",
    "tile/1/000.p/1",
    "tile/63/000.p/1",
    "tile/entries/000.p/6",
    "tile/entries/000",
    "tile/entries/" + "x999/" * 6 + "999",
    "tile/63/" + "x999/" * 6 + "999",
    "tile/0/000.p/05",
    "checkpoint/",
    "tile/checkpoint",
    "",
]


@pytest.mark.parametrize("path", BEYOND, ids=range(len(BEYOND)))
async def test_what_the_tree_does_not_have_is_not_there_and_not_looked_for(path: str, house: House) -> None:
    read, _ = await signed(house, 5)
    with pytest.raises(NotFoundError):
        await read(path)


async def test_entries_that_nobody_signed_for_are_not_served(house: House) -> None:
    read, _ = await signed(house, 5)
    await house.note(3)
    await read("tile/0/000.p/5")
    for path in ("tile/0/000.p/6", "tile/0/000.p/8", "tile/entries/000.p/8"):
        with pytest.raises(NotFoundError):
            await read(path)
    await house.checkpoints.newest()
    assert len(await read("tile/0/000.p/8")) == 8 * 32


async def test_what_another_process_signed_is_served_too(house: House) -> None:
    await signed(house, 5)
    ours = CheckpointLog(house.books, house.signer)  # type: ignore[arg-type]
    await ours.load()
    await house.note(3)
    await house.checkpoints.newest()
    assert len(await ReadTiles(house.books, ours)("tile/0/000.p/8")) == 8 * 32


async def test_a_tree_that_lost_a_tile_does_not_say_that_there_was_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, _ = await signed(house, 5)

    async def lost(*_: object) -> None:
        return None

    monkeypatch.setattr(type(house.books), "tile", lost)
    with pytest.raises(LogUnavailableError, match="lacks"):
        await read("tile/0/000.p/5")


async def test_the_checkpoint_is_a_file_too_and_covers_all_that_is_served(house: House) -> None:
    read, _ = await signed(house, 5)
    await house.note(1)
    size = verify_checkpoint(await read("checkpoint"), KEY.public).size
    assert len(await read(f"tile/0/000.p/{size}")) == size * 32
