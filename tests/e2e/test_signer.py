"""The signer of a real server: backups put back, keys that change, and processes that are killed."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Site, make_site, wait_until

from macroslow.adapters.keyfiles import SignerFiles, signer_folder
from macroslow.adapters.system import SystemEntropy
from macroslow.tlog.checkpoint import LogPrivateKey, LogPublicKey, verify_checkpoint
from macroslow.tlog.succession import succession


@pytest.fixture
def own(tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]) -> Iterator[Site]:
    """A site with a folder of its own for what was signed; its keys are part of its backups."""
    outside = {"XDG_STATE_HOME": str(tmp_path / "outside"), "MACROSLOW__LOG__KEYS": "state"}
    made = make_site(tmp_path / "site", emulator_url, clean_environment | outside)
    yield made
    if made.server is not None:
        made.stop()


def signer_of(site: Site) -> int:
    """The process id of the server's signer."""
    assert site.server is not None
    for children in Path(f"/proc/{site.server.pid}/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            if b"signing.main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    raise AssertionError("the server has no signer")


def key_of(site: Site) -> LogPublicKey:
    """The key of a running server's log."""
    return LogPublicKey.parse(site.ask("audit.key")["key"])


def checkpoint_of(site: Site) -> bytes:
    """The newest checkpoint of a running server."""
    return str(site.ask("audit.checkpoint")["note"]).encode()


def put_back(site: Site, copy: Path) -> None:
    shutil.rmtree(site.state)
    shutil.copytree(copy, site.state)


def test_a_backup_that_was_put_back_is_not_served_and_a_fork_begins_another_log(
    own: Site, tmp_path: Path
) -> None:
    own.start()
    old = key_of(own)
    own.stop()
    shutil.copytree(own.state, tmp_path / "backup")
    own.key("bob")
    shutil.copytree(own.state, tmp_path / "newest")
    put_back(own, tmp_path / "backup")
    refused = own.command("serve", "--listen", "127.0.0.1:0")
    assert refused.returncode == 78
    assert "has 2 entries, and 3 were signed" in refused.stderr
    assert "audit fork" in refused.stderr
    assert own.command("keys", "create", "eve").returncode == 78
    assert len(own.entries()) == 2  # reading is not refused

    put_back(own, tmp_path / "newest")  # the first repair
    own.start()
    own.stop()

    put_back(own, tmp_path / "backup")  # the second
    forked = own.data("audit", "fork", "--reason", "no newer backup", "--yes")
    assert forked["origin"] == f"{old.origin}.2"
    own.start()
    assert verify_checkpoint(checkpoint_of(own), key_of(own)).origin == forked["origin"]
    (told,) = own.told("log-forked")
    assert (told["entries"], told["marked_entries"], told["reason"]) == (2, 5, "no newer backup")
    assert own.command("audit", "fork", "--reason", "again", "--yes").returncode == 78  # a server runs


def test_a_copy_of_a_folder_that_was_forked_is_not_served(own: Site, tmp_path: Path) -> None:
    own.start()
    own.stop()
    shutil.copytree(own.state, tmp_path / "backup")
    assert own.command("audit", "fork", "--reason", "just trying").returncode == 1
    second = own.data("audit", "fork", "--reason", "it is meant", "--yes")["origin"]
    put_back(own, tmp_path / "backup")
    refused = own.command("serve", "--listen", "127.0.0.1:0")
    assert refused.returncode == 78
    assert "this log was declared forked at 20" in refused.stderr
    assert f"it is {second} now" in refused.stderr


def test_a_change_of_keys_that_a_start_completes_is_in_its_notes_and_in_the_log(own: Site) -> None:
    own.start()
    old = key_of(own)
    own.stop()
    fresh = LogPrivateKey.generate(old.origin, SystemEntropy())
    SignerFiles(signer_folder(own.state)).stage(fresh)  # as far as a change of keys had come
    own.start()
    new = key_of(own)
    assert new == fresh.public
    (note,) = [note for note in own.notes if "change of the log's key" in note]
    assert old.fingerprint in note
    assert new.fingerprint in note
    assert note in own.said


def test_a_running_server_is_given_another_key_and_keeps_it(own: Site, tmp_path: Path) -> None:
    own.start()
    own.client("ann")
    old, kept = tmp_path / "old.pub", tmp_path / "kept"
    first = key_of(own)
    old.write_text(first.format())
    kept.write_bytes(checkpoint_of(own))
    assert own.data("audit", "rotate-key", "--reason", "a test")["old"] == first.fingerprint
    second = key_of(own)
    verify_checkpoint(checkpoint_of(own), second)  # signed by it
    own.stop()
    hand_overs = [text.encode() for text in own.data("audit", "key", "--succession")["hand_overs"]]
    assert succession(first, hand_overs)[-1].key == second
    own.start()
    assert key_of(own) == second
    sound = own.data("audit", "verify", "--key", str(old), "--since", str(kept))
    assert sound["entries"] == sound["signed"]


def test_a_key_is_not_changed_without_a_reason(own: Site) -> None:
    for reason in ((), ("--reason", "")):
        assert own.command("audit", "rotate-key", *reason).returncode == 2


def test_a_server_whose_signer_was_killed_promises_nothing_and_starts_again(own: Site) -> None:
    own.start()
    own.client("ann")
    checkpoint_of(own)
    pid = signer_of(own)
    os.kill(pid, signal.SIGKILL)
    own.client("bob")
    assert "the signer's process has ended" in own.ask("audit.checkpoint")["unsigned"]
    key = own.client("eve")
    wait_until(lambda: own.chat(key, model="gpt-4o", max_tokens=5).status == 503)
    own.stop()
    own.start()
    checkpoint_of(own)
    assert signer_of(own) != pid


def test_the_signer_ends_with_a_server_that_is_killed(own: Site) -> None:
    own.start()
    pid = signer_of(own)
    own.stop(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    own.start()


def test_ctrl_c_reaches_the_server_and_its_last_entries_are_signed(own: Site) -> None:
    own.start()
    key = key_of(own)
    os.kill(signer_of(own), signal.SIGINT)  # as a terminal would send to all of its group
    assert own.stop(signal.SIGINT) == 0
    (marked,) = (own.folder.parent / "outside" / "macroslow" / "high-water").iterdir()
    assert marked.name == key.fingerprint.replace("-", "")
    assert json.loads(marked.read_text())["size"] == len(own.entries())


def test_where_no_mark_can_be_kept_the_start_says_so(own: Site, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("not a folder")
    own.start()
    assert any("a restored backup goes unnoticed" in note for note in own.notes)
