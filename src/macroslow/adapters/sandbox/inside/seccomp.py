"""The system call filter: a deny-list as a classic BPF program, assembled here.

A process on a foreign instruction set, or with x32 numbers, is killed (SIGSYS). What no code
block needs answers with an error, so that libraries fall back instead of dying.

Source: Linux seccomp(2), uapi/linux/seccomp.h and uapi/linux/filter.h; little-endian machines only.
"""

import ctypes
import enum
import errno
import platform
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from . import syscalls


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's audit number, and its column in the tables."""

    name: str
    audit: int
    column: int
    has_x32: bool


MACHINES: Final[Mapping[str, Machine]] = {
    "x86_64": Machine("x86_64", 0xC000003E, 0, has_x32=True),
    "aarch64": Machine("aarch64", 0xC00000B7, 1, has_x32=False),
}

Numbers = tuple[int | None, int | None]

# Nothing a block does needs these. name: (x86_64, aarch64), None where the machine has no such call.
REFUSED: Final[Mapping[str, Numbers]] = {
    # new namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "open_tree_attr": (467, 467),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # large and often broken parts of the kernel
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_secret": (447, 447),
    "modify_ldt": (154, None),
    # keyrings: shared by uid where the user namespace is shared
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # files by handle, file events
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    # the machine itself
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "reboot": (169, 142),
    "iopl": (172, None),
    "ioperm": (173, None),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "lookup_dcookie": (212, 18),
}

# Memory that belongs to no process, refused where no group counts it; and objects that outlive all
# processes and are seen by all, refused where no IPC namespace holds them.
SHARED_MEMORY: Final[Mapping[str, Numbers]] = {
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    # by number they are reached without asking for their key first
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "mq_unlink": (241, 181),
}

# Signals to others: refused where neither a pid namespace nor Landlock keeps them inside.
SIGNALS: Final[Mapping[str, Numbers]] = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
}

# What Landlock does not look at (Linux landlock.rst, "Current limitations"), refused without namespaces:
# attributes of files that may not even be opened, and sockets that listen without being bound.
BESIDE_LANDLOCK: Final[Mapping[str, Numbers]] = {
    "listen": (50, 201),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "ioprio_set": (251, 30),
}

# Priorities of other processes of the user, the gateway among them: only of oneself (pid 0).
_OF_ONESELF: Final[Mapping[str, Numbers]] = {
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
}

# With MSG_FASTOPEN these connect, past Landlock. name: numbers, and which argument has the flags.
_SENDS: Final[Mapping[str, tuple[Numbers, int]]] = {
    "sendto": ((44, 206), 3),
    "sendmsg": ((46, 211), 2),
    "sendmmsg": ((307, 269), 3),
}

_PRLIMIT64: Final[Numbers] = (302, 261)
_SETPRIORITY: Final[Numbers] = (141, 140)
_UTIMENSAT: Final[Numbers] = (280, 88)
_CLONE3: Final[Numbers] = (435, 435)
_CLONE: Final[Numbers] = (56, 220)
_SOCKET: Final[Numbers] = (41, 198)
_IOCTL: Final[Numbers] = (16, 29)
_PERSONALITY: Final[Numbers] = (135, 92)

NEW_NAMESPACES: Final = (
    syscalls.NEW_NS
    | syscalls.NEW_CGROUP
    | syscalls.NEW_UTS
    | syscalls.NEW_IPC
    | syscalls.NEW_USER
    | syscalls.NEW_PID
    | syscalls.NEW_NET
)
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C
_X32_BIT: Final = 0x40000000
_UNIX, _INET, _INET6 = 1, 2, 10
_STREAM: Final = 1
_TCP: Final = 6
_MSG_FASTOPEN: Final = 0x20000000

_KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000
_ALLOW: Final = 0x7FFF0000


