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
        assert "restored backup" in marks.note
        engine_of(marks=marks).checkpoint(7, head(7).root, [])


def test_the_mark_is_there_before_the_signature_is(tmp_path: Path) -> None:
    engine = engine_of(marks=HighWaterMarks(tmp_path))
    engine.checkpoint(7, head(7).root, [])
    assert HighWaterMarks(tmp_path).read(KEY) == head(7)


def test_without_room_for_the_mark_nothing_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(marks=HighWaterMarks(tmp_path))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        engine.checkpoint(7, head(7).root, [])
    assert HighWaterMarks(tmp_path).read(KEY) is None


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
