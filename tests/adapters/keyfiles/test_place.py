"""Keys that sign, in the state folder and outside of it, moved and cut off between any two steps."""

import os
import stat
from pathlib import Path

import pytest

from macroslow import durable_files
from macroslow.adapters import keyfiles
from macroslow.adapters.keyfiles import INSIDE, Place, SignerFiles
from macroslow.adapters.system import SystemEntropy
from macroslow.errors import ConfigurationError

ORIGIN = "gateway.example/log"
SEEDS = {"log.json", "answer.json", "history.json"}


class CutOffError(BaseException):
    """The machine lost power here."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Place:
    return Place(tmp_path / "outside" / "signer", binding=True)


def ensure(state: Path, place: Place) -> str:
    """Have the keys there; the log's fingerprint."""
    keyfiles.ensure(state, ORIGIN, SystemEntropy(), place)
    return fingerprint(state)


def fingerprint(state: Path) -> str:
    return SignerFiles(keyfiles.signer_folder(state)).load(ORIGIN).log.public.fingerprint


def seeds_below(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*.json") if path.name in SEEDS}


def test_new_keys_are_made_outside_and_nothing_that_signs_is_in_the_state_folder(
    state: Path, outside: Place
) -> None:
    made = ensure(state, outside)
    folder = keyfiles.signer_folder(state)
    assert folder.parent == outside.base
    assert {path.name for path in folder.iterdir()} == SEEDS
    assert not seeds_below(state)
    for path in (outside.base, folder, *folder.iterdir()):
        assert path is not None
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert ensure(state, outside) == made
    assert ensure(state, Place(None)) == made  # what is said of new ones only leaves these


def test_two_state_folders_have_a_folder_each(tmp_path: Path, outside: Place) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert ensure(tmp_path / "a", outside) != ensure(tmp_path / "b", outside)
    assert keyfiles.signer_folder(tmp_path / "a") != keyfiles.signer_folder(tmp_path / "b")


def test_keys_in_the_state_folder_stay_there_until_the_operator_names_another(
    state: Path, outside: Place
) -> None:
    before = ensure(state, INSIDE)
    assert ensure(state, Place(outside.base)) == before
    assert seeds_below(state)
    with (state / "keys" / "signer" / "log.json").open("rb") as seed:
        assert ensure(state, outside) == before
        assert set(seed.read()) == {0}
    assert not seeds_below(state)
    assert keyfiles.signer_folder(state).parent == outside.base


def cut_off_after(calls: int, patch: pytest.MonkeyPatch) -> None:
    """Let `calls` changes of names happen, and no more."""
    left = [calls]

    def counted(name: str) -> None:
        original = getattr(os, name)

        def change(*arguments: object, **named: object) -> object:
            if not left[0]:
                raise CutOffError
            left[0] -= 1
            return original(*arguments, **named)

        patch.setattr(os, name, change)

    for name in ("rename", "unlink", "mkdir", "rmdir"):
        counted(name)


@pytest.mark.parametrize("calls", range(12))
def test_a_move_that_was_cut_off_loses_no_key_and_is_completed(
    calls: int, state: Path, outside: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ensure(state, INSIDE)
    with monkeypatch.context() as patch:
        cut_off_after(calls, patch)
        try:
            keyfiles.ensure(state, ORIGIN, SystemEntropy(), outside)
        except CutOffError:
            pass
        else:
            assert calls > 8
    assert fingerprint(state) == before  # as who only reads it would find it
    assert ensure(state, outside) == before
    assert len(seeds_below(state.parent)) == len(SEEDS)  # once, and outside
    assert not seeds_below(state)
    assert [path.name for path in state.parent.rglob("*.new")] == []


@pytest.mark.parametrize("calls", range(8))
def test_a_creation_that_was_cut_off_is_begun_again_and_leaves_no_other_keys(
    calls: int, state: Path, outside: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        cut_off_after(calls, patch)
        try:
            keyfiles.ensure(state, ORIGIN, SystemEntropy(), outside)
        except CutOffError:
            pass
        else:
            assert calls > 5
    ensure(state, outside)
    assert len(seeds_below(state.parent)) == len(SEEDS)


def test_two_different_sets_of_keys_are_left_to_the_operator(state: Path, outside: Place) -> None:
    ensure(state, outside)
    folder = keyfiles.signer_folder(state)
    other = state.parent / "other"
    other.mkdir()
    ensure(other, INSIDE)
    (other / "keys" / "signer").rename(state / "keys" / "signer")
    with pytest.raises(ConfigurationError, match="they differ"):
        ensure(state, outside)
    assert len(seeds_below(folder)) == len(SEEDS)
    assert len(seeds_below(state)) == len(SEEDS)


def test_a_missing_folder_is_said_with_its_path_and_no_key_is_made(state: Path, outside: Place) -> None:
    ensure(state, outside)
    folder = keyfiles.signer_folder(state)
    folder.rename(state.parent / "elsewhere")
    for place in (outside, Place(None), INSIDE):
        with pytest.raises(ConfigurationError, match=str(folder)) as caught:
            ensure(state, place)
        assert "backup" in caught.value.fix
    assert not folder.exists()


def test_a_folder_that_was_put_elsewhere_is_found_where_the_operator_says(
    state: Path, tmp_path: Path, outside: Place
) -> None:
    before = ensure(state, outside)
    folder = keyfiles.signer_folder(state)
    base = tmp_path / "restored"
    base.mkdir(mode=0o700)
    folder.rename(base / folder.name)
    assert ensure(state, Place(base, binding=True)) == before
    assert keyfiles.signer_folder(state) == base / folder.name


def test_another_place_than_the_operators_is_refused_with_the_command_that_mends_it(
    state: Path, tmp_path: Path, outside: Place
) -> None:
    before = ensure(state, outside)
    base = tmp_path / "another"
    base.mkdir(mode=0o700)
    for place in (Place(base, binding=True), Place(None, binding=True)):
        with pytest.raises(ConfigurationError, match="says otherwise") as caught:
            ensure(state, place)
        _, source, target = caught.value.fix.split(",")[0].split()
        Path(source).rename(target)
        assert ensure(state, place) == before
        if place.base is not None:
            Path(target).rename(source)
            ensure(state, outside)
    assert seeds_below(state)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"macroslow_signer_keys":1,"folder":"relative"}', b"[1]"])
def test_a_damaged_record_is_refused(content: bytes, state: Path, outside: Place) -> None:
    ensure(state, outside)
    durable_files.replace(state / "keys" / "signer.json", content)
    with pytest.raises(ConfigurationError, match=r"signer\.json"):
        ensure(state, outside)


def test_a_base_that_others_can_enter_or_that_cannot_be_made_is_refused(state: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="others can read"):
        ensure(state, Place(tmp_path / "open", binding=True))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        ensure(state, Place(tmp_path / "file" / "signer", binding=True))
    assert not (state / "keys").exists()


def test_with_another_users_signer_only_sealing_keys_are_made(state: Path, outside: Place) -> None:
    keyfiles.ensure_sealing(state, SystemEntropy())
    keyfiles.ensure_sealing(state, SystemEntropy())
    assert keyfiles.load(state).api_key_pepper
    assert not seeds_below(state.parent)


def test_where_own_keys_sign_another_users_signer_is_refused(state: Path, outside: Place) -> None:
    for place in (INSIDE, outside):
        ensure(state, place)
        with pytest.raises(ConfigurationError, match="has its own"):
            keyfiles.ensure_sealing(state, SystemEntropy())
