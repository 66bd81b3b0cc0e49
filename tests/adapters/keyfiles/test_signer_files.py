"""The signer's folder through every change of keys, cut off between any two of its steps."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from macroslow import durable_files
from macroslow.adapters import keyfiles
from macroslow.adapters.keyfiles import INSIDE, SignerFiles, signer_folder
from macroslow.adapters.system import SystemEntropy
from macroslow.errors import ConfigurationError
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.succession import Retired

ORIGIN = "gateway.example/log"


class CutOffError(BaseException):
    """The machine lost power here."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    keyfiles.ensure(tmp_path, ORIGIN, SystemEntropy(), INSIDE)
    return tmp_path


def files_of(state: Path) -> SignerFiles:
    return SignerFiles(signer_folder(state))


def cut_off_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let `calls` changes of names happen, and no more; returns how many there were."""
    count = [0]

    def counted(original: Callable[..., object]) -> Callable[..., object]:
        def change(*arguments: object, **named: object) -> object:
            if count[0] == calls:
                raise CutOffError
            count[0] += 1
            return original(*arguments, **named)

        return change

    for name in ("rename", "link", "unlink"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    return lambda: count[0]


def test_a_change_of_keys_keeps_the_public_half_and_destroys_the_other(state: Path) -> None:
    files = files_of(state)
    old, new = files.load(None).log, LogPrivateKey.generate(ORIGIN, SystemEntropy())
    seed = (state / "keys" / "signer" / "log.json").open("rb")
    files.stage(new)
    files.switch(Retired(old.public, b'{"a":"\xc3\xa9"}'))
    loaded = files.load(ORIGIN)
    assert (loaded.log.public, loaded.staged) == (new.public, None)
    assert loaded.retired == (Retired(old.public, b'{"a":"\xc3\xa9"}'),)
    with seed:
        assert set(seed.read()) == {0}
    everything = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert old.to_json().encode() not in everything


@pytest.mark.parametrize("calls", range(6))
def test_a_change_that_was_cut_off_leaves_one_key_in_force(
    calls: int, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(state)
    old, new = files.load(None).log, LogPrivateKey.generate(ORIGIN, SystemEntropy())
    files.stage(new)
    with monkeypatch.context() as patch:
        done = cut_off_after(calls, patch)
        try:
            files.switch(Retired(old.public, b"{}"))
        except CutOffError:
            assert done() == calls
        else:
            assert done() < 6
    loaded = files.load(ORIGIN)
    if loaded.log.public == old.public:  # begun again from what is staged
        assert loaded.staged is not None
        assert loaded.staged.public == new.public
        files.switch(Retired(old.public, b"{}"))
        loaded = files.load(ORIGIN)
    assert (loaded.log.public, loaded.staged) == (new.public, None)
    assert [one.key for one in loaded.retired] == [old.public]
    assert not (state / "keys" / "signer" / "log.old.json").exists()


def test_many_changes_are_kept_in_their_order(state: Path) -> None:
    files, seen = files_of(state), []
    for number in range(12):
        seen.append(files.load(None).log.public)
        files.stage(LogPrivateKey.generate(ORIGIN, SystemEntropy()))
        files.switch(Retired(seen[-1], None if number == 3 else b"{}"))
    loaded = files.load(None)
    assert [one.key for one in loaded.retired] == seen
    assert [number for number, one in enumerate(loaded.retired) if one.hand_over is None] == [3]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff", b'{"macroslow_retired_log_key":1,"key":"x","hand_over":1}']
)
def test_a_damaged_retired_key_is_refused(content: bytes, state: Path) -> None:
    durable_files.write_new(state / "keys" / "signer" / "retired-0001.json", content)
    with pytest.raises(ConfigurationError, match="retired-0001") as caught:
        files_of(state).load(None)
    assert caught.value.fix


def test_the_key_has_its_own_word_where_the_configuration_has_none(state: Path) -> None:
    assert files_of(state).load(None).log.public.origin == ORIGIN
    with pytest.raises(ConfigurationError, match="names 'other'"):
        files_of(state).load("other")
