"""The filter: by an interpreter of its program for both machines, and by the kernel of this one."""

import ctypes
import errno
import json
import platform
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.adapters.sandbox.inside import seccomp
from macroslow.adapters.sandbox.inside.seccomp import MACHINES, Machine, Op, Profile

ALLOW = "allow"
KILL = "kill"
STRICT = Profile(namespaces=False, shared_memory=False, signals=False, unix_sockets=False, datagrams=False)
BOTH = pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES.keys())


def decide(
    machine: Machine, profile: Profile, number: int, *arguments: int, audit: int | None = None
) -> str | int:
    """Interpret the program: ALLOW, KILL or an errno."""
    memory = {0: number, 4: machine.audit if audit is None else audit}
    for i, value in enumerate([*arguments, *[0] * 6][:6]):
        memory |= {16 + 8 * i: value & 0xFFFFFFFF, 20 + 8 * i: value >> 32 & 0xFFFFFFFF}
    program = seccomp.program(machine, profile)
    accumulator = position = 0
    while True:
        step = program[position]
        position += 1
        match step.op:
            case Op.LOAD:
                accumulator = memory[step.value]
            case Op.AND:
                accumulator &= step.value
            case Op.EQUAL:
                position += step.then if accumulator == step.value else step.otherwise
            case Op.AT_LEAST:
                position += step.then if accumulator >= step.value else step.otherwise
            case Op.ANY_BIT:
                position += step.then if accumulator & step.value else step.otherwise
            case Op.RETURN:
                named: dict[int, str] = {0x7FFF0000: ALLOW, 0x80000000: KILL}
                return named.get(step.value, step.value & 0xFFFF)


def number(machine: Machine, x86_64: int, aarch64: int) -> int:
    return (x86_64, aarch64)[machine.column]


@BOTH
def test_every_call_on_the_list_is_refused_and_its_neighbours_are_not(machine: Machine) -> None:
    listed = {n[machine.column] for n in seccomp.REFUSED.values()} - {None}
    for each in sorted(filter(None, listed)):
        assert decide(machine, Profile(), each) == errno.EPERM
    special = {number(machine, *pair) for pair in ((56, 220), (41, 198), (16, 29), (135, 92))} | {435}
    for each in range(470):
        if each not in listed | special:
            assert decide(machine, Profile(), each) == ALLOW


@BOTH
def test_another_instruction_set_is_killed(machine: Machine) -> None:
    for audit in (0x40000003, 0, 0xC00000B7 if machine.audit != 0xC00000B7 else 0xC000003E):
        assert decide(machine, Profile(), 0, audit=audit) == KILL


@given(st.integers(0x40000000, 0xFFFFFFFF))
def test_x32_numbers_are_killed(each: int) -> None:
    assert decide(MACHINES["x86_64"], Profile(), each) == KILL


@BOTH
@given(flags=st.integers(0, 2**32 - 1))
def test_clone_is_refused_just_when_it_asks_for_a_namespace(machine: Machine, flags: int) -> None:
    expected = errno.EPERM if flags & 0x7E020000 else ALLOW
    assert decide(machine, Profile(), number(machine, 56, 220), flags) == expected
    assert decide(machine, Profile(), 435, flags) == errno.ENOSYS


@BOTH
@given(family=st.integers(0, 60), kind=st.integers(0, 10), flags=st.sampled_from([0, 0o4000, 0o2000000]))
def test_sockets_are_of_few_families(machine: Machine, family: int, kind: int, flags: int) -> None:
    call = number(machine, 41, 198)
    open_families = {1, 2, 10}
    expected = ALLOW if family in open_families else errno.EAFNOSUPPORT
    assert decide(machine, Profile(), call, family, kind | flags) == expected
    strict = ALLOW if family in {2, 10} and kind == 1 else errno.EAFNOSUPPORT
    assert decide(machine, STRICT, call, family, kind | flags) == strict
    unix = decide(machine, Profile(datagrams=False), call, 1, kind | flags)
    assert unix == ALLOW


@BOTH
@given(family=st.sampled_from([1, 2, 10]), protocol=st.integers(0, 300))
def test_without_a_network_namespace_a_stream_is_tcp(machine: Machine, family: int, protocol: int) -> None:
    call = number(machine, 41, 198)
    assert decide(machine, Profile(), call, family, 1, protocol) == ALLOW
    expected = ALLOW if family != 1 and protocol in {0, 6} else errno.EAFNOSUPPORT
    assert decide(machine, STRICT, call, family, 1, protocol) == expected


