"""The kernel's table of mounts: names are bytes, and any byte but NUL may be in one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.adapters.sandbox._mountinfo import Mounted, holding, leading_to, mounted, read, shown

# proc_pid_mountinfo(5), and one without optional fields
TABLE = b"""\
36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
37 35 0:5 / /srv/of\\040u rw - fuse.x y rw
"""


def test_the_table_of_the_manual_is_read() -> None:
    assert read(TABLE) == [
        Mounted(36, 35, "/mnt2", "98:0", "/mnt1", "ext3", ("rw", "errors=continue")),
        Mounted(37, 35, "/srv/of u", "0:5", "/", "fuse.x", ("rw",)),
    ]


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"\0" not in name), min_size=1, max_size=3))
def test_any_name_is_read_as_it_is(names: list[bytes]) -> None:
    lines = []
    for name in names:
        escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in name)
        lines.append(b"1 2 3:4 /%s /%s rw shared:1 - ext4 /dev/x rw\n" % (escaped, escaped))
    found = [(os.fsencode(each.point), os.fsencode(each.root)) for each in read(b"".join(lines))]
    assert found == [(b"/" + name, b"/" + name) for name in names]


def test_this_process_has_a_root() -> None:
    assert "/" in [each.point for each in mounted()]


STACKED = read(b"""\
21 1 254:0 / / rw - ext4 /dev/vda rw
22 21 254:0 /home/u /srv/of\\040u rw - ext4 /dev/vda rw
23 21 0:5 / /keys rw - tmpfs a rw
24 23 0:6 / /keys rw - tmpfs b rw
25 21 0:7 / /srv rw - tmpfs c rw
26 21 0:8 / / rw - tmpfs d rw
""")


@pytest.mark.parametrize(
    ("path", "number"), [("/keys", 24), ("/keys/a", 24), ("/keyset", 21), ("/srv/of u/a", 25), ("/", 21)]
)
def test_what_was_mounted_later_hides_what_stood_there_or_deeper(path: str, number: int) -> None:
    assert holding(STACKED, path).number == number


def test_a_path_that_is_on_no_mount_that_is_known_is_said_to_be_on_none() -> None:
    with pytest.raises(OSError, match="no mount"):
        holding(STACKED[1:2], "/keys")


def test_what_a_path_shows_is_its_own_place_and_all_that_is_mounted_below() -> None:
    found = [(each.device, each.root) for each in shown(STACKED, "/srv")]
    assert found == [("0:7", "/"), ("254:0", "/home/u")]
    (own,) = shown(STACKED, "/home/u/keys")
    assert leading_to(STACKED, own) == ["/home/u/keys", "/srv/of u/keys"]
    (around,) = shown(STACKED, "/home")
    assert leading_to(STACKED, around) == ["/home", "/srv/of u"]


AS_THE_KERNEL_SAYS = """
import os, sys
from pathlib import Path
from macroslow.adapters.sandbox._mountinfo import holding, mounted
from macroslow.adapters.sandbox.inside import syscalls as s
s.unshare(s.NEW_NS | (s.NEW_USER if os.geteuid() else 0), "unshare")
s.mount("", "/", flags=s.MS_REC | s.MS_PRIVATE)
top = Path(sys.argv[1])
def over(name, source=""):
    (top / name).mkdir(parents=True, exist_ok=True)
    kind = "" if source else "tmpfs"
    s.mount(source or "none", str(top / name), kind, s.MS_BIND | s.MS_REC if source else 0)
over("a/b"); over("a/b"); over("a/b/c d"); over("a/b/c d"); over("x", str(top / "a")); over("a"); over("a/b")
over("y/z"); over("y"); (top / "y/z").mkdir(); over("/"); over("a"); over("a/b/c")
paths = [Path("/"), Path("/proc/self"), Path("/dev/null"), top, *top.rglob("*")]
for path in paths:
    held = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    lines = Path(f"/proc/self/fdinfo/{held}").read_text().splitlines()
    said = next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
    assert holding(mounted(), str(path)).number == said, path
print(len(paths))
"""


def test_among_mounts_upon_mounts_each_path_is_where_the_kernel_says(tmp_path: Path) -> None:
    command = [sys.executable, "-c", AS_THE_KERNEL_SAYS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip("no mounts can be made here")
    assert int(done.stdout or 0) > 10, done.stderr
