"""Names of the log's files, each in one form alone, and what a bundle holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.errors import VerificationError
from macroslow.tlog.tiles import TileFile, bundle, files_of, levels_of, unbundle

LEVELS = st.none() | st.integers(0, 63)
INDEXES = st.integers(0, 2**63)
WIDTHS = st.integers(1, 256)


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("tile/0/x001/x234/067", TileFile(0, 1234067)),  # the standard's own example
        ("tile/0/000", TileFile(0, 0)),
        ("tile/63/000.p/1", TileFile(63, 0, 1)),
        ("tile/entries/x001/000.p/255", TileFile(None, 1000, 255)),
        ("tile/entries/999", TileFile(None, 999)),
    ],
)
def test_a_file_has_the_name_of_the_standard(path: str, file: TileFile) -> None:
    assert TileFile.parse(path) == file
    assert file.path == path


@given(LEVELS, INDEXES, WIDTHS)
def test_every_name_is_read_as_what_was_named(level: int | None, index: int, width: int) -> None:
    file = TileFile(level, index, width)
    assert TileFile.parse(file.path) == file


HOSTILE = [
    "",
    "tile",
    "tile/0",
    "tile/0/",
    "tile/0/0",
    "tile/0/00",
    "tile/0/0000",
    "tile/0/x000",
    "tile/0/x000/001",  # 1 is 001
    "tile/0/000/001",
    "tile/0/x001/x002",
    "tile/0/x001/2",
    "tile/0/X001/002",
    "tile/00/000",
    "tile/01/000",
    "tile/64/000",
    "tile/100/000",
    "tile/-1/000",
    "tile/+1/000",
    "tile/data/000",
    "tile/8/0/000",  # with a height, as Go's own database has it
    "tile/Entries/000",
    "tile/0/000.p",
    "tile/0/000.p/",
    "tile/0/000.p/0",
    "tile/0/000.p/01",
    "tile/0/000.p/256",
    "tile/0/000.p/1000",
    "tile/0/000.p/1/1",
    "tile/0/000.p/-1",
    "tile/0/000.P/1",
    "tile/0/000p/1",
    "tile/0/000\n",
    "tile/0/٠٠٠",
    "tile/0/000.p/٣",
    "tile/0/../0/000",
    "/tile/0/000",
    "tile//0/000",
    "tile/0/000/",
    "tile/0/" + "x001/" * 7 + "000",
    "tile/0/" + "x999/" * 2000 + "999",
]


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_any_other_way_to_write_it_names_nothing(path: str) -> None:
    assert TileFile.parse(path) is None


@given(st.text(alphabet="tile/0123x.pntries", max_size=40).map(lambda rest: f"tile/{rest}"))
def test_what_is_read_at_all_is_written_the_same(path: str) -> None:
    file = TileFile.parse(path)
    assert file is None or file.path == path


@given(LEVELS, INDEXES, WIDTHS, st.integers(0, 2**63 - 1))
def test_a_tree_has_a_file_if_it_has_all_its_hashes(
    level: int | None, index: int, width: int, size: int
) -> None:
    """The last hash of the file is over the leaves up to (index * 256 + width) * 256**level."""
    leaves = (index * 256 + width) * 256 ** (level or 0)
    assert TileFile(level, index, width).is_of(size) == (leaves <= size)


def test_the_files_of_the_standards_example_tree() -> None:
    """70,000 entries: 273 full and one partial tile, one full and one partial, one partial of width 1."""
    files = [[(f.index, f.width) for f in files_of(level, 70_000)] for level in levels_of(70_000)]
    assert files == [
        [*((n, 256) for n in range(273)), (273, 112)],
        [(0, 256), (1, 17)],
        [(0, 1)],
    ]
    assert len(list(files_of(None, 70_000))) == 274


@pytest.mark.parametrize(
    ("size", "files"),
    [
        (0, []),
        (1, ["tile/0/000.p/1"]),
        (255, ["tile/0/000.p/255"]),
        (256, ["tile/0/000", "tile/1/000.p/1"]),
        (257, ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]),
    ],
)
def test_the_files_of_small_trees(size: int, files: list[str]) -> None:
    assert [file.path for level in levels_of(size) for file in files_of(level, size)] == files


@given(st.integers(0, 2**40))
def test_the_files_of_a_tree_are_its_own_and_the_next_one_is_not(size: int) -> None:
    for level in [None, *levels_of(size)]:
        count = size >> 8 * (level or 0)
        if count < 100_000:
            files = list(files_of(level, size))
            assert all(file.is_of(size) for file in files)
            assert sum(file.width for file in files) == count
        assert not TileFile(level, count // 256, count % 256 + 1).is_of(size)


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_a_bundle_gives_back_its_entries(entries: list[bytes]) -> None:
    assert unbundle(bundle(entries)) == entries


def test_a_length_stands_before_each_entry() -> None:
    assert bundle([b"ab", b"", b"c" * 300]) == b"\0\2ab" + b"\0\0" + b"\1\x2c" + b"c" * 300
    assert len(bundle([b"x" * 65_535])) == 65_537
    with pytest.raises(ValueError, match="65,535"):
        bundle([b"x" * 65_536])


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=9), st.data())
def test_a_bundle_that_is_cut_off_inside_an_entry_is_none(entries: list[bytes], data: st.DataObject) -> None:
    whole = bundle(entries)
    ends = {len(bundle(entries[:count])) for count in range(len(entries) + 1)}
    cut = data.draw(st.sampled_from(sorted(set(range(len(whole))) - ends)))
    with pytest.raises(VerificationError, match="cut off"):
        unbundle(whole[:cut])
