"""Key files on a real disk: made once and whole, refused when others could have touched them."""

import os
import pickle
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from macroslow import durable_files
from macroslow.adapters import keyfiles
from macroslow.adapters.system import SystemEntropy
from macroslow.crypto.hybrid import KeyUse
from macroslow.crypto.quad import Quad
from macroslow.errors import ConfigurationError

ORIGIN = "gateway.example/log"
SEEDS = {"signer/log.json", "signer/answer.json", "signer/history.json"}
NAMES = {f"quad-root-{number}.json" for number in range(1, 5)} | {"api-key-pepper"} | SEEDS


@dataclass(frozen=True)
class Loaded:
    """All keys: those of the gateway, and those that its signer's process reads."""

    gateway: keyfiles.GatewayKeys
    signer: keyfiles.SignerKeys


def load(state: Path, origin: str = ORIGIN) -> Loaded:
    keyfiles.ensure(state, origin, SystemEntropy(), keyfiles.INSIDE)
    return Loaded(keyfiles.load(state), keyfiles.SignerFiles(keyfiles.signer_folder(state)).load(origin))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    load(tmp_path)
    return tmp_path


def assert_refused(state: Path, match: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError, match=match) as caught:
        load(state)
    assert caught.value.fix
    return caught.value


def test_the_second_start_finds_the_keys_of_the_first(tmp_path: Path) -> None:
    one, other = load(tmp_path), load(tmp_path)
    first, second = one.gateway, other.gateway
    assert [root.key_id for root in first.quad_roots] == [root.key_id for root in second.quad_roots]
    assert [root.epoch for root in first.quad_roots] == [1, 1, 1, 1]
    assert one.signer.log.public == other.signer.log.public
    assert one.signer.answer.public == other.signer.answer.public
    assert one.signer.history.public == other.signer.history.public
    assert first.api_key_pepper == second.api_key_pepper
    sealed = Quad(first.quad_roots, SystemEntropy()).seal(b"x", "alice")
    assert Quad(second.quad_roots, SystemEntropy()).open(sealed, "alice") == b"x"


def test_each_key_has_its_use_and_nothing_is_shared(state: Path) -> None:
    loaded = load(state)
    keys, pair = loaded.gateway, loaded.signer
    assert (pair.answer.use, pair.history.use) == (KeyUse.ANSWER, KeyUse.HISTORY)
    assert len(keys.api_key_pepper) == 32
    secrets = [root.secret for root in keys.quad_roots] + [keys.api_key_pepper]
    secrets += [half.seed() for key in (pair.answer, pair.history) for half in (key.ed25519, key.ml_dsa_65)]
    assert len(set(secrets)) == 9


def test_two_gateways_share_no_key(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = load(tmp_path / "a"), load(tmp_path / "b")
    assert first.signer.log.public.fingerprint != second.signer.log.public.fingerprint
    assert first.gateway.api_key_pepper != second.gateway.api_key_pepper


def test_only_the_owner_can_touch_what_is_made_whatever_the_umask(tmp_path: Path) -> None:
    for umask in (0o000, 0o777):
        state = tmp_path / f"{umask:o}"
        state.mkdir(mode=0o700)
        before = os.umask(umask)
        try:
            load(state)
        finally:
            os.umask(before)
        keys = state / "keys"
        made = list(keys.rglob("*"))
        assert {str(path.relative_to(keys)) for path in made if path.is_file()} == NAMES
        for path in (keys, *made):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o666])
def test_a_file_that_others_can_touch_is_refused_with_the_repair(name: str, mode: int, state: Path) -> None:
    path = state / "keys" / name
    path.chmod(mode)
    assert assert_refused(state, "others can read").fix == f"chmod 600 {path}"


def test_a_folder_that_others_can_enter_is_refused_with_the_repair(state: Path) -> None:
    for folder in (state / "keys", state / "keys" / "signer"):
        folder.chmod(0o750)
        assert assert_refused(state, "others can read").fix == f"chmod 700 {folder}"
        folder.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("name", ["", "signer", "signer/log.json"])
def test_what_belongs_to_another_user_is_refused(name: str, state: Path) -> None:
    os.chown(state / "keys" / name, 12345, 12345)
    assert "chown" in assert_refused(state, "belongs to user 12345").fix


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_missing_file_is_refused_and_never_made_anew(name: str, state: Path) -> None:
    (state / "keys" / name).unlink()
    assert_refused(state, "cannot be read")
    assert not (state / "keys" / name).exists()


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"null", b"[" * 60_000, b"x" * 100_000])
def test_a_damaged_file_is_refused(name: str, content: bytes, state: Path) -> None:
    (state / "keys" / name).write_bytes(content)
    assert_refused(state, name)


def test_a_link_in_the_place_of_a_file_is_not_followed(state: Path, tmp_path: Path) -> None:
    path, elsewhere = state / "keys" / "signer" / "log.json", tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert_refused(state, "cannot be read")
    path.unlink()
    path.hardlink_to(elsewhere)
    assert_refused(state, "one name")
    path.unlink()
    os.mkfifo(path, 0o600)
    assert_refused(state, "plain file")


def test_a_link_in_the_place_of_the_folder_is_not_followed(state: Path) -> None:
    (state / "keys").rename(state / "moved")
    (state / "keys").symlink_to(state / "moved")
    assert_refused(state, "not a folder")
    (state / "keys").unlink()
    (state / "keys").symlink_to(state / "nowhere")
    assert_refused(state, "not a folder")


def test_keys_of_another_use_in_the_right_place_are_refused(state: Path) -> None:
    keys = state / "keys" / "signer"
    answer, history = (keys / "answer.json").read_bytes(), (keys / "history.json").read_bytes()
    (keys / "answer.json").write_bytes(history)
    (keys / "history.json").write_bytes(answer)
    assert_refused(state, "it is a key for")


def test_another_origin_is_refused_with_both_ways_out(state: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"names 'other\.example'") as caught:
        load(state, "other.example")
    assert ORIGIN in caught.value.fix


def test_an_origin_that_notes_cannot_carry_makes_no_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="origin"):
        load(tmp_path, "a b")
    assert not (tmp_path / "keys").exists()


def test_a_creation_that_was_cut_off_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(path: Path, content: bytes) -> None:
        if path.name == "history.json":
            raise KeyboardInterrupt
        write_new(path, content)

    write_new = durable_files.write_new
    monkeypatch.setattr(durable_files, "write_new", die)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / "keys").exists()
    load(tmp_path)
    assert not (tmp_path / "keys.new").exists()


def test_loaded_keys_do_not_print_or_pickle(state: Path) -> None:
    loaded = load(state)
    assert (repr(loaded.gateway), repr(loaded.signer)) == ("GatewayKeys(…)", "SignerKeys(…)")
    for keys in (loaded.gateway, loaded.signer):
        with pytest.raises(TypeError):
            pickle.dumps(keys)
