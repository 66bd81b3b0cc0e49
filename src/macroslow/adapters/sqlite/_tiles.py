"""Tiles from the store: complete ones as they are, the growing ones from the edge or from below."""

import sqlite3

from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.tree import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, Edge, ReadTile


def stored_tile(connection: sqlite3.Connection, level: int, index: int) -> bytes | None:
    """Return a complete tile, or None if that one is not complete yet."""
    query = "SELECT hashes FROM tiles WHERE level = ? AND number = ?"
    row = connection.execute(query, (level, index)).fetchone()
    return None if row is None else bytes(row[0])


def tile_reader(connection: sqlite3.Connection, edge: Edge) -> ReadTile:
    """Return a reader of the tree's tiles; `edge` is not newer than what `connection` sees."""
    size = edge.size

    def read_tile(level: int, index: int, width: int) -> bytes:
        tile = stored_tile(connection, level, index)
        if tile is None and index == size >> TILE_HEIGHT * (level + 1):
            tile = edge.partial_tile(level)
        return (tile or b"")[: width * HASH_BYTES]

    return read_tile


def rebuild(connection: sqlite3.Connection) -> Edge:
    """Return the edge of the stored log. VerificationError if an entry or tile that it needs is missing."""
    (size,) = connection.execute("SELECT coalesce(max(n) + 1, 0) FROM entries").fetchone()

    def read_tile(level: int, index: int, width: int) -> bytes:
        tile = stored_tile(connection, level, index)
        if tile is not None:
            return tile[: width * HASH_BYTES]
        return b"".join(_hashes_below(connection, level, index * TILE_WIDTH, width))

    return Edge.rebuild(size, read_tile)


def _hashes_below(connection: sqlite3.Connection, level: int, first: int, width: int) -> list[bytes]:
    if level == 0:
        query = "SELECT leaf FROM entries WHERE n >= ? AND n < ? ORDER BY n"
        return [leaf_hash(leaf) for (leaf,) in connection.execute(query, (first, first + width))]
    query = "SELECT root FROM tiles WHERE level = ? AND number >= ? AND number < ? ORDER BY number"
    return [root for (root,) in connection.execute(query, (level - 1, first, first + width))]
