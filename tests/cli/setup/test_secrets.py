"""`macroslow secrets`: in by stdin or without echo, never out."""

import json
import os
import pty
import subprocess
import sys

import pytest

KEY = "sk-canary-4f9a77c1b2d3"
USES = '[providers.openai]\nbase_url = "https://api.openai.com/v1"\nkey = "keystore:openai"\n'


def everything_below(folder) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_secret_set_on_stdin_is_listed_resolved_and_readable_nowhere(macroslow, tmp_path):
    (tmp_path / "macroslow.toml").write_text(USES)
    assert macroslow("config", "check").returncode == 78
    assert macroslow("secrets", "list").returncode == 0
    assert not (tmp_path / ".macroslow").exists(), "checking and listing make nothing"
    ran = macroslow("secrets", "set", "openai", "-", "--json", given=KEY + "\n")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "name": "openai",
        "reference": "keystore:openai",
        "used_by": ["providers.openai.key"],
    }
    (row,) = json.loads(macroslow("secrets", "list", "--json").stdout)["secrets"]
    assert (row["name"], row["used_by"]) == ("openai", ["providers.openai.key"])
    assert macroslow("config", "check").returncode == 0
    assert KEY.encode() not in everything_below(tmp_path)


def test_a_secret_on_the_command_line_is_refused_and_called_known(macroslow, tmp_path):
    ran = macroslow("secrets", "set", "openai", KEY)
    assert ran.returncode == 2
    assert "not taken from the command line" in ran.stderr
    assert KEY not in ran.stdout + ran.stderr
    assert not (tmp_path / ".macroslow").exists()


@pytest.mark.parametrize("given", ["", "\n", "your_api_key_here\n", "two words", "x" * 20_000])
def test_what_cannot_be_a_secret_is_not_stored(macroslow, tmp_path, given):
    ran = macroslow("secrets", "set", "openai", "-", given=given)
    assert ran.returncode == 2
    assert "What came on stdin" in ran.stderr
    assert not (tmp_path / ".macroslow").exists()


def test_without_a_terminal_one_is_told_to_use_stdin(macroslow):
    ran = macroslow("secrets", "set", "openai")
    assert ran.returncode == 2
    assert "send the secret on stdin" in ran.stderr


def test_check_tells_each_secret_and_exits_1_if_one_is_bad(macroslow, tmp_path):
    (tmp_path / "macroslow.toml").write_text(
        USES.replace("keystore:openai", "env:GOOD")
        + '[apis.w]\nbase_url = "https://w.example"\nsecret = "file:w.key"\n'
    )
    (tmp_path / "w.key").write_text("changeme\n")
    ran = macroslow("secrets", "check", environ={"GOOD": KEY})
    assert ran.returncode == 1
    assert "providers.openai.key              good     env:GOOD, from the environment" in ran.stdout
    assert "apis.w.secret                     REFUSED  file:w.key holds a placeholder" in ran.stdout
    assert "w.key: every user of this machine can read it" in ran.stderr
    assert KEY not in ran.stdout + ran.stderr
    (tmp_path / "w.key").write_text("4f9a77c1b2d3\n")
    assert macroslow("secrets", "check", environ={"GOOD": KEY}).returncode == 0


def test_a_key_of_the_shell_that_hides_the_one_in_dotenv_is_told(macroslow, process, tmp_path):
    (tmp_path / "macroslow.toml").write_text(USES.replace("keystore:openai", "env:GOOD"))
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"# keys\nGOOD={KEY}\n")
    dotenv.chmod(0o600)
    alone = macroslow("secrets", "check")
    assert ("env:GOOD, from .env:2" in alone.stdout, alone.stderr) == (True, "")
    assert macroslow("secrets", "check", environ={"GOOD": KEY}).stderr == ""  # the same
    assert macroslow("secrets", "check", environ={"GOOD": "msk_4f9a77c1b2d3"}).stderr == ""  # passed over
    told = "env:GOOD is taken from the environment, and differs from .env:2, which it hides"
    for command in (("secrets", "check"), ("config", "check")):
        ran = macroslow(*command, environ={"GOOD": f"{KEY}-other"})
        assert told in ran.stderr
        assert KEY not in ran.stdout + ran.stderr
    (tmp_path / ".macroslow").write_text("so that the server ends at once")
    served = process("serve", "--listen", "127.0.0.1:0", environ={"GOOD": f"{KEY}-other"})
    assert told in served.stderr


ON_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "macroslow", *sys.argv[1:]])
"""


def test_at_a_terminal_it_asks_without_echo_until_the_answer_could_be_one(tmp_path):
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, "secrets", "set", "openai"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=tmp_path,
    )
    os.close(follower)
    seen = _until(leader, b"(not shown): ")
    os.write(leader, b"changeme\n")
    seen += _until(leader, b"(not shown): ")
    os.write(leader, KEY.encode() + b"\n")
    seen += _until(leader, b"stored keystore:openai")
    assert process.wait(30) == 0
    os.close(leader)
    assert b"That holds a placeholder." in seen
    assert KEY.encode() not in seen
    assert b"changeme" not in seen


def _until(leader: int, text: bytes) -> bytes:
    """Read from the terminal until `text` has come."""
    seen = b""
    while text not in seen:
        seen += os.read(leader, 4096)
    return seen
