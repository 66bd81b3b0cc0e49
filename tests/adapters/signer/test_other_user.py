"""The signer as another user: it hears one user alone, gives no key away, and outlives its gateways."""

import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests import users
from tests.adapters.signer.trees import head, proof

from macroslow.adapters.signer import SignerProcess
from macroslow.adapters.signer.listener import bound
from macroslow.adapters.system import SystemClock
from macroslow.bootstrap.signing.main import OwnKeys
from macroslow.errors import ConfigurationError, LogUnavailableError, VerificationError
from macroslow.tlog.checkpoint import verify_checkpoint

REQUEST = {"state": "/state", "origin": None, "new_origin": "gateway.example/log"}
ROOT_USER = 0


@dataclass
class Signer:
    """A running signer of user SIGNER."""

    folder: Path
    process: "subprocess.Popen[str]"

    @property
    def path(self) -> Path:
        return self.folder / "run" / "signer.sock"


def start(folder: Path, allowed: int) -> Signer:
    places = ("--keys", f"{folder}/own/keys", "--marks", f"{folder}/own/marks")
    listen = ("--listen", f"{folder}/run/signer.sock", "--allow-user", str(allowed))
    process = users.start(users.SIGNER, "-m", "macroslow", "signer", *places, *listen)
    assert process.stdout is not None
    line = process.stdout.readline()
    if "listens" not in line:
        raise AssertionError(process.communicate()[1])
    return Signer(folder, process)


def end(signer: Signer) -> str:
    signer.process.terminate()
    return signer.process.communicate(timeout=60)[1]


@pytest.fixture
def folder() -> Iterator[Path]:
    users.need_them()
    with users.open_folder() as made:
        users.own_folder(made / "own", users.SIGNER)
        users.own_folder(made / "run", users.SIGNER, 0o755)
        yield made


@pytest.fixture
def signer(folder: Path) -> Iterator[Signer]:
    made = start(folder, ROOT_USER)
    yield made
    end(made)


async def test_it_makes_its_keys_for_the_first_gateway_and_signs_for_those_after(signer: Signer) -> None:
    first = await SignerProcess.connect(signer.path)
    await first.open(REQUEST)
    note = await first.checkpoint(7, head(7).root, [])
    assert verify_checkpoint(note, first.keys.current).size == 7
    await first.close()
    second = await SignerProcess.connect(signer.path)
    await second.open(REQUEST)
    assert (second.keys, second.last) == (first.keys, head(7))
    with pytest.raises(VerificationError, match="7 entries"):
        await second.checkpoint(6, head(6).root, [])
    await second.checkpoint(8, head(8).root, proof(7, 8))
    await second.close()
    for path in (signer.folder / "own").rglob("*"):
        assert path.stat().st_uid == users.SIGNER
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


