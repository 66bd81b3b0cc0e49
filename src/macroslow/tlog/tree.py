"""The Merkle tree of the log: hashes, tiles and proofs. Pure: tiles come from a function.

Hashes and proofs follow RFC 6962 (section 2.1; verification as in RFC 9162, section 2.1.3), tiles
follow C2SP tlog-tiles: tile `index` of `level` holds up to 256 hashes of 32 bytes, each the root
of 256**level leaves; a partial tile is the first `width` of them.

`Edge` is what a writer keeps in memory. `root_of` is the slow, obvious reference.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.errors import VerificationError
from macroslow.tlog.ports import TreeHead

HASH_BYTES: Final = 32
TILE_WIDTH: Final = 256
TILE_HEIGHT: Final = 8
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

ReadTile = Callable[[int, int, int], bytes]
"""Level, index, width -> exactly width * 32 bytes: the tile, or the first `width` hashes of it."""


@dataclass(frozen=True, slots=True)
class CompletedTile:
    """A full tile (8,192 bytes), which never changes again, and its hash in the tile above."""

    level: int
    index: int
    data: bytes
    root: bytes


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01, left, right)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def tile_root(data: bytes) -> bytes:
    """Return the root over a power of two of hashes: of a full tile, its hash in the tile above."""
    row = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root by the definition of RFC 6962: for tests and small trees."""
    if not leaf_hashes:
        return EMPTY_ROOT
    if len(leaf_hashes) == 1:
        return leaf_hashes[0]
    split = _split(len(leaf_hashes))
    return node_hash(root_of(leaf_hashes[:split]), root_of(leaf_hashes[split:]))


