"""A log that passes 65,536 entries: tiles two levels up, proofs and a start from the stored tiles."""

import hashlib
import sqlite3
from pathlib import Path

from tests.adapters.sqlite.support import SystemClock, SystemEntropy, open_books
from tests.contract.changes import append

from macroslow.adapters.sqlite import SqliteBooks
from macroslow.crypto.quad import Quad, Root
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.tree import Edge, root_of, verify_consistency, verify_inclusion

FILLED = 256 * 256 - 100
SIZE = 256 * 256 + 256 + 7


def fill(path: Path) -> None:
    """Write `FILLED` leaves, and their tiles by the definition, past the writer: sealing them takes long."""
    leaves = [b"MSL1" + n.to_bytes(74, "big") for n in range(FILLED)]
    edge = Edge()
    tiles = [tile for leaf in leaves for tile in edge.append(leaf_hash(leaf))]
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO names VALUES (1, 'filler')")
        connection.executemany("INSERT INTO entries VALUES (?, ?, x'', 1)", enumerate(leaves))
        connection.executemany(
            "INSERT INTO tiles VALUES (?, ?, ?, ?)",
            [(tile.level, tile.index, tile.data, root_of(split(tile.data))) for tile in tiles],
        )
    connection.close()


def split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + 32] for at in range(0, len(hashes), 32)]


async def test_a_log_that_passes_65536_entries_is_proved_and_starts_again(tmp_path: Path) -> None:
    books = await open_books(tmp_path / "books.sqlite")
    await books.close()
    fill(tmp_path / "books.sqlite")

    books = await open_books(tmp_path / "books.sqlite")
    await books.commit(*(append(n) for n in range(FILLED, SIZE)))
    head = await books.head()
    hashes = [leaf_hash(leaf) for leaf in await books.leaves(0, SIZE)]
    assert (head.size, head.root) == (SIZE, root_of(hashes))
    assert await books.tile(2, 0, 1) == root_of(hashes[: 256 * 256])
    await books.close()

    books = await open_books(tmp_path / "books.sqlite")
    assert await books.head() == head
    for index in (0, 65_535, 65_536, 65_791, 65_792, SIZE - 1):
        proof = await books.inclusion_proof(index, SIZE)
        verify_inclusion(hashes[index], index, SIZE, head.root, proof)
    for size in (255, 65_535, 65_536, 65_537, 65_792):
        proof = await books.consistency_proof(size, SIZE)
        verify_consistency(size, root_of(hashes[:size]), SIZE, head.root, proof)
    (entry,) = await books.commit(append(SIZE))
    assert (await books.head()).root == root_of([*hashes, leaf_hash(entry.leaf)])
    await books.close()


async def test_what_the_tiles_say_of_each_other_agrees(tmp_path: Path) -> None:
    """The root kept beside a tile, which a start trusts, is that of its hashes."""
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.close()
    fill(path)
    books = await open_books(path)
    await books.commit(*(append(n) for n in range(FILLED, FILLED + 400)))
    await books.close()
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT hashes, root FROM tiles ORDER BY level, number").fetchall()
    connection.close()
    assert len(rows) == 257 + 1
    assert all(root_of(split(hashes)) == root for hashes, root in rows)


async def test_a_start_reads_tiles_and_not_the_whole_log(tmp_path: Path) -> None:
    books = await open_books(tmp_path / "books.sqlite")
    await books.commit(*(append(n) for n in range(256 * 5 + 9)))
    head = await books.head()
    await books.close()
    books = await open_books(tmp_path / "books.sqlite")
    assert await books.head() == head
    assert await books.tile(1, 0, 5) is not None
    await books.close()


async def test_subject_keys_are_sealed_by_the_four_layers(tmp_path: Path) -> None:
    entropy = SystemEntropy()
    roots = [Root(hashlib.sha256(bytes([n])).digest()[:16], 1, entropy.random(64)) for n in range(4)]

    async def opened() -> SqliteBooks:
        return await SqliteBooks.open(
            tmp_path / "books.sqlite", sealer=Quad(roots, entropy), entropy=entropy, clock=SystemClock()
        )

    books = await opened()
    appended = await books.commit(append(1, "alice"), append(2, "bob"))
    await books.close()
    books = await opened()
    assert [await books.entry(n) for n in (0, 1)] == appended
    appended += await books.commit(append(3, "alice"))
    assert await books.entry(2) == appended[2]
    await books.close()
