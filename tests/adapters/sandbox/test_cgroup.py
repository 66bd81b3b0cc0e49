"""Memory groups: made, entered, counted and removed where this machine lets us."""

import os
import subprocess

import pytest

from macroslow.adapters.sandbox import _cgroup
from macroslow.adapters.sandbox._cgroup import GroupParent

MIB = 1024 * 1024


@pytest.fixture
def parent() -> GroupParent:
    found = _cgroup.find_parent()
    if found is None:
        pytest.skip("no memory group can be made here")
    return found


def test_a_group_stops_what_is_in_it_and_says_how_often(parent: GroupParent) -> None:
    group = parent.create(f"macroslow-{os.getpid()}-test", 32 * MIB)
    with group.door() as door:
        code = f"import os; os.write({door}, b'0'); x = bytearray(b'x' * {256 * MIB})"
        done = subprocess.run(["/usr/bin/env", "python3", "-c", code], pass_fds=[door], check=False)
    assert done.returncode == -9
    assert group.oom_kills() == 1
    assert 30 * MIB < group.peak_bytes() <= 32 * MIB
    group.remove()
    assert not group.path.exists()


FILLS_SOCKETS = """
import os, socket, sys
os.write(int(sys.argv[1]), b"0")
listener = socket.create_server(("127.0.0.1", 0))
ends, sent = [], 0
for _ in range(40):
    ends += [socket.create_connection(listener.getsockname()), listener.accept()[0]]
    for end in ends[-2:]:
        end.setblocking(False)
        try:
            while True:
                sent += end.send(bytes(65536))
        except BlockingIOError:
            pass
print(sent)
"""


def test_what_lies_unread_in_sockets_is_bounded_too(parent: GroupParent) -> None:
    group = parent.create(f"macroslow-{os.getpid()}-sockets", 64 * MIB)
    with group.door() as door:
        command = ["/usr/bin/env", "python3", "-c", FILLS_SOCKETS, str(door)]
        done = subprocess.run(command, pass_fds=[door], capture_output=True, text=True, check=False)
    assert done.returncode == -9 or int(done.stdout) < 64 * MIB, done.stderr  # stalled, or stopped
    group.remove()


def test_groups_of_dead_gateways_are_swept_and_those_of_living_ones_stay(parent: GroupParent) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = parent.create(f"macroslow-{gone.pid}-left", 32 * MIB)
    mine = parent.create(f"macroslow-{os.getpid()}-mine", 32 * MIB)
    assert _cgroup.find_parent() == parent
    assert (left.path.exists(), mine.path.exists()) == (False, True)
    mine.remove()
