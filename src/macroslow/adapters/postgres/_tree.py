"""The log's tree as this process knows it: grown from the stored leaves, checked against the stored root."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from macroslow.adapters.postgres._link import Connection
from macroslow.errors import LogUnavailableError, VerificationError
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.ports import TreeHead
from macroslow.tlog.tree import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, Edge, ReadTile

T = TypeVar("T")

CATCH_UP: Final = 1_024
"""Leaves that are read at once."""

_NEWER: Final = """
SELECT size, root, ARRAY(SELECT leaf FROM entries WHERE n >= $1 ORDER BY n LIMIT $2) FROM store
"""
_TILES: Final = """
SELECT t.level, t.number, t.hashes
FROM unnest($1::int[], $2::bigint[]) AS w (level, number) JOIN tiles t USING (level, number)
"""
_ROOTS: Final = "SELECT root FROM tiles WHERE level = $1 AND number >= $2 ORDER BY number LIMIT 256"
_LEAVES: Final = "SELECT leaf FROM entries WHERE n >= $1 ORDER BY n LIMIT 256"


class KnownTree:
    """`edge` is never changed, only replaced by that of a larger tree: it may be kept while others wait."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    @property
    def size(self) -> int:
        return self.edge.head().size

    async def head(self, connection: Connection) -> TreeHead:
        """Return size and root of the stored log."""
        for found in await connection.fetch(_NEWER, self.size, CATCH_UP):
            await self.grow(connection, *found)
        return self.edge.head()

    async def grow(self, connection: Connection, size: int, root: bytes, leaves: Sequence[bytes]) -> None:
        """Follow the stored log to `size`, where its root must be `root`; `leaves` are the first new ones.

        LogUnavailableError if it is no continuation of what is known: nothing may be built on it.
        """
        known = self.edge.head()
        if size < known.size:
            raise _fork(f"the database's log has {size} entries, this process has seen {known.size}")
        edge = self.edge if size == known.size else self.edge.copy()
        grown = known.size
        while grown < size:
            for leaf in leaves[: size - grown]:
                edge.append(leaf_hash(leaf))
            grown = edge.head().size
            if grown < size:
                rows = await connection.fetch(_LEAVES, grown)
                if not rows:
                    raise _fork(f"entry {grown} of the database's log is missing")
                leaves = [leaf for (leaf,) in rows]
        if edge.head().root != root:
            raise _fork(f"the {size} entries of the database's log are not those it was grown from")
        if size > self.size:
            self.edge = edge

    async def read(
        self, connection: Connection, size: int, indices: Sequence[int], prove: Callable[[ReadTile], T]
    ) -> T:
        """Return what `prove` makes of the tiles above the leaves `indices`; ValueError for no such tree."""
        if size > self.size:
            await self.head(connection)
        edge = self.edge
        committed = edge.head().size
        if size > committed:
            raise ValueError(f"no tree of {size} entries: the log has {committed}")
        levels = range(max(1, -(-committed.bit_length() // TILE_HEIGHT)))
        wanted = {(level, max(0, at) >> TILE_HEIGHT * (level + 1)) for at in indices for level in levels}
        rows = await connection.fetch(_TILES, [level for level, _ in wanted], [n for _, n in wanted])
        stored = {(level, number): bytes(hashes) for level, number, hashes in rows}

        def read_tile(level: int, index: int, width: int) -> bytes:
            tile = stored.get((level, index))
            if tile is None and index == committed >> TILE_HEIGHT * (level + 1):
                tile = edge.partial_tile(level)
            return (tile or b"")[: width * HASH_BYTES]

        return prove(read_tile)

    async def tile(self, connection: Connection, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile, or as many as there are."""
        at = index << TILE_HEIGHT * (level + 1)
        head = await self.head(connection)
        if not 0 <= at <= head.size:
            return b""
        return await self.read(connection, head.size, (at,), lambda tiles: tiles(level, index, width))


async def rebuild(connection: Connection) -> KnownTree:
    """Return the stored tree. VerificationError if an entry or tile that it needs is missing or another."""
    size: int = await connection.fetchval("SELECT size FROM store")
    tiles: dict[tuple[int, int], bytes] = {}
    level = 0
    while size >> TILE_HEIGHT * level:
        number = size >> TILE_HEIGHT * (level + 1)
        first = number * TILE_WIDTH
        if level == 0:
            hashes = [leaf_hash(leaf) for (leaf,) in await connection.fetch(_LEAVES, first)]
        else:
            hashes = [root for (root,) in await connection.fetch(_ROOTS, level - 1, first)]
        tiles[level, number] = b"".join(hashes)
        level += 1
    tree = KnownTree(
        Edge.rebuild(size, lambda level, index, width: tiles.get((level, index), b"")[: width * HASH_BYTES])
    )
    try:
        await tree.head(connection)
    except LogUnavailableError as error:
        raise VerificationError(error.detail) from error
    return tree


def _fork(what: str) -> LogUnavailableError:
    return LogUnavailableError(
        f"{what}: it was restored from an older copy, or altered",
        fix="stop every gateway; compare the database with the checkpoints that were kept (macroslow audit"
        " verify --since), and restart only on the true one",
    )