class Op(enum.IntEnum):
    """The instructions of classic BPF that the filter uses."""

    LOAD = 0x20
    AND = 0x54
    EQUAL = 0x15
    AT_LEAST = 0x35
    ANY_BIT = 0x45
    RETURN = 0x06


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `then` and `otherwise` say how many instructions a test skips."""

    op: Op
    value: int
    then: int = 0
    otherwise: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """What differs between backends. The defaults are those of the native one with a memory group.

    `namespaces`: whether the run has namespaces of its own for files, processes and network.
    """

    namespaces: bool = True
    shared_memory: bool = True
    signals: bool = True
    unix_sockets: bool = True
    datagrams: bool = True


def _argument(index: int, *, high: bool = False) -> Instruction:
    """Load the low half of argument `index` of struct seccomp_data, or the high one: pointers have both."""
    return Instruction(Op.LOAD, 16 + 8 * index + 4 * high)


def _refuse(code: int) -> Instruction:
    return Instruction(Op.RETURN, _ERRNO | code)


_GRANT: Final = Instruction(Op.RETURN, _ALLOW)


def _only(number: int | None, body: Sequence[Instruction]) -> list[Instruction]:
    """Run `body` for one system call; it must end in a return."""
    if number is None:
        return []
    return [Instruction(Op.EQUAL, number, 0, len(body)), *body]


def _socket_body(profile: Profile) -> list[Instruction]:
    """Only UNIX and internet sockets: AF_VSOCK, for one, is bound to no network namespace.

    Without datagrams only TCP: Landlock does not look at other streams, such as MPTCP.
    """
    families = [_INET, _INET6]
    if profile.unix_sockets:
        families.insert(0, _UNIX)
    if profile.datagrams:
        tests = [Instruction(Op.EQUAL, family, len(families) - i) for i, family in enumerate(families)]
        return [_argument(0), *tests, _refuse(errno.EAFNOSUPPORT), _GRANT]
    unix = [Instruction(Op.EQUAL, _UNIX, 9)] if profile.unix_sockets else []
    return [
        _argument(0),
        *unix,
        Instruction(Op.EQUAL, _INET, 1),
        Instruction(Op.EQUAL, _INET6, 0, 6),
        _argument(1),
        Instruction(Op.AND, 0xF),
        Instruction(Op.EQUAL, _STREAM, 0, 3),
        _argument(2),
        Instruction(Op.EQUAL, 0, 2),
        Instruction(Op.EQUAL, _TCP, 1),
        _refuse(errno.EAFNOSUPPORT),
        _GRANT,
    ]


def _beside_landlock(column: int) -> list[Instruction]:
    """What stands where neither namespaces nor Landlock do."""
    code: list[Instruction] = []
    for numbers in BESIDE_LANDLOCK.values():
        code += _only(numbers[column], [_refuse(errno.EPERM)])
    for numbers in _OF_ONESELF.values():
        code += _only(numbers[column], [_argument(0), *_zero_or_refused()])
    for numbers, flags in _SENDS.values():
        fast = Instruction(Op.ANY_BIT, _MSG_FASTOPEN, 0, 1)
        code += _only(numbers[column], [_argument(flags), fast, _refuse(errno.EPERM), _GRANT])
    # PRIO_PROCESS, oneself
    own = [_argument(0), Instruction(Op.EQUAL, 0, 0, 2), _argument(1), *_zero_or_refused()]
    code += _only(_SETPRIORITY[column], own)
    # Times of an open file may be set (`touch` does), those of a path not.
    open_file = [_argument(1), Instruction(Op.EQUAL, 0, 0, 2), _argument(1, high=True), *_zero_or_refused()]
    return code + _only(_UTIMENSAT[column], open_file)


def _zero_or_refused() -> list[Instruction]:
    """Grant if what was loaded is 0."""
    return [Instruction(Op.EQUAL, 0, 1), _refuse(errno.EPERM), _GRANT]


def program(machine: Machine, profile: Profile) -> list[Instruction]:
    """Return the filter for one machine."""
    column = machine.column
    code = [
        Instruction(Op.LOAD, 4),
        Instruction(Op.EQUAL, machine.audit, 1),
        Instruction(Op.RETURN, _KILL),
        Instruction(Op.LOAD, 0),
    ]
    if machine.has_x32:
        code += [Instruction(Op.AT_LEAST, _X32_BIT, 0, 1), Instruction(Op.RETURN, _KILL)]
    refused = {
        **REFUSED,
        **({} if profile.shared_memory else SHARED_MEMORY),
        **({} if profile.signals else SIGNALS),
    }
    for numbers in refused.values():
        code += _only(numbers[column], [_refuse(errno.EPERM)])
    # Limits of oneself alone: those of init are not the run's to change, nor those of the gateway.
    code += _only(_PRLIMIT64[column], [_argument(0), *_zero_or_refused()])
    if not profile.namespaces:
        code += _beside_landlock(column)
    # ENOSYS, not EPERM: the C library then falls back to clone, whose flags can be read.
    code += _only(_CLONE3[column], [_refuse(errno.ENOSYS)])
    code += _only(
        _CLONE[column],
        [_argument(0), Instruction(Op.ANY_BIT, NEW_NAMESPACES, 0, 1), _refuse(errno.EPERM), _GRANT],
    )
    code += _only(_SOCKET[column], _socket_body(profile))
    code += _only(
        _IOCTL[column],
        [
            _argument(1),
            Instruction(Op.EQUAL, _TIOCSTI, 1),
            Instruction(Op.EQUAL, _TIOCLINUX, 0, 1),
            _refuse(errno.EPERM),
            _GRANT,
        ],
    )
    code += _only(
        _PERSONALITY[column],
        [
            _argument(0),
            Instruction(Op.EQUAL, 0, 2),
            Instruction(Op.EQUAL, 0xFFFFFFFF, 1),
            _refuse(errno.EPERM),
            _GRANT,
        ],
    )
    return [*code, _GRANT]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def assemble(profile: Profile) -> bytes:
    """Return the program for this machine as the kernel reads it; OSError if there is no table for it."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        raise OSError(errno.ENOSYS, f"no system call table for {platform.machine()}")
    code = program(machine, profile)
    return b"".join(struct.pack("=HBBI", i.op, i.then, i.otherwise, i.value) for i in code)


def install(assembled: bytes) -> None:
    """Put this process and all it starts under the filter, for good. Needs no_new_privs."""
    buffer = ctypes.create_string_buffer(assembled, len(assembled))
    header = _Program(len(assembled) // 8, ctypes.addressof(buffer))
    syscalls.prctl(syscalls.PR_SET_SECCOMP, 2, ctypes.byref(header), what="seccomp")
