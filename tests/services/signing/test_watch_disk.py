"""New work waits for room; what mends itself is taken back without flapping."""

import errno
import os

import pytest

from macroslow.ports import MIB
from macroslow.services.signing.log_health import LogHealth
from macroslow.services.signing.watch_disk import WatchDisk

RESERVE_BYTES = 100 * MIB
SHORT = "the disk of /state has 0 MiB free, less than the 100 MiB of [log] disk_reserve_mib"


class Disk:
    """A disk whose free space the test decides; None: it does not answer."""

    def __init__(self, free_bytes: int | None) -> None:
        self.free_bytes = free_bytes

    def __call__(self) -> int:
        if self.free_bytes is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self.free_bytes


@pytest.mark.parametrize(("free_bytes", "taken"), [(RESERVE_BYTES - 1, False), (RESERVE_BYTES, True)])
def test_new_work_is_taken_from_the_reserve_on(free_bytes: int, taken: bool) -> None:
    health = LogHealth()
    WatchDisk(health, {"/state": Disk(free_bytes)}, RESERVE_BYTES).look()
    assert (health.reasons() == []) == taken


def test_a_disk_that_hovers_at_its_reserve_does_not_let_work_in_and_out() -> None:
    health, disk = LogHealth(), Disk(RESERVE_BYTES - 1)
    watch = WatchDisk(health, {"/state": disk}, RESERVE_BYTES)
    seen = []
    for free_bytes in (RESERVE_BYTES - 1, RESERVE_BYTES + 1, RESERVE_BYTES * 11 // 10, RESERVE_BYTES + 1):
        disk.free_bytes = free_bytes
        watch.look()
        seen.append(not health.reasons())
    assert seen == [False, False, True, True]


def test_a_disk_that_does_not_answer_has_no_room() -> None:
    health, disk = LogHealth(), Disk(None)
    watch = WatchDisk(health, {"/state": disk}, 0)
    watch.look()
    assert health.reasons() == ["the disk of /state does not answer: Input/output error"]
    disk.free_bytes = 0
    watch.look()
    assert health.reasons() == []


def test_a_disk_that_answers_again_is_told_by_what_it_has() -> None:
    health, disk = LogHealth(), Disk(None)
    watch = WatchDisk(health, {"/state": disk}, RESERVE_BYTES)
    watch.look()
    disk.free_bytes = 0
    watch.look()
    assert health.reasons() == [SHORT]


def test_each_disk_has_its_own_reason() -> None:
    health, full = LogHealth(), Disk(0)
    watch = WatchDisk(health, {"/state": full, "/other": Disk(RESERVE_BYTES)}, RESERVE_BYTES)
    watch.look()
    health.hold("witnesses", "no witness answered")
    assert health.reasons() == [SHORT, "no witness answered"]
    health.release("witnesses")
    health.release("witnesses")
    full.free_bytes = 2 * RESERVE_BYTES
    watch.look()
    assert health.reasons() == []
