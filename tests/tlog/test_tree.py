"""The tree against RFC 6962's definition, the published roots, and every forged proof we can think of."""

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.errors import VerificationError
from macroslow.tlog import tree
from macroslow.tlog.ports import TreeHead

HASHES = [hashlib.sha256(b"leaf %d" % number).digest() for number in range(65_537 + 300)]
EDGES = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_536 + 257]

# Of the Certificate Transparency project's reference tests: leaves, and the root after each.
PUBLISHED = [
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
]


class Stored:
    """The tiles of one growing tree, as a store keeps them: full ones, and the edge's partial ones."""

    def __init__(self) -> None:
        self.edge = tree.Edge()
        self.tiles: dict[tuple[int, int], bytes] = {}

    def grow(self, size: int) -> None:
        for leaf_hash in HASHES[self.edge.head().size : size]:
            for tile in self.edge.append(leaf_hash):
                assert len(tile.data) == 8192
                assert tile.root == tree.tile_root(tile.data)
                assert (tile.level, tile.index) not in self.tiles
                self.tiles[tile.level, tile.index] = tile.data

    def read_tile(self, level: int, index: int, width: int) -> bytes:
        """Refuses what a tree of this size does not have, and partial tiles wider than they are."""
        assert 1 <= width <= 256
        data = self.tiles.get((level, index)) or self.edge.partial_tile(level)
        assert len(data) >= width * 32, (level, index, width)
        return data[: width * 32]


def stored(size: int) -> Stored:
    store = Stored()
    store.grow(size)
    return store


@pytest.fixture(scope="module")
def large() -> Stored:
    return stored(len(HASHES))


_ROOTS: dict[int, bytes] = {}


def root(size: int) -> bytes:
    return _ROOTS.setdefault(size, tree.root_of(HASHES[:size]))


def test_the_published_roots_are_ours() -> None:
    edge, hashes = tree.Edge(), []
    for leaf, expected in PUBLISHED:
        hashes.append(hashlib.sha256(b"\0" + bytes.fromhex(leaf)).digest())
        edge.append(hashes[-1])
        assert edge.head() == TreeHead(len(hashes), bytes.fromhex(expected))
        assert tree.root_of(hashes).hex() == expected


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    assert tree.Edge().head() == TreeHead(0, hashlib.sha256(b"").digest())
    assert tree.root_of([]) == hashlib.sha256(b"").digest()


def test_the_head_is_the_definition_at_each_size_that_matters() -> None:
    store = Stored()
    for size in EDGES:
        store.grow(size)
        assert store.edge.head() == TreeHead(size, root(size))


def test_tiles_hold_what_the_tiles_standard_says(large: Stored) -> None:
    for (level, index), data in large.tiles.items():
        span = 256**level
        for position in (0, 1, 255):
            start = (index * 256 + position) * span
            assert data[position * 32 : position * 32 + 32] == root_of_range(start, start + span)
    assert len(large.tiles) == 65_536 // 256 + 1 + 1
    assert large.edge.partial_tile(0) == b"".join(HASHES[65_536 + 256 :])
    assert large.edge.partial_tile(1) == tree.tile_root(large.tiles[0, 256])
    assert large.edge.partial_tile(2) == tree.tile_root(large.tiles[1, 0])
    assert large.edge.partial_tile(7) == b""


def root_of_range(start: int, end: int) -> bytes:
    return tree.root_of(HASHES[start:end])


@pytest.mark.parametrize("size", EDGES)
def test_an_edge_rebuilt_from_tiles_goes_on_like_the_old_one(size: int) -> None:
    store = stored(size)
    rebuilt = tree.Edge.rebuild(size, store.read_tile)
    assert rebuilt.head() == store.edge.head()
    for leaf_hash in HASHES[size : size + 300]:
        assert rebuilt.append(leaf_hash) == store.edge.append(leaf_hash)
    assert rebuilt.head() == store.edge.head()


