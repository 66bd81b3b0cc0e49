"""A growing log of made-up leaves, and the keys of a signer over it."""

import hashlib
from dataclasses import dataclass, field

from tests.machine import SetClock

from macroslow.adapters.signer import Engine, HighWaterMarks
from macroslow.adapters.system import SystemEntropy
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.tlog import tree
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.ports import TreeHead
from macroslow.tlog.succession import Retired

ORIGIN = "gateway.example/log"
NOW_NS = 1_800_000_000_999_999_999
HASHES = [hashlib.sha256(b"%d" % number).digest() for number in range(40)]
RIVALS = [*HASHES[:7], *HASHES[20:]]
LOG_KEY = LogPrivateKey(ORIGIN, bytes([1]) * 32, bytes([2]) * 32)
ANSWER_KEY = HybridPrivateKey(KeyUse.ANSWER, bytes([3]) * 32, bytes([4]) * 32)
HISTORY_KEY = HybridPrivateKey(KeyUse.HISTORY, bytes([5]) * 32, bytes([6]) * 32)


@dataclass
class MemoryFiles:
    """Where the log's key would be kept."""

    staged: list[LogPrivateKey] = field(default_factory=list)
    retired: list[Retired] = field(default_factory=list)

    def stage(self, key: LogPrivateKey) -> None:
        self.staged.append(key)

    def switch(self, retired: Retired) -> None:
        self.retired.append(retired)


def engine_of(
    answer: HybridPrivateKey = ANSWER_KEY,
    history: HybridPrivateKey = HISTORY_KEY,
    marks: HighWaterMarks | None = None,
    files: MemoryFiles | None = None,
    retired: tuple[Retired, ...] = (),
    clock: SetClock | None = None,
) -> Engine:
    return Engine(
        log_key=LOG_KEY,
        answer_key=answer,
        history_key=history,
        clock=clock or SetClock(NOW_NS),
        entropy=SystemEntropy(),
        marks=marks or HighWaterMarks(None),
        files=files or MemoryFiles(),
        retired=retired,
    )


def head(size: int, hashes: list[bytes] = HASHES) -> TreeHead:
    return TreeHead(size, tree.root_of(hashes[:size]))


def proof(first: int, second: int, hashes: list[bytes] = HASHES) -> list[bytes]:
    def read_tile(level: int, index: int, width: int) -> bytes:
        assert (level, index) == (0, 0)
        return b"".join(hashes[:width])

    return tree.consistency_proof(first, second, read_tile)


def note_of(size: int, hashes: list[bytes] = HASHES, key: LogPrivateKey = LOG_KEY) -> bytes:
    return key.sign_checkpoint(size, tree.root_of(hashes[:size]), time_s=1)
