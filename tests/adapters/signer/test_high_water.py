"""Marks on a real disk: never lower, never half written, and a note where none can be kept."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.signer.trees import HASHES, LOG_KEY, RIVALS, engine_of, head, note_of, proof

from macroslow.adapters.signer import HighWaterMarks
from macroslow.errors import ConfigurationError, VerificationError
from macroslow.tlog.checkpoint import LogPrivateKey

KEY = LOG_KEY.public
OTHER = LogPrivateKey(KEY.origin, b"o" * 32, b"p" * 32).public


def path_in(folder: Path) -> Path:
    return folder / KEY.fingerprint.replace("-", "")


def test_a_mark_is_found_again_and_each_key_has_its_own(tmp_path: Path) -> None:
    marks = HighWaterMarks(tmp_path / "a" / "b")
    assert (marks.note, marks.read(KEY)) == ("", None)
    marks.write(KEY, head(7))
    marks.write(OTHER, head(3))
    again = HighWaterMarks(tmp_path / "a" / "b")
    assert (again.read(KEY), again.read(OTHER)) == (head(7), head(3))
    assert stat.S_IMODE(path_in(tmp_path / "a" / "b").stat().st_mode) == 0o600


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(0, len(HASHES)), min_size=1, max_size=5))
def test_a_mark_never_sinks(sizes: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("marks")
    for size in sizes:
        HighWaterMarks(folder).write(KEY, head(size))
    assert HighWaterMarks(folder).read(KEY) == head(max(sizes))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        b"[1]",
        b"x" * 5000,
        b'{"macroslow_high_water":1,"size":-1,"root":""}',
        b'{"macroslow_high_water":1,"size":1,"root":"00"}',
        b'{"macroslow_high_water":1,"size":1,"root":"zz"}',
        b'{"macroslow_high_water":1,"size":true,"root":"%s"}' % (b"00" * 32),
    ],
)
def test_a_damaged_mark_is_refused_with_the_repair(content: bytes, tmp_path: Path) -> None:
    path_in(tmp_path).write_bytes(content)
    with pytest.raises(ConfigurationError, match="not readable") as caught:
        engine_of(marks=HighWaterMarks(tmp_path))
    assert "mv " in caught.value.fix


def test_where_nothing_can_be_written_there_is_a_note_and_signing_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file" / "below"):
        marks = HighWaterMarks(folder)
        assert "a restored backup goes unnoticed" in marks.note
        assert len(marks.note.replace(str(folder), "")) < 100  # one line of a start
        engine_of(marks=marks).checkpoint(7, head(7).root, [])


def test_the_mark_is_there_before_the_signature_is(tmp_path: Path) -> None:
    engine = engine_of(marks=HighWaterMarks(tmp_path))
    engine.checkpoint(7, head(7).root, [])
    assert HighWaterMarks(tmp_path).read(KEY) == head(7)


@pytest.mark.parametrize("failing", [1, 2])  # of the file, and of the folder's names
def test_without_room_for_the_mark_nothing_is_signed_and_later_it_is(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(marks=HighWaterMarks(tmp_path))
    engine.checkpoint(7, head(7).root, [])
    sync, calls = os.fsync, []

    def full_once(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full_once)
    with pytest.raises(OSError, match="No space"):
        engine.checkpoint(10, head(10).root, proof(7, 10))
    try:
        engine.checkpoint(12, head(12).root, proof(engine.last.size, 12))
    except VerificationError:  # the mark may be there: it counts, and the caller is told
        assert (failing, engine.last) == (2, head(10))
        engine.checkpoint(12, head(12).root, proof(engine.last.size, 12))
    assert engine.last == HighWaterMarks(tmp_path).read(KEY) == head(12)


def test_two_signers_of_one_key_cannot_fork_its_log(tmp_path: Path) -> None:
    one, two = (engine_of(marks=HighWaterMarks(tmp_path)) for _ in range(2))
    one.checkpoint(7, head(7).root, [])
    for size, hashes in ((7, RIVALS[1:]), (12, RIVALS), (5, HASHES)):
        with pytest.raises(VerificationError):
            two.checkpoint(size, head(size, hashes).root, [])
    assert two.last == head(7)
    two.checkpoint(12, head(12).root, proof(7, 12))
    with pytest.raises(VerificationError):
        one.checkpoint(12, head(12, RIVALS).root, proof(7, 12, RIVALS))
    with pytest.raises(VerificationError):
        one.adopt(note_of(20, RIVALS), proof(7, 20, RIVALS))
    one.adopt(note_of(12), [])
    one.checkpoint(14, head(14).root, proof(12, 14))


def test_what_was_adopted_is_noted_for_the_other_signers_of_the_key(tmp_path: Path) -> None:
    one, two = (engine_of(marks=HighWaterMarks(tmp_path)) for _ in range(2))
    one.adopt(note_of(12), [])
    with pytest.raises(VerificationError):
        two.checkpoint(10, head(10, RIVALS).root, [])
    assert two.last == head(12)


def test_a_mark_of_the_same_size_and_another_root_stops_signing(tmp_path: Path) -> None:
    engine = engine_of(marks=HighWaterMarks(tmp_path))
    engine.checkpoint(12, head(12).root, [])
    path_in(tmp_path).unlink()
    HighWaterMarks(tmp_path).write(KEY, head(12, RIVALS))
    with pytest.raises(VerificationError, match="another tree of 12 entries"):
        engine.checkpoint(14, head(14).root, proof(12, 14))


def test_a_mark_that_is_damaged_meanwhile_stops_signing(tmp_path: Path) -> None:
    engine = engine_of(marks=HighWaterMarks(tmp_path))
    engine.checkpoint(7, head(7).root, [])
    path_in(tmp_path).write_bytes(b"{}")
    with pytest.raises(VerificationError, match="not readable"):
        engine.checkpoint(8, head(8).root, proof(7, 8))


@pytest.mark.parametrize(
    ("size", "root"),
    [(2**63, b"r" * 32), (-1, b"r" * 32), (True, b"r" * 32), (7, b"r" * 31), (7, b"")],
    ids=["beyond", "below", "true", "short", "none"],
)
def test_what_can_be_no_tree_changes_nothing(size: int, root: bytes, tmp_path: Path) -> None:
    engine = engine_of(marks=HighWaterMarks(tmp_path))
    with pytest.raises(VerificationError, match="no tree"):
        engine.checkpoint(size, root, [])
    assert (engine.last, HighWaterMarks(tmp_path).read(KEY)) == (head(0), None)
    engine.checkpoint(7, head(7).root, [])


def test_a_fork_whose_mark_cannot_be_written_frees_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(marks=HighWaterMarks(tmp_path))
    engine.checkpoint(7, head(7).root, [])
    engine.stage("gateway.example/log.2")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            engine.fork()
    with pytest.raises(VerificationError):
        engine.checkpoint(8, head(8, RIVALS[1:]).root, [])


def test_an_engine_that_starts_again_goes_on_from_its_mark(tmp_path: Path) -> None:
    engine_of(marks=HighWaterMarks(tmp_path)).checkpoint(10, head(10).root, [])
    again = engine_of(marks=HighWaterMarks(tmp_path))
    for size, hashes in ((9, HASHES), (12, RIVALS)):  # a restored backup, and a backup that went on
        with pytest.raises(VerificationError):
            again.checkpoint(size, head(size, hashes).root, [])
    again.adopt(note_of(8), [])  # of a backup: older than what is known
    assert again.last == head(10)
    with pytest.raises(VerificationError):
        again.adopt(note_of(12, RIVALS), proof(10, 12, RIVALS))
    again.checkpoint(12, head(12).root, proof(10, 12))
