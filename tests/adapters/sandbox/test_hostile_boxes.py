"""Hostile programs in boxes (N27): each is contained as a code block is, and lives no longer than it may."""

import json
from pathlib import Path
from typing import Any

import pytest

HOSTILE = Path(__file__).with_name("hostile")
MIB = 1024 * 1024
ATTEMPTS = [
    "init_environ.py", "ptrace.py", "other_pids.py", "keyrings.py", "kernel_surface.py",
    "sockets.py", "mounts.py", "namespaces.py", "setuid.py", "host_files.py", "metadata.py", "raw_connect.py",
    "host_loopback.py", "unix_sockets.py", "kill_parent.py", "tiocsti.py", "shared_objects.py",
]  # fmt: skip
BOMBS = {"heap_bomb.py": 128 * MIB, "shared_bomb.py": 128 * MIB, "crowd_bomb.py": 128 * MIB}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_n27_nothing_on_the_attackers_list_works(box_gateway: Any, name: str) -> None:
    answer = box_gateway.run_in_a_box((HOSTILE / name).read_text())
    assert "BREACH" not in answer["stdout"]
    assert "contained" in answer["stdout"], answer
    assert answer["ended"].startswith("it ended with exit code 0"), answer


def test_n27_a_program_has_the_environment_that_was_named_and_none_of_ours(box_gateway: Any) -> None:
    answer = box_gateway.run_in_a_box(
        "import os; print(json.dumps(dict(os.environ)))",
        environment={"NAMED": "by the operator", "HOME": "/x"},
    )
    own = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": "/maml/.tmp", "LANG": "C.UTF-8"}
    assert json.loads(answer["stdout"]) == {**own, "NAMED": "by the operator", "HOME": "/x"}
    looked = box_gateway.run_in_a_box((HOSTILE / "environment.py").read_text())
    assert "BREACH" not in looked["stdout"]


def test_n27_a_program_sees_its_mounts_and_writes_only_where_it_may(box_gateway: Any) -> None:
    shown, taken = box_gateway.folder / "shown", box_gateway.folder / "taken"
    for folder in (shown, taken):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
    (shown / "page").write_text("to be read")
    program = f"""
import os
print(open({str(shown / "page")!r}).read(), sorted(os.listdir({str(box_gateway.folder)!r})))
for path in ({str(shown / "new")!r}, {str(shown / "page")!r}, "/usr/new", "/new", "/etc/new"):
    try:
        open(path, "w")
        print("BREACH", path)
    except OSError as error:
        print("contained", path)
open({str(taken / "new")!r}, "w").write("written")
"""
    answer = box_gateway.run_in_a_box(program, mounts={str(shown): False, str(taken): True})
    assert answer["stdout"].count("contained") == 5, answer
    assert "BREACH" not in answer["stdout"]
    seen = answer["stdout"].splitlines()[0]
    assert seen.startswith("to be read")
    assert "gateway-state" not in seen
    assert (taken / "new").read_text() == "written"
    assert (taken / "new").stat().st_mode & 0o777 == 0o644


def test_n27_sockets_in_a_mounted_folder_cannot_be_spoken_to(box_gateway: Any) -> None:
    socket_file = box_gateway.places["unix"][1]
    program = f"""
import socket
try:
    socket.socket(socket.AF_UNIX).connect({socket_file!r})
    print("BREACH")
except OSError as error:
    print("contained", error)
"""
    folder = str(Path(socket_file).parent)
    assert "contained" in box_gateway.run_in_a_box(program, mounts={folder: False})["stdout"]


def test_n27_a_fork_bomb_ends_at_its_number_and_with_its_box(box_gateway: Any) -> None:
    program = """
import os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(300)
        made += 1
except OSError:
    print("contained", made)
"""
    answer = box_gateway.run_in_a_box(program, limits={"processes": 20})
    assert answer["stdout"] == "contained 19\n"  # with itself
    assert answer["ended"] == "it ended with exit code 0"


def test_n27_what_daemonises_ends_with_the_program(box_gateway: Any) -> None:
    held = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(300)  # with its standard output still open
    os._exit(0)
os.wait()
print("left", flush=True)
"""
    answer = box_gateway.run_in_a_box(held)  # which returns when nobody can write any more
    assert answer == {"stdout": "left\n", "ended": "it ended with exit code 0", "last_words": ""}


def test_n27_floods_of_both_outputs_wait_in_their_pipes(box_gateway: Any) -> None:
    program = """
import os
text = b"x" * 65536
while True:
    os.write(2, text)
    os.write(1, text)
"""
    answer = box_gateway.run_in_a_box(program)
    assert len(answer["stdout"]) >= 1024 * 1024


def test_n27_how_a_program_ended_is_said_with_its_last_words_made_harmless(box_gateway: Any) -> None:
    program = r"""
import os
os.write(2, b"first\n\x1b[31mred\xff \u202e".replace(b"\\u202e", "\u202e".encode()) + b"\n")
os.kill(os.getpid(), 9)
"""
    answer = box_gateway.run_in_a_box(program)
    assert answer["ended"] == "it was killed by SIGKILL"
    assert answer["last_words"].startswith("first | ?[31mred")
    assert answer["last_words"].isprintable()


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_n27_memory_of_every_kind_ends_at_the_limit_and_is_called_by_its_name(
    box_gateway: Any, name: str
) -> None:
    answer = box_gateway.run_in_a_box((HOSTILE / name).read_text(), limits={"memory_bytes": BOMBS[name]})
    assert "BREACH" not in answer["stdout"]
    assert answer["ended"].startswith("it needed more than its 128 MiB of memory"), answer
