"""A whole gateway as one user and its signer as another: it serves and signs, and its user reads no seed."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import users
from tests.e2e.conftest import PROVIDER_KEY, configuration, wait_until

_GO_FOR = """
import os, sys
folder, pid = sys.argv[1:]
for path in (f"{folder}/own/keys/log.json", f"/proc/{pid}/root{folder}/own/keys/log.json", f"/proc/{pid}/mem",
             f"/proc/{pid}/environ", f"{folder}/own/marks"):
    try:
        os.close(os.open(path, os.O_RDONLY))
        print("open", path)
    except PermissionError:
        pass
try:
    os.listdir(f"/proc/{pid}/fd")
    print("listed")
except PermissionError:
    pass
for change in (lambda: os.rename(f"{folder}/own", f"{folder}/gateway/own"),
               lambda: os.link(f"{folder}/own/keys/log.json", f"{folder}/gateway/link"),
               lambda: os.unlink(f"{folder}/run/signer.sock")):
    try:
        change()
        print("changed")
    except PermissionError:
        pass
"""


@dataclass
class Pair:
    """The two processes, each of its own user."""

    folder: Path
    signer: "subprocess.Popen[str]"
    gateway: "subprocess.Popen[str] | None" = None

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """One command of ours as the gateway's user."""
        config = ("--config", f"{self.folder}/gateway/macroslow.toml")
        return users.run(users.GATEWAY, "-m", "macroslow", *arguments, *config, **self.environment)

    def serve(self) -> dict[str, Any]:
        """Start the gateway; what it says then."""
        arguments = ("serve", "--listen", "127.0.0.1:0", "--json")
        config = ("--config", f"{self.folder}/gateway/macroslow.toml")
        self.gateway = users.start(users.GATEWAY, "-m", "macroslow", *arguments, *config, **self.environment)
        assert self.gateway.stdout is not None
        line = self.gateway.stdout.readline()
        assert line, self.gateway.communicate()[1]
        started: dict[str, Any] = json.loads(line)
        return started

    @property
    def environment(self) -> dict[str, str]:
        return {"TMPDIR": f"{self.folder}/temporary", "HOME": f"{self.folder}/gateway"}


def start_signer(folder: Path) -> "subprocess.Popen[str]":
    places = ("--keys", f"{folder}/own/keys", "--marks", f"{folder}/own/marks")
    listen = ("--listen", f"{folder}/run/signer.sock", "--allow-user", str(users.GATEWAY))
    process = users.start(users.SIGNER, "-m", "macroslow", "signer", *places, *listen)
    assert process.stdout is not None
    assert "listens" in process.stdout.readline()
    return process


@pytest.fixture
def pair(emulator_url: str) -> Iterator[Pair]:
    users.need_them()
    with users.open_folder() as folder:
        for name in ("gateway", "temporary"):
            users.own_folder(folder / name, users.GATEWAY)
        users.own_folder(folder / "own", users.SIGNER)
        users.own_folder(folder / "run", users.SIGNER, 0o755)
        log = f'[log]\npublic = true\nsigner = "unix:{folder}/run/signer.sock"\n'
        for name, text in (
            ("macroslow.toml", configuration(emulator_url, log)),
            (".env", f"OPENAI_API_KEY={PROVIDER_KEY}\n"),
        ):
            (folder / "gateway" / name).write_text(text)
            (folder / "gateway" / name).chmod(0o600)
            os.chown(folder / "gateway" / name, users.GATEWAY, users.GATEWAY)
        made = Pair(folder, start_signer(folder))
        yield made
        for process in (made.gateway, made.signer):
            if process is not None:
                process.terminate()
                process.communicate(timeout=60)


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def test_it_serves_and_signs_and_the_gateways_user_reads_no_seed(pair: Pair) -> None:
    made = pair.command("keys", "create", "ann")  # signed by the same signer, no server running
    assert made.returncode == 0, made.stderr
    started = pair.serve()
    assert not any("nothing keeps" in note for note in started["notes"])
    assert read(f"{started['url']}/log/checkpoint").startswith("macroslow/")
    state = pair.folder / "gateway" / ".macroslow" / "keys"
    assert {path.name.split("-")[0] for path in state.iterdir()} == {"quad", "api"}
    tried = users.run(users.GATEWAY, "-c", _GO_FOR, str(pair.folder), str(pair.signer.pid))
    assert (tried.stdout, tried.returncode) == ("", 0), tried.stderr
    assert (pair.folder / "own" / "keys" / "log.json").exists()


def test_a_fork_that_the_signer_would_not_take_is_refused_in_words(pair: Pair) -> None:
    pair.serve()
    assert pair.gateway is not None
    pair.gateway.send_signal(signal.SIGTERM)
    pair.gateway.communicate(timeout=60)
    pair.gateway = None
    forked = pair.command("audit", "fork", "--reason", "a test", "--yes")
    assert forked.returncode == 78
    assert "on the operator's own word" in forked.stderr


def test_a_gateway_whose_signer_ends_takes_no_new_work_and_its_next_start_goes_on(pair: Pair) -> None:
    url = pair.serve()["url"]
    first = read(f"{url}/log/checkpoint")
    pair.signer.kill()
    pair.signer.communicate(timeout=60)
    assert (
        pair.command("keys", "create", "bob").returncode == 0
    )  # by the running gateway: logged, not signed yet
    pair.signer = start_signer(pair.folder)
    assert pair.gateway is not None
    pair.gateway.terminate()
    pair.gateway.communicate(timeout=60)
    url = pair.serve()["url"]
    wait_until(lambda: int(read(f"{url}/log/checkpoint").split("\n")[1]) > int(first.split("\n")[1]))
