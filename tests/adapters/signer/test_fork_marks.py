"""A mark tells which folder signed last, and a fork ends it for every copy of the old folder."""

from pathlib import Path

import pytest
from tests.adapters.signer.trees import (
    LOG_KEY,
    NOW_NS,
    MemoryFiles,
    engine_of,
    head,
    note_of,
    proof,
)
from tests.machine import SetClock

from macroslow.adapters.signer import HighWaterMarks
from macroslow.errors import ConfigurationError, VerificationError
from macroslow.tlog.ports import Mark
from macroslow.tlog.succession import Retired

KEY = LOG_KEY.public
AT = "2027-01-15T08:00:00+00:00"
SECOND = f"{KEY.origin}.2"


def marks_of(state: str, folder: Path) -> HighWaterMarks:
    return HighWaterMarks(folder, Path(state), SetClock(NOW_NS))


def test_who_signed_last_is_told_to_others_and_when_to_all(tmp_path: Path) -> None:
    engine_of(marks=marks_of("/real", tmp_path)).checkpoint(7, head(7).root, [])
    engine_of(marks=marks_of("/copy", tmp_path)).checkpoint(9, head(9).root, proof(7, 9))
    path = str(tmp_path / KEY.fingerprint.replace("-", ""))
    assert marks_of("/real", tmp_path).mark(KEY) == Mark(head(9), path, "/copy", AT)
    assert marks_of("/copy", tmp_path).mark(KEY) == Mark(head(9), path, "", AT)


def test_a_mark_that_notes_no_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / KEY.fingerprint.replace("-", "")).write_text(
        f'{{"macroslow_high_water":1,"log":"{KEY.origin}","size":7,"root":"{head(7).root.hex()}"}}'
    )
    found = marks_of("/real", tmp_path).mark(KEY)
    assert found is not None
    assert (found.head, found.signed_from, found.signed_at, found.forked_to) == (head(7), "", "", "")


def test_after_a_fork_no_copy_of_the_old_folder_signs(tmp_path: Path) -> None:
    engine, running = (engine_of(marks=marks_of(state, tmp_path)) for state in ("/real", "/copy"))
    engine.checkpoint(7, head(7).root, [])
    engine.stage(SECOND)
    engine.fork()
    with pytest.raises(VerificationError, match=f"declared forked: it is {SECOND} now"):
        running.checkpoint(9, head(9).root, proof(7, 9))
    later = engine_of(marks=marks_of("/copy", tmp_path))
    assert later.mark is not None
    assert (later.mark.forked_to, later.mark.forked_at, later.last) == (SECOND, AT, head(7))
    with pytest.raises(VerificationError, match="declared forked"):
        later.checkpoint(7, head(7).root, [])
    engine.checkpoint(8, head(8).root, [])


def test_a_log_that_never_signed_is_ended_too(tmp_path: Path) -> None:
    engine = engine_of(marks=marks_of("/real", tmp_path))
    engine.stage(SECOND)
    engine.fork()
    with pytest.raises(VerificationError, match="declared forked"):
        engine_of(marks=marks_of("/copy", tmp_path)).adopt(note_of(3), [])


def test_the_old_mark_is_ended_before_the_key_is_changed(tmp_path: Path) -> None:
    marks = marks_of("/real", tmp_path)

    class CutOff(MemoryFiles):
        def switch(self, retired: Retired) -> None:
            found = marks.mark(retired.key)
            assert found is not None
            assert found.forked_to == SECOND
            raise OSError(5, "Input/output error")

    engine = engine_of(marks=marks, files=CutOff())
    engine.stage(SECOND)
    with pytest.raises(OSError, match="Input/output"):
        engine.fork()
    assert SECOND not in engine.names  # it was not done, and is done with the same name once more
    with pytest.raises(OSError, match="Input/output"):
        engine.fork()


def test_names_that_were_given_out_are_known_from_marks_too(tmp_path: Path) -> None:
    engine = engine_of(marks=marks_of("/real", tmp_path))
    assert engine.names == {KEY.origin}
    engine.stage(SECOND)
    engine.fork()
    assert engine.names == {KEY.origin, SECOND}
    restored = engine_of(marks=marks_of("/real", tmp_path))  # an older copy, which knows of no fork itself
    assert restored.names == {KEY.origin, SECOND}
    (tmp_path / ("A" * 32)).write_text("no mark")
    with pytest.raises(ConfigurationError, match="not readable"):
        _ = restored.names
    (tmp_path / ("A" * 32)).rename(tmp_path / f"{'A' * 32}.bad")
    assert restored.names == {KEY.origin, SECOND}


def test_without_marks_the_names_are_those_of_its_own_keys() -> None:
    engine = engine_of(files=MemoryFiles())
    engine.stage(SECOND)
    engine.fork()
    assert engine.names == {KEY.origin, SECOND}