@BOTH
@given(flags=st.integers(0, 2**32 - 1))
def test_without_a_network_namespace_sending_does_not_connect(machine: Machine, flags: int) -> None:
    for x86_64, aarch64, at in ((44, 206, 3), (46, 211, 2), (307, 269, 3)):
        arguments = [3, 4, 5, 6]
        arguments[at] = flags
        call = number(machine, x86_64, aarch64)
        assert decide(machine, Profile(), call, *arguments) == ALLOW
        expected = errno.EPERM if flags & 0x20000000 else ALLOW
        assert decide(machine, STRICT, call, *arguments) == expected


@BOTH
@given(pid=st.integers(0, 2**22))
def test_limits_and_priorities_are_set_of_oneself_alone(machine: Machine, pid: int) -> None:
    expected = errno.EPERM if pid else ALLOW
    for profile in (Profile(), STRICT):
        assert decide(machine, profile, number(machine, 302, 261), pid) == expected
    for x86_64, aarch64 in ((142, 118), (144, 119), (203, 122), (314, 274)):
        assert decide(machine, STRICT, number(machine, x86_64, aarch64), pid) == expected
    for kind in (0, 1, 2):
        of_oneself = ALLOW if (kind, pid) == (0, 0) else errno.EPERM
        assert decide(machine, STRICT, number(machine, 141, 140), kind, pid) == of_oneself


@BOTH
def test_without_a_mount_namespace_times_are_set_of_open_files_alone(machine: Machine) -> None:
    call = number(machine, 280, 88)
    assert decide(machine, STRICT, call, 1, 0) == ALLOW
    for pointer in (1, 2**31, 2**32, 0x7F00_0000_0000, 2**63):
        assert decide(machine, STRICT, call, 1, pointer) == errno.EPERM
        assert decide(machine, Profile(), call, 1, pointer) == ALLOW


@BOTH
def test_terminals_cannot_be_typed_into(machine: Machine) -> None:
    call = number(machine, 16, 29)
    for request in (0x5412, 0x541C, 0xFFFFFFFF00005412):
        assert decide(machine, Profile(), call, 0, request) == errno.EPERM
    assert decide(machine, Profile(), call, 0, 0x5401) == ALLOW


@BOTH
def test_personality_can_only_be_asked_or_be_plain(machine: Machine) -> None:
    call = number(machine, 135, 92)
    answers = [decide(machine, Profile(), call, value) for value in (0, 0xFFFFFFFF, 0x0400000, 8)]
    assert answers == [ALLOW, ALLOW, errno.EPERM, errno.EPERM]


@BOTH
def test_what_is_left_open_only_behind_other_walls_is_closed_without_them(machine: Machine) -> None:
    for table in (seccomp.SHARED_MEMORY, seccomp.SIGNALS, seccomp.BESIDE_LANDLOCK):
        for each in filter(None, (pair[machine.column] for pair in table.values())):
            assert decide(machine, Profile(), each) == ALLOW
            assert decide(machine, STRICT, each) == errno.EPERM


def test_the_machines_have_different_numbers_where_the_kernel_says_so() -> None:
    for name, (x86_64, aarch64) in seccomp.REFUSED.items():
        if aarch64 is not None and x86_64 is not None:
            assert (x86_64 == aarch64) == (x86_64 >= 424), name


IN_THE_KERNEL = """
import ctypes, json, sys
sys.path.insert(0, sys.argv[1])
from inside import seccomp, syscalls
libc = ctypes.CDLL(None, use_errno=True)
profile = seccomp.Profile(shared_memory=False)
syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install(seccomp.assemble(profile))
answers = {}
for name, numbers in {**seccomp.REFUSED, **seccomp.SHARED_MEMORY, "clone3": (435, 435)}.items():
    ctypes.set_errno(0)
    result = libc.syscall(numbers[int(sys.argv[2])], -1, -1, -1, -1, -1, -1)
    answers[name] = [result, ctypes.get_errno()]
print(json.dumps(answers))
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are this machine's")
def test_the_kernel_refuses_every_entry_of_the_list() -> None:
    folder = seccomp.__file__.rsplit("/", 2)[0]
    done = subprocess.run(
        [sys.executable, "-I", "-c", IN_THE_KERNEL, folder, "0"], capture_output=True, text=True, check=True
    )
    answers = json.loads(done.stdout)
    assert answers.pop("clone3") == [-1, errno.ENOSYS]
    assert len(answers) == len(seccomp.REFUSED) + len(seccomp.SHARED_MEMORY)
    assert {tuple(answer) for answer in answers.values()} == {(-1, errno.EPERM)}


def test_the_program_fits_what_the_kernel_takes() -> None:
    for machine in MACHINES.values():
        assert len(seccomp.program(machine, STRICT)) < 4096
    assert ctypes.sizeof(ctypes.c_void_p) == 8
