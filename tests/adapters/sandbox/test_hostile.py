"""Blocks that attack: each must be contained, and said to be what it was."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from macroslow.adapters.sandbox import NATIVE
from macroslow.workflow.sandbox import Block, BlockStatus

HOSTILE = Path(__file__).with_name("hostile")
MIB = 1024 * 1024
SMALL: dict[str, Any] = {"memory_bytes": 128 * MIB, "file_bytes": 16 * MIB, "wall_s": 60.0, "files": 2000}


@dataclass(frozen=True)
class Contained:
    """How an attack must end: by default the block goes through its list and nothing on it works."""

    status: BlockStatus = BlockStatus.OK
    limit: str = ""
    says: str = ""
    limits: dict[str, Any] = field(default_factory=dict)


ATTEMPTS = [
    "environment.py", "init_environ.py", "ptrace.py", "other_pids.py", "keyrings.py", "kernel_surface.py",
    "sockets.py", "mounts.py", "namespaces.py", "setuid.py", "host_files.py", "metadata.py", "raw_connect.py",
    "host_loopback.py", "unix_sockets.py", "daemon.py", "held_stdout.sh", "kill_parent.py", "tiocsti.py",
    "symlinks.py", "hunt.sh", "fall_off.py", "shared_objects.py", "beside_landlock.py",
]  # fmt: skip
ENDED: dict[str, Contained] = {
    "output_flood.py": Contained(BlockStatus.OUTPUT, "output_bytes", "output that are kept"),
    "error_flood.sh": Contained(BlockStatus.OUTPUT, "output_bytes", "output that are kept"),
    "huge_result.py": Contained(BlockStatus.OUTPUT, "result_bytes", "longer than"),
    "pickle_result.py": Contained(BlockStatus.ERROR, says="not JSON"),
    "deep_result.py": Contained(BlockStatus.ERROR, says="not JSON"),
    "half_character.py": Contained(BlockStatus.ERROR, says="half of a pair: ?"),
    "large_exit_code.py": Contained(BlockStatus.ERROR, says="half of a pair: ?"),
    "nameless_signal.sh": Contained(BlockStatus.CRASH, says="killed by signal 40"),
    "nan_result.py": Contained(BlockStatus.ERROR, says="not JSON"),
    "foreign_calls.py": Contained(BlockStatus.FORBIDDEN, says="SIGSYS"),
    "x32_calls.py": Contained(BlockStatus.FORBIDDEN, says="SIGSYS"),
    "fork_bomb.py": Contained(BlockStatus.ERROR, says="exit with code 3", limits={"memory_bytes": 512 * MIB}),
    "fork_bomb.sh": Contained(BlockStatus.TIMEOUT, "wall_s", limits={"wall_s": 1.5}),
}
MEMORY = ["heap_bomb.py", "shared_bomb.py", "crowd_bomb.py"]


def load(name: str) -> Block:
    language = "bash" if name.endswith(".sh") else "python"
    return Block(language, name.partition(".")[0], (HOSTILE / name).read_text())


def test_every_hostile_file_is_run_by_a_test() -> None:
    named = {*ATTEMPTS, *ENDED, *MEMORY, "memfd_bomb.py", "disk_bomb.py", "inode_bomb.py", "forged_report.py"}
    assert named == {path.name for path in HOSTILE.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_nothing_on_the_attackers_list_works(gateway: Any, name: str) -> None:
    (block,) = gateway.run(load(name), limits=SMALL).blocks
    assert "BREACH" not in block.stdout
    assert "contained" in block.stdout, block
    assert block.status is BlockStatus.OK, block
    assert block.duration_ms < 30_000


@pytest.mark.parametrize("name", sorted(ENDED))
def test_an_attack_that_is_ended_is_called_by_its_name(gateway: Any, name: str) -> None:
    expected = ENDED[name]
    (block,) = gateway.run(load(name), limits=SMALL | expected.limits).blocks
    assert "BREACH" not in block.stdout
    assert block.status is expected.status, block
    assert expected.says in block.error
    assert block.limit == expected.limit
    assert (block.peak is None) == (not expected.limit)


@pytest.mark.parametrize("name", MEMORY)
def test_memory_of_every_kind_ends_at_the_limit(gateway: Any, name: str) -> None:
    (block,) = gateway.run(load(name), limits=SMALL).blocks
    assert "BREACH" not in block.stdout
    assert block.status is BlockStatus.MEMORY, block
    assert block.limit == ("memory" if gateway.counts_memory else "memory (sampled)")
    assert block.peak is not None
    assert block.peak < 512 * MIB
    assert "128 MiB" in block.error


def test_memory_that_no_process_maps_is_counted_or_refused(gateway: Any) -> None:
    (block,) = gateway.run(load("memfd_bomb.py"), limits=SMALL).blocks
    assert "BREACH" not in block.stdout
    if gateway.counts_memory and gateway.backend == NATIVE:
        assert block.status is BlockStatus.MEMORY
    else:
        assert block.status is BlockStatus.ERROR
        assert "PermissionError" in block.error


@pytest.mark.parametrize(("name", "limit"), [("disk_bomb.py", "file_bytes"), ("inode_bomb.py", "files")])
def test_a_full_work_folder_is_named(gateway: Any, name: str, limit: str) -> None:
    (block,) = gateway.run(load(name), limits=SMALL).blocks
    assert "BREACH" not in block.stdout
    assert block.status in {BlockStatus.ERROR, BlockStatus.OUTPUT}
    assert block.limit == limit, block
    assert block.peak is not None
    assert "work folder is full" in block.error


def test_words_to_init_change_nothing_but_the_blocks_own_outcome(gateway: Any) -> None:
    outcome = gateway.run(load("forged_report.py"), Block("bash", "after", "echo still here"), limits=SMALL)
    assert outcome.blocks[0].status in {BlockStatus.OK, BlockStatus.ERROR}
    after = outcome.blocks[1]
    assert after.status is BlockStatus.SKIPPED or after.stdout == "still here\n"


def test_links_laid_by_a_block_lead_the_gateway_nowhere(gateway: Any) -> None:
    gateway.run(
        load("symlinks.py"), Block("bash", "next", "cat $TMPDIR/block-2.sh $MAML_INPUTS"), limits=SMALL
    )
    again = gateway.run(Block("bash", "clean", "ls -A | sort; ls -A $TMPDIR"), inputs={}, limits=SMALL)
    assert again.blocks[0].stdout == ".shm\n.tmp\nblock-0.sh\ninputs.json\n"


def test_kernel_objects_do_not_outlive_their_run(gateway: Any) -> None:
    for _ in range(2):
        (block,) = gateway.run(load("shared_objects.py"), limits=SMALL).blocks
        assert "BREACH" not in block.stdout, block


def test_no_folder_of_a_run_stays_on_the_hosts_disk(gateway: Any) -> None:
    code = (
        "import os\nos.symlink('/etc', 'link'); os.makedirs('macroslow-0/x'); open('macroslow-1', 'w')\n"
        "for _ in range(1200): os.mkdir('d'); os.chdir('d')\nos.mkdir('closed', 0)"
    )
    (block,) = gateway.run(Block("python", "litter", code), limits=SMALL).blocks
    assert block.status in {BlockStatus.OK, BlockStatus.OUTPUT}, block  # too deep to be measured is too much
    assert list(gateway.folder.glob("macroslow-run-*")) == []
