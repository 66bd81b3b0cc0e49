"""`audit fork` and `rotate-key` where no server runs: nothing is done by mistake, and nothing by halves."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Ran
from tests.services.signing.witness_house import witnesses

from macroslow.adapters.keyfiles import SignerFiles, signer_folder
from macroslow.adapters.system import SystemEntropy
from macroslow.cli.audit import keys as audit_keys
from macroslow.tlog.checkpoint import LogPrivateKey

Macroslow = Callable[..., Ran]
FORK = ("audit", "fork", "--reason", "a test")


@pytest.fixture
def site(tmp_path: Path, macroslow: Macroslow) -> Macroslow:
    """A gateway whose marks lie beside it, and one key."""
    (tmp_path / "macroslow.toml").write_text('[log]\nhigh_water = "marks"\nkeys = "state"\n')
    assert macroslow("keys", "create", "ann").returncode == 0
    return macroslow


def state_of(tmp_path: Path) -> list[tuple[str, bytes]]:
    """What says which key signs."""
    folder = tmp_path / ".macroslow" / "keys" / "signer"
    return sorted((path.name, path.read_bytes()) for path in folder.iterdir())


def entries(macroslow: Macroslow) -> list[dict[str, object]]:
    told: list[dict[str, object]] = json.loads(macroslow("audit", "tail", "--json").stdout)["entries"]
    return told


def copied(tmp_path: Path) -> Path:
    shutil.copytree(tmp_path / ".macroslow", tmp_path / "kept")
    return tmp_path / "kept"


def put_back(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / ".macroslow")
    shutil.copytree(tmp_path / "kept", tmp_path / ".macroslow")


def test_a_log_that_can_go_on_is_not_forked_without_a_word_more(site: Macroslow, tmp_path: Path) -> None:
    before, logged = state_of(tmp_path), entries(site)
    refused = site(*FORK)
    assert refused.returncode == 1
    assert "nothing to declare is known here" in refused.stderr
    assert "audit rotate-key" in refused.stderr
    assert (state_of(tmp_path), entries(site)) == (before, logged)
    done = site(*FORK, "--yes")
    assert done.returncode == 0, done.stderr
    assert entries(site)[-1]["type"] == "log-forked"


@pytest.mark.parametrize("answer", ["", "n\n", "y\n"])
def test_what_a_fork_means_is_shown_and_asked(
    answer: str, site: Macroslow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(tmp_path)
    assert site("keys", "create", "bob").returncode == 0
    put_back(tmp_path)
    before = state_of(tmp_path)
    monkeypatch.setattr(audit_keys, "at_terminal", lambda: bool(answer))
    asked = site(*FORK, given=answer)
    for shown in (
        "an older copy of it",
        "each witness, must be told",
        "given out stay good under the old key",
    ):
        assert shown in asked.stderr
    assert asked.returncode == (0 if answer == "y\n" else 2)
    assert (state_of(tmp_path) == before) == (answer != "y\n")
    if not answer:
        assert "--yes declares it without a question" in asked.stderr


def test_a_copy_of_the_folder_before_a_fork_is_refused_and_its_own_fork_has_a_name_of_its_own(
    site: Macroslow, tmp_path: Path
) -> None:
    copied(tmp_path)
    second = json.loads(site(*FORK, "--yes", "--json").stdout)["origin"]
    put_back(tmp_path)
    refused = site("keys", "create", "eve")
    assert refused.returncode == 78
    assert f"it is {second} now" in refused.stderr
    assert site("audit", "tail").returncode == 0  # reading is not refused
    third = json.loads(site(*FORK, "--yes", "--json").stdout)["origin"]
    assert (second[-2:], third) == (".2", f"{second[:-2]}.3")
    taken = site(*FORK, "--yes", "--origin", second)
    assert taken.returncode != 0
    assert "given out already" in taken.stderr


def test_the_real_folder_names_the_copy_that_signed_last(site: Macroslow, tmp_path: Path) -> None:
    kept = copied(tmp_path)
    own = (tmp_path / "macroslow.toml").read_text()
    (tmp_path / "macroslow.toml").write_text(f'[state]\nfolder = "kept"\n{own}')
    assert site("keys", "create", "bob").returncode == 0
    (tmp_path / "macroslow.toml").write_text(own)
    refused = site("keys", "create", "eve")
    assert refused.returncode == 78
    assert f"signed last from {kept} at 20" in refused.stderr
    assert f"fix: if {kept} is a copy that was started by mistake" in refused.stderr
    mark = refused.stderr.split("(mv ")[1].split()[0]
    Path(mark).rename(f"{mark}.bad")  # what the fix says of a copy that nobody has a receipt of
    assert site("keys", "create", "eve").returncode == 0


def test_a_change_of_keys_that_was_cut_off_is_told_when_a_command_completes_it(
    site: Macroslow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = stage(tmp_path)
    assert site("keys", "create", "bob").returncode == 0
    (told,) = [text for text in caplog.messages if "change of the log's key" in text]
    assert old in told
    assert new in told
    assert json.loads(site("audit", "key", "--json").stdout)["fingerprint"] == new


def stage(tmp_path: Path) -> tuple[str, str]:
    """Leave a change of keys as a crash does after its first step; both fingerprints."""
    files = SignerFiles(signer_folder(tmp_path / ".macroslow"))
    current = files.load(None).log.public
    fresh = LogPrivateKey.generate(current.origin, SystemEntropy())
    files.stage(fresh)
    return current.fingerprint, fresh.public.fingerprint


def test_a_key_that_witnesses_have_not_confirmed_is_not_changed_by_halves(
    site: Macroslow, tmp_path: Path
) -> None:
    (witness,) = witnesses("w1.example")
    with (tmp_path / "macroslow.toml").open("a") as file:
        file.write(f'[log.witnesses.w1]\nurl = "https://w1.example"\nkey = "{witness.vkey}"\n')
    before, logged = state_of(tmp_path), entries(site)
    refused = site("audit", "rotate-key", "--reason", "a test")
    assert refused.returncode != 0
    assert "witnesses have not confirmed" in refused.stderr
    assert (state_of(tmp_path), entries(site)) == (before, logged)


def test_a_change_that_cannot_be_completed_yet_is_told_too(
    site: Macroslow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (witness,) = witnesses("w1.example")
    old, new = stage(tmp_path)
    with (tmp_path / "macroslow.toml").open("a") as file:
        file.write(f'[log.witnesses.w1]\nurl = "https://w1.example"\nkey = "{witness.vkey}"\n')
    assert site("keys", "create", "bob").returncode == 0
    (told,) = [text for text in caplog.messages if "change of the log's key" in text]
    assert "not completed" in told
    assert old in told
    assert new in told