class Edge:
    """The right edge of a tree: enough to append and to know the root, a few KiB at any size.

    Appending costs two hashes on average. Take a `copy` before a batch, and keep the one or the
    other depending on whether the batch was committed.
    """

    __slots__ = ("_partial", "_roots", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._roots: list[bytes] = []  # of the complete subtrees, largest first: the bits of the size
        self._partial: list[bytes] = [b""]  # the partial tile of each level

    @classmethod
    def rebuild(cls, size: int, read_tile: ReadTile) -> "Edge":
        """Return the edge of the stored tree of `size` leaves; reads at most one tile a level."""
        edge = cls()
        edge._size = size
        edge._partial = [
            _read(read_tile, level, size >> (TILE_HEIGHT * (level + 1)), width) if width else b""
            for level, width in enumerate(_widths(size))
        ]
        tiles = _Tiles(size, read_tile)
        edge._roots = [tiles.root(start, end) for start, end in _complete_subtrees(0, size)]
        return edge

    @property
    def size(self) -> int:
        """The number of leaves; what `head` says too, without hashing."""
        return self._size

    def copy(self) -> "Edge":
        """Return an independent edge of the same tree."""
        twin = Edge()
        twin._size = self._size
        twin._roots = self._roots.copy()
        twin._partial = self._partial.copy()
        return twin

    def append(self, leaf_hash: bytes) -> list[CompletedTile]:
        """Add one leaf; return the tiles that it completes, lowest level first."""
        completed: list[CompletedTile] = []
        node, height, size = leaf_hash, 0, self._size
        self._partial[0] += node
        while size >> height & 1:  # a complete left sibling waits
            node = node_hash(self._roots.pop(), node)
            height += 1
            if height % TILE_HEIGHT == 0:
                level = height // TILE_HEIGHT
                completed.append(CompletedTile(level - 1, size >> height, self._partial[level - 1], node))
                self._partial[level - 1] = b""
                if level == len(self._partial):
                    self._partial.append(b"")
                self._partial[level] += node
        self._roots.append(node)
        self._size = size + 1
        return completed

    def head(self) -> TreeHead:
        """Return size and root; about one hash for each bit that is set in the size."""
        if not self._roots:
            return TreeHead(0, EMPTY_ROOT)
        root = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return TreeHead(self._size, root)

    def partial_tile(self, level: int) -> bytes:
        """Return the hashes of the unfinished tile of `level`; empty if there is none."""
        return self._partial[level] if level < len(self._partial) else b""


def inclusion_proof(index: int, size: int, read_tile: ReadTile) -> list[bytes]:
    """Return the hashes that prove leaf `index` in the tree of `size` (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"no entry {index} in a tree of {size}")
    tiles = _Tiles(size, read_tile)
    start, end, siblings = 0, size, list[tuple[int, int]]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return [tiles.root(*sibling) for sibling in reversed(siblings)]


def consistency_proof(first: int, second: int, read_tile: ReadTile) -> list[bytes]:
    """Return the hashes that prove the tree of `first` a prefix of that of `second` (section 2.1.2).

    Empty for equal sizes, and for an empty first tree, which is a prefix of every tree.
    """
    if not 0 <= first <= second:
        raise ValueError(f"a tree of {first} entries cannot come before one of {second}")
    if first in (0, second):
        return []
    tiles = _Tiles(second, read_tile)
    start, end, needed = 0, second, list[tuple[int, int]]()
    while end != first:
        middle = start + _split(end - start)
        if first <= middle:
            needed.append((middle, end))
            end = middle
        else:
            needed.append((start, middle))
            start = middle
    if start > 0:  # else the first tree is a complete subtree, and its root is known
        needed.append((start, end))
    return [tiles.root(*subtree) for subtree in reversed(needed)]


def verify_inclusion(leaf_hash: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Return if `proof` puts the leaf at `index` of the tree; else VerificationError."""
    if not 0 <= index < size:
        raise VerificationError(f"there is no entry {index} in a tree of {size} entries")
    node, last = leaf_hash, size - 1
    for sibling in proof:
        if len(sibling) != HASH_BYTES or last == 0:
            raise VerificationError("the inclusion proof has the wrong length")
        if index & 1 or index == last:
            node = node_hash(sibling, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    if last != 0 or node != root:
        raise VerificationError("the inclusion proof does not lead from the entry to the tree's root")


def verify_consistency(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return if the second tree extends the first; else VerificationError."""
    if not 0 <= first <= second:
        raise VerificationError(f"a tree of {second} entries cannot extend one of {first}")
    if first == 0 and first_root != EMPTY_ROOT:
        raise VerificationError("the empty tree has another root than it must")
    if first == second and first_root != second_root:
        raise VerificationError(f"two different trees claim to be the one of {first} entries")
    if first in (0, second):
        extends = not proof
    else:
        extends = _leads_to_both(first, first_root, second, second_root, proof)
    if not extends:
        raise VerificationError(f"the tree of {second} entries does not extend the one of {first}")


def _leads_to_both(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """RFC 9162 section 2.1.4.2, for 0 < first < second."""
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    if not path or any(len(node) != HASH_BYTES for node in path):
        return False
    index, last = first - 1, second - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    old = new = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            new = node_hash(new, node)
        index, last = index >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _widths(size: int) -> list[int]:
    """The width of the partial tile at each level."""
    levels = max(1, -(-size.bit_length() // TILE_HEIGHT))
    return [size >> (TILE_HEIGHT * level) & (TILE_WIDTH - 1) for level in range(levels)]


def _complete_subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The ranges of the complete subtrees of [start, end), largest first; `start` is aligned to it."""
    for height in reversed(range((end - start).bit_length())):
        if (end - start) >> height & 1:
            yield start, start + (1 << height)
            start += 1 << height


def _read(read_tile: ReadTile, level: int, index: int, width: int) -> bytes:
    data = read_tile(level, index, width)
    if len(data) != width * HASH_BYTES:
        raise VerificationError(f"the stored tile {level}/{index} is not {width} hashes wide")
    return data


class _Tiles:
    """Subtree roots of one tree, from its tiles. Each tile is read once."""

    def __init__(self, size: int, read_tile: ReadTile) -> None:
        self._size = size
        self._read_tile = read_tile
        self._seen: dict[tuple[int, int], bytes] = {}

    def root(self, start: int, end: int) -> bytes:
        """The root over the leaves [start, end): a node of the tree, or its right edge."""
        roots = [self._complete(*subtree) for subtree in _complete_subtrees(start, end)]
        root = roots.pop()
        while roots:
            root = node_hash(roots.pop(), root)
        return root

    def _complete(self, start: int, end: int) -> bytes:
        height = (end - start).bit_length() - 1
        level = height // TILE_HEIGHT
        first, count = start >> (TILE_HEIGHT * level), 1 << height % TILE_HEIGHT
        data = self._tile(level, first // TILE_WIDTH)
        offset = first % TILE_WIDTH * HASH_BYTES
        return tile_root(data[offset : offset + count * HASH_BYTES])

    def _tile(self, level: int, index: int) -> bytes:
        if (level, index) not in self._seen:
            width = min(TILE_WIDTH, (self._size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)
            self._seen[level, index] = _read(self._read_tile, level, index, width)
        return self._seen[level, index]
