"""A mirror of the log: whole, checked against its checkpoint, and never a word of it written over."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.static_logs import FOREIGN_KEY, StaticLog

from macroslow.errors import VerificationError
from macroslow.services.proofs.export_log import FILES_AT_ONCE, ExportLog
from macroslow.tlog.checkpoint import LogPrivateKey

OTHER_LOG = LogPrivateKey("log.example/two", bytes(32), bytes(32))
SIZES = [0, 1, 2, 255, 256, 257, 511, 512, 513, 700]


@dataclass
class Memory:
    """A folder; `full_after` files the disk is full."""

    files: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    full_after: int | None = None
    settled: int = 0

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def write(self, path: str, content: bytes) -> None:
        if self.full_after is not None and len(self.order) >= self.full_after:
            raise OSError(28, "No space left on device")
        self.files[path] = content
        self.order.append(path)

    def settle(self) -> None:
        self.settled = len(self.order)


@pytest.mark.parametrize("size", SIZES)
def test_an_export_is_the_tree_of_the_standard_with_its_checkpoint_last(size: int) -> None:
    log, folder = StaticLog(size), Memory()
    done = ExportLog(log.fetch, folder)(log.note)
    assert folder.files == log.files()
    assert folder.order[-1] == "checkpoint"
    assert folder.settled == len(folder.order)
    assert (done.size, done.root, done.wrote, done.kept) == (size, log.root, len(folder.order) - 1, 0)


def test_a_large_log_comes_in_pieces_of_a_bounded_size() -> None:
    log, folder = StaticLog(256 * 300 + 7), Memory()
    pieces, told = [], []

    def fetch(paths: list[str]) -> list[bytes]:
        pieces.append(len(paths))
        return log.fetch(paths)

    done = ExportLog(fetch, folder, lambda at, of: told.append((at, of)))(log.note)
    assert folder.files == log.files()
    assert max(pieces) == FILES_AT_ONCE
    assert told[-1] == (done.wrote, done.wrote)
    assert told == sorted(told)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 700), st.integers(0, 700))
def test_a_mirror_that_is_brought_up_is_what_a_new_one_would_be(before: int, growth: int) -> None:
    old, new, folder = StaticLog(before), StaticLog(before + growth), Memory()
    ExportLog(old.fetch, folder)(old.note)
    full = [path for path in folder.files if ".p/" not in path and path != "checkpoint"]
    done = ExportLog(new.fetch, folder)(new.note)
    assert folder.files == {**old.files(), **new.files()}
    assert done.kept >= len(full)


def test_what_is_there_is_neither_fetched_nor_written_again() -> None:
    log, folder = StaticLog(700), Memory()
    ExportLog(log.fetch, folder)(log.note)
    log.fetched.clear()
    folder.order.clear()
    done = ExportLog(log.fetch, folder)(log.note)
    assert (done.wrote, done.kept) == (0, 7)
    assert set(log.fetched) == {"tile/0/002.p/188", "tile/1/000.p/2"}  # the edge, which makes the root
    assert folder.order == []


def test_more_signatures_under_the_same_tree_take_the_place_of_fewer() -> None:
    log, folder = StaticLog(5), Memory()
    ExportLog(log.fetch, folder)(log.note)
    cosigned = log.note + b"\xe2\x80\x94 witness.example AAAAAAAA\n"
    ExportLog(log.fetch, folder)(cosigned)
    assert folder.files["checkpoint"] == cosigned


def every_file(size: int) -> list[str]:
    return sorted(StaticLog(size).files())


@pytest.mark.parametrize("path", every_file(513))
def test_a_file_that_differs_is_named_and_stays(path: str) -> None:
    log, folder = StaticLog(513), Memory()
    ExportLog(log.fetch, folder)(log.note)
    content = folder.files[path]
    altered = content.replace(b"513", b"512") if path == "checkpoint" else flipped(content)
    folder.files[path] = altered
    before = dict(folder.files)
    with pytest.raises(VerificationError, match=f"^{path} of the folder is not the log's") as caught:
        ExportLog(log.fetch, folder)(log.note)
    assert folder.files == before
    assert "evidence" in caught.value.fix


@pytest.mark.parametrize("wrong", [b"", b"x", b"\0", b"\0\x4eMSL1", bytes(8191), bytes(8193)], ids=range(6))
@pytest.mark.parametrize("path", ["tile/0/000", "tile/entries/000"])
def test_a_file_of_another_length_is_another_file(path: str, wrong: bytes) -> None:
    log, folder = StaticLog(300), Memory({path: wrong})
    with pytest.raises(VerificationError, match=path):
        ExportLog(log.fetch, folder)(log.note)
    assert folder.files[path] == wrong
    assert "checkpoint" not in folder.files


@pytest.mark.parametrize("path", [path for path in every_file(513) if path != "checkpoint"])
def test_what_the_gateway_sends_is_not_believed_either(path: str) -> None:
    log, folder = StaticLog(513), Memory()

    def fetch(paths: list[str]) -> list[bytes]:
        return [flipped(log.file(each)) if each == path else log.file(each) for each in paths]

    with pytest.raises(VerificationError, match="checkpoint"):
        ExportLog(fetch, folder)(log.note)
    assert path not in folder.files
    assert "checkpoint" not in folder.files


def test_swapped_entries_are_found() -> None:
    log, folder = StaticLog(300), Memory()
    swapped = StaticLog(300)
    swapped.leaves[3], swapped.leaves[4] = swapped.leaves[4], swapped.leaves[3]

    def fetch(paths: list[str]) -> list[bytes]:
        return [(swapped if "entries" in path else log).file(path) for path in paths]

    with pytest.raises(VerificationError, match="tile/entries/000 of the gateway"):
        ExportLog(fetch, folder)(log.note)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (StaticLog(300), StaticLog(299), "it has 300 entries, the log has 299 left"),
        (StaticLog(300), StaticLog(300, name="other"), "two different trees"),
        (StaticLog(300), StaticLog(400, name="other"), "does not extend"),
        (StaticLog(5), StaticLog(6, name="other"), "does not extend"),
        (StaticLog(5), StaticLog(6, OTHER_LOG), "it is of the log"),
    ],
    ids=["shrunk", "same size", "rewritten", "small and rewritten", "another log"],
)
def test_a_history_that_is_not_that_of_the_mirror_is_refused_before_anything_is_written(
    old: StaticLog, new: StaticLog, why: str
) -> None:
    folder = Memory()
    ExportLog(old.fetch, folder)(old.note)
    before = dict(folder.files)
    with pytest.raises(VerificationError, match=r"^checkpoint of the folder is not the log's") as caught:
        ExportLog(new.fetch, folder)(new.note)
    assert why in caught.value.detail
    assert folder.files == before


def test_a_mirror_of_nothing_may_become_one_of_something_and_a_new_key_may_sign() -> None:
    """Which key signs is for who verifies: the tree is the same."""
    folder, logs = Memory(), [StaticLog(0), StaticLog(3), StaticLog(300, FOREIGN_KEY)]
    for log in logs:
        ExportLog(log.fetch, folder)(log.note)
    assert folder.files["checkpoint"] == logs[-1].note


@pytest.mark.parametrize("files", range(8))
def test_an_export_that_is_broken_off_leaves_the_old_mirror_and_is_taken_up_again(files: int) -> None:
    old, new = StaticLog(200), StaticLog(700)
    folder = Memory()
    ExportLog(old.fetch, folder)(old.note)
    stopped = replace(folder, order=[], full_after=files)
    with pytest.raises(OSError, match="No space"):
        ExportLog(new.fetch, stopped)(new.note)
    assert stopped.files["checkpoint"] == old.note
    assert old.files().items() <= stopped.files.items()
    again = Memory(stopped.files)
    done = ExportLog(new.fetch, again)(new.note)
    assert (done.wrote, done.kept) == (7 - files, files)
    assert again.files == {**old.files(), **new.files()}


@pytest.mark.parametrize(
    "junk", [b"", b"junk", b"\xff" * 100, b"a\n1\nb\n\n\xe2\x80\x94 a AAAAAAAA\n"], ids=range(4)
)
def test_a_checkpoint_in_the_folder_that_is_none_is_named(junk: bytes) -> None:
    log, folder = StaticLog(5), Memory({"checkpoint": junk})
    with pytest.raises(VerificationError, match=r"^checkpoint of the folder"):
        ExportLog(log.fetch, folder)(log.note)
    assert folder.files == {"checkpoint": junk}


def flipped(content: bytes) -> bytes:
    """The same with one bit other, in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
