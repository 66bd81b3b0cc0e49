"""The kernel's table of mounts: names are bytes, and any byte but NUL may be in one."""

import os

from hypothesis import given
from hypothesis import strategies as st

from macroslow.adapters.sandbox._mountinfo import Mounted, mounted, read

# proc_pid_mountinfo(5), and one without optional fields
TABLE = b"""\
36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
37 35 0:5 / /srv/of\\040u rw - fuse.x y rw
"""


def test_the_table_of_the_manual_is_read() -> None:
    assert read(TABLE) == [
        Mounted("/mnt2", "98:0", "/mnt1", "ext3"),
        Mounted("/srv/of u", "0:5", "/", "fuse.x"),
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