def test_a_copy_that_is_dropped_leaves_no_trace() -> None:
    store = stored(510)
    before = store.edge.head()
    attempt = store.edge.copy()
    for leaf_hash in HASHES[:10]:
        attempt.append(leaf_hash)
    assert store.edge.head() == before
    store.grow(600)
    assert store.edge.head() == TreeHead(600, root(600))


def test_a_tile_of_another_width_is_found_when_it_is_read() -> None:
    with pytest.raises(VerificationError, match="wide"):
        tree.Edge.rebuild(300, lambda level, index, width: bytes(32 * (width - 1)))
    with pytest.raises(VerificationError, match="wide"):
        tree.inclusion_proof(0, 300, lambda level, index, width: bytes(32 * (width + 1)))


def path_by_definition(index: int, hashes: list[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962 section 2.1.1, word for word."""
    if len(hashes) == 1:
        return []
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    if index < split:
        return [*path_by_definition(index, hashes[:split]), tree.root_of(hashes[split:])]
    return [*path_by_definition(index - split, hashes[split:]), tree.root_of(hashes[:split])]


def subproof_by_definition(first: int, hashes: list[bytes], *, is_whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of RFC 6962 section 2.1.2, word for word."""
    if first == len(hashes):
        return [] if is_whole else [tree.root_of(hashes)]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    if first <= split:
        return [
            *subproof_by_definition(first, hashes[:split], is_whole=is_whole),
            tree.root_of(hashes[split:]),
        ]
    rest = subproof_by_definition(first - split, hashes[split:], is_whole=False)
    return [*rest, tree.root_of(hashes[:split])]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_proofs_are_the_definitions_and_verify(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 700) | st.sampled_from([255, 256, 257, 512, 513]))
    store, hashes = stored(size), HASHES[:size]
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion_proof(index, size, store.read_tile)
    assert proof == path_by_definition(index, hashes)
    tree.verify_inclusion(hashes[index], index, size, root(size), proof)
    first = data.draw(st.integers(1, size))
    proof = tree.consistency_proof(first, size, store.read_tile)
    assert proof == subproof_by_definition(first, hashes, is_whole=True)
    tree.verify_consistency(first, root(first), size, root(size), proof)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_proof_proves_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    store = stored(size)
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion_proof(index, size, store.read_tile)
    other = data.draw(st.integers(0, size - 1).filter(lambda other: other != index))
    with pytest.raises(VerificationError):
        tree.verify_inclusion(HASHES[other], index, size, root(size), proof)
    with pytest.raises(VerificationError):
        tree.verify_inclusion(HASHES[index], other, size, root(size), proof)
    for forged in forgeries(proof, data):
        with pytest.raises(VerificationError):
            tree.verify_inclusion(HASHES[index], index, size, root(size), forged)
    first = data.draw(st.integers(1, size - 1))
    proof = tree.consistency_proof(first, size, store.read_tile)
    with pytest.raises(VerificationError):
        tree.verify_consistency(first, HASHES[0] if first > 1 else HASHES[1], size, root(size), proof)
    for forged in forgeries(proof, data):
        with pytest.raises(VerificationError):
            tree.verify_consistency(first, root(first), size, root(size), forged)


def forgeries(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """Changed, cut, grown and reordered proofs; all of them other lists than `proof`."""
    forged = [[*proof, HASHES[0]], [HASHES[0], *proof]]
    if proof:
        position = data.draw(st.integers(0, len(proof) - 1))
        forged.append([*proof[:position], HASHES[7], *proof[position + 1 :]])
        forged += [proof[:-1], proof[1:], [*proof[:position], proof[position][:31], *proof[position + 1 :]]]
        forged += [[*proof[:position], proof[position] + b"\0", *proof[position + 1 :]]]
    return [one for one in [*forged, proof[::-1]] if one != proof]


def test_a_true_root_under_a_false_size_proves_nothing(large: Stored) -> None:
    """The sizes are part of what is proved, not a remark beside it."""
    proof = tree.inclusion_proof(7, 8, large.read_tile)
    tree.verify_inclusion(HASHES[7], 7, 8, root(8), proof)
    for index, size in ((0, 1), (1, 2), (3, 4), (7, 16), (8, 9), (15, 16)):
        with pytest.raises(VerificationError):
            tree.verify_inclusion(HASHES[7], index, size, root(8), proof)
    proof = tree.inclusion_proof(0, 8, large.read_tile)
    for size in (1, 2, 4, 9, 16):
        with pytest.raises(VerificationError):
            tree.verify_inclusion(HASHES[0], 0, size, root(8), proof)
    proof = tree.consistency_proof(4, 8, large.read_tile)
    for first, second in ((4, 9), (4, 16), (2, 8), (5, 8), (3, 8)):
        with pytest.raises(VerificationError):
            tree.verify_consistency(first, root(4), second, root(8), proof)


@pytest.mark.parametrize("first", [0, 1, 256, 257, 65_536, 65_537])
def test_large_trees_extend_small_ones(first: int, large: Stored) -> None:
    size = 65_537
    proof = tree.consistency_proof(first, size, large.read_tile)
    tree.verify_consistency(first, root(first), size, root(size), proof)
    if first:
        with pytest.raises(VerificationError):
            tree.verify_consistency(first, root(first), size, root(65_536), proof)


@pytest.mark.parametrize("index", [0, 255, 256, 32_767, 65_535, 65_536])
def test_entries_of_a_large_tree_are_proved_with_few_hashes(index: int, large: Stored) -> None:
    proof = tree.inclusion_proof(index, 65_537, large.read_tile)
    assert len(proof) <= 17
    tree.verify_inclusion(HASHES[index], index, 65_537, root(65_537), proof)


def test_each_tile_is_read_at_most_once_a_proof(large: Stored) -> None:
    seen: list[tuple[int, int]] = []

    def read_tile(level: int, index: int, width: int) -> bytes:
        seen.append((level, index))
        return large.read_tile(level, index, width)

    tree.inclusion_proof(40_000, 65_537, read_tile)
    assert len(seen) == len(set(seen)) <= 4


def test_an_empty_tree_comes_before_every_tree_and_equal_trees_need_no_proof() -> None:
    tree.verify_consistency(0, tree.EMPTY_ROOT, 5, root(5), [])
    tree.verify_consistency(0, tree.EMPTY_ROOT, 0, tree.EMPTY_ROOT, [])
    tree.verify_consistency(5, root(5), 5, root(5), [])


@pytest.mark.parametrize(
    ("first", "first_root", "second", "second_root", "proof"),
    [
        (0, b"\1" * 32, 5, root(5), []),
        (0, tree.EMPTY_ROOT, 0, root(1), []),
        (5, root(5), 5, root(6), []),
        (5, root(5), 5, root(5), [root(5)]),
        (0, tree.EMPTY_ROOT, 5, root(5), [root(5)]),
        (6, root(6), 5, root(5), []),
        (-1, root(1), 5, root(5), []),
        (3, root(3), 5, root(5), []),
        (4, root(4), 5, root(5), []),
    ],
)
def test_other_claims_about_two_trees_are_refused(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: list[bytes]
) -> None:
    with pytest.raises(VerificationError):
        tree.verify_consistency(first, first_root, second, second_root, proof)


@pytest.mark.parametrize(
    "ask",
    [
        lambda read: tree.inclusion_proof(5, 5, read),
        lambda read: tree.inclusion_proof(-1, 5, read),
        lambda read: tree.inclusion_proof(0, 0, read),
        lambda read: tree.consistency_proof(6, 5, read),
        lambda read: tree.consistency_proof(-1, 5, read),
    ],
)
def test_a_proof_of_what_is_not_there_is_a_mistake_of_the_caller(
    ask: Callable[[tree.ReadTile], object],
) -> None:
    with pytest.raises(ValueError):
        ask(stored(5).read_tile)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (2**70, 5)])
def test_no_entry_is_proved_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(VerificationError):
        tree.verify_inclusion(HASHES[0], index, size, root(5), [])