async def test_another_gateway_is_told_that_one_is_served(
    signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await SignerProcess.connect(signer.path)
    await first.open(REQUEST)
    second = await SignerProcess.connect(signer.path)
    with pytest.raises(ConfigurationError, match="serves another gateway"):
        await second.open(REQUEST)
    await second.close()
    await first.checkpoint(7, head(7).root, [])
    await first.close()


async def test_a_gateway_that_asks_for_something_else_is_hung_up_on_and_the_next_is_served(
    signer: Signer,
) -> None:
    first = await SignerProcess.connect(signer.path)
    await first.open(REQUEST)
    with pytest.raises(LogUnavailableError):
        await first._ask({"ask": "seeds"})
    await first.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.connect(str(signer.path))
        channel.sendall(b"\xff\xff\xff\xff")
        assert channel.recv(1) == b""
    for changed in ({"marks": "/"}, {"state": 5}, {"keys": "/etc", "binding": True}):
        other = await SignerProcess.connect(signer.path)
        with pytest.raises(LogUnavailableError):
            await other.open(REQUEST | changed)
        await other.close()
    second = await SignerProcess.connect(signer.path)
    await second.open(REQUEST)
    assert second.keys == first.keys
    await second.close()


def test_coming_back_does_not_bring_more_changes_of_keys(tmp_path: Path) -> None:
    keys = OwnKeys(tmp_path / "keys", tmp_path / "marks")
    first, _ = keys(REQUEST)
    first.changed_ns = SystemClock().monotonic_ns()
    second, _ = keys(REQUEST)
    with pytest.raises(VerificationError, match="within the last"):
        second.stage()


_CONNECT = """
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
    channel.connect(sys.argv[1])
    print(repr(channel.recv(1)))
"""


async def test_nobody_but_the_gateways_user_is_heard(signer: Signer) -> None:
    assert users.run(users.STRANGER, "-c", _CONNECT, str(signer.path)).stdout == "b''\n"
    gateway = await SignerProcess.connect(signer.path)
    await gateway.open(REQUEST)
    await gateway.close()
    assert f"user {users.STRANGER} has no business" in end(signer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_it_starts_again_where_it_ended(folder: Path, number: int) -> None:
    signer = start(folder, ROOT_USER)
    gateway = await SignerProcess.connect(signer.path)
    await gateway.open(REQUEST)
    await gateway.checkpoint(7, head(7).root, [])
    signer.process.send_signal(number)
    signer.process.communicate(timeout=60)
    with pytest.raises(LogUnavailableError, match="has ended"):
        await gateway.checkpoint(8, head(8).root, proof(7, 8))
    await gateway.close()
    again = start(folder, ROOT_USER)
    later = await SignerProcess.connect(again.path)
    await later.open(REQUEST)
    assert (later.keys, later.last) == (gateway.keys, head(7))
    await later.close()
    end(again)


async def test_a_socket_that_others_could_have_put_there_is_not_used(signer: Signer) -> None:
    (signer.folder / "run").chmod(0o777)
    with pytest.raises(ConfigurationError, match="can change"):
        await SignerProcess.connect(signer.path)
    (signer.folder / "run").chmod(0o755)
    os.chown(signer.folder / "run", users.STRANGER, users.STRANGER)
    with pytest.raises(ConfigurationError, match="can change"):
        await SignerProcess.connect(signer.path)


async def test_a_signer_of_the_gateways_own_user_is_refused_on_both_sides(tmp_path: Path) -> None:
    with bound(tmp_path / "signer.sock"), pytest.raises(ConfigurationError, match="own user"):
        await SignerProcess.connect(tmp_path / "signer.sock")
    assert not (tmp_path / "signer.sock").exists()


async def test_where_nothing_listens_the_refusal_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macroslow.adapters.signer.process._awaited", None)  # would fail if it were called
    with pytest.raises(ConfigurationError, match="nothing listens there") as caught:
        await SignerProcess.connect(tmp_path / "signer.sock")
    assert "macroslow signer" in caught.value.fix


async def test_who_waits_for_a_signer_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("macroslow.adapters.signer.process.CONNECT_S", 0.1)
    path = tmp_path / "signer.sock"
    with pytest.raises(ConfigurationError, match="nothing listens there"):
        await SignerProcess.connect(path, waits=True)
    assert caplog.messages == [f"waiting for the signer at {path}"]


def test_a_second_signer_at_the_same_place_is_refused(signer: Signer) -> None:
    with pytest.raises(AssertionError, match="another signer listens there"):
        start(signer.folder, ROOT_USER)


def test_without_a_place_for_its_mark_it_does_not_start(folder: Path) -> None:
    (folder / "own").chmod(0o500)
    with pytest.raises(AssertionError, match="high-water mark"):
        start(folder, ROOT_USER)


def test_it_is_hidden_from_processes_of_its_own_user(signer: Signer) -> None:
    looked = users.run(
        users.SIGNER,
        "-c",
        "import sys\nfor name in ('mem', 'environ', 'maps'):\n"
        "    try: open(f'/proc/{sys.argv[1]}/{name}', 'rb').read(1)\n"
        "    except PermissionError: print(name)",
        str(signer.process.pid),
    )
    assert looked.stdout.split() == ["mem", "environ", "maps"], looked.stderr
