"""The state folder is private, and one process's at a time."""

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from macroslow.adapters.statefolder import hold, prepare
from macroslow.errors import ConfigurationError, StateLockedError

HOLDER = """
import sys
from pathlib import Path
from macroslow.adapters.statefolder import hold, prepare
with hold(prepare(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder's lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "state")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277])
def test_a_new_folder_is_private_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        folder = prepare(tmp_path / "state")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert "*" in (folder.path / ".gitignore").read_text().splitlines()


def test_preparing_again_changes_nothing(tmp_path):
    prepare(tmp_path)
    (tmp_path / ".gitignore").write_text("mine")
    assert prepare(tmp_path).control_socket == tmp_path / "control.sock"
    assert (tmp_path / ".gitignore").read_text() == "mine"


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_can_change_is_refused_with_the_repair(tmp_path, mode):
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="can be changed by other users") as caught:
        prepare(path)
    assert caught.value.fix == f"chmod 700 {path}"
    subprocess.run(caught.value.fix.split(), check=True)
    prepare(path)


def test_a_folder_of_another_user_is_refused_with_the_repair(tmp_path):
    path, owner = Path("/usr"), 0
    if os.geteuid() == 0:
        path, owner = tmp_path / "state", 12345
        path.mkdir(mode=0o700)
        os.chown(path, owner, -1)
    with pytest.raises(ConfigurationError, match=f"belongs to user {owner}, not to us") as caught:
        prepare(path)
    assert f"chown -R {os.geteuid()} {path}" in caught.value.fix


@pytest.mark.parametrize("what", ["file", "dangling"])
def test_what_is_no_folder_is_refused(tmp_path, what):
    path = tmp_path / "state"
    path.write_text("") if what == "file" else path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="state folder"):
        prepare(path)


def test_a_second_process_is_told_who_holds_the_folder(tmp_path, holder):
    folder = prepare(tmp_path / "state")
    with pytest.raises(StateLockedError, match=f"in use by process {holder.pid}$") as caught, hold(folder):
        pass
    assert f"kill {holder.pid}" in caught.value.fix


def test_the_lock_ends_with_its_holder_even_by_kill(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    with hold(prepare(tmp_path / "state")):
        assert (tmp_path / "state" / "lock").read_text() == f"{os.getpid()}\n"


def test_a_holder_that_lets_go_leaves_no_name_behind(tmp_path):
    folder = prepare(tmp_path)
    with hold(folder), pytest.raises(StateLockedError), hold(folder):
        pass
    assert (tmp_path / "lock").read_text() == ""
    with hold(folder):
        pass


def test_a_program_started_while_the_lock_is_held_does_not_keep_it(tmp_path):
    folder = prepare(tmp_path)
    with hold(folder):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with hold(folder):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    folder = prepare(tmp_path / "state")
    (folder.path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="lock cannot be opened"), hold(folder):
        pass
    assert not (tmp_path / "elsewhere").exists()


def _try(path, barrier, won) -> None:
    folder = prepare(path)
    barrier.wait()
    try:
        with hold(folder):
            won.put(os.getpid())
            barrier.wait()
    except StateLockedError:
        barrier.wait()


def test_of_many_processes_at_once_one_gets_the_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(4), context.SimpleQueue()
    processes = [context.Process(target=_try, args=(tmp_path / "state", barrier, won)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert won.get() in {process.pid for process in processes}
    assert won.empty()
