"""Logs of any size without a gateway: leaves as they are in ours, and files that are made from them directly.

Nothing here uses `tlog.tree` or `tlog.tiles`: the hashes are those of RFC 6962 section 2.1, the files and
their names those of C2SP tlog-tiles, read again.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property

from macroslow.tlog.checkpoint import LogPrivateKey

ORIGIN = "log.example/one"
KEY = LogPrivateKey(ORIGIN, hashlib.sha256(b"ed25519").digest(), hashlib.sha256(b"ml-dsa-44").digest())
FOREIGN_KEY = LogPrivateKey(ORIGIN, hashlib.sha256(b"x").digest(), hashlib.sha256(b"y").digest())
TIME_S = 1_800_000_000


def leaf(number: int, log: str = "log") -> bytes:
    """78 bytes that begin as every leaf does."""
    return b"MSL1" + hashlib.shake_256(f"{log}{number}".encode()).digest(74)


class StaticLog:
    """A log of `size` entries; two with the same `name` are prefixes of one another."""

    def __init__(self, size: int, key: LogPrivateKey = KEY, name: str = "log") -> None:
        self.size = size
        self.key = key
        self.leaves = [leaf(number, name) for number in range(size)]
        self.fetched: list[str] = []

    @cached_property
    def levels(self) -> list[list[bytes]]:
        """The hashes of every height, complete subtrees alone."""
        row = [hashlib.sha256(b"\0" + each).digest() for each in self.leaves]
        rows = [row]
        while len(row) > 1:
            row = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(row[::2], row[1::2], strict=False)]
            rows.append(row)
        return rows

    @property
    def root(self) -> bytes:
        """Complete subtrees from the right to the left."""
        root, at = None, self.size
        for height, row in enumerate(self.levels):
            if at >> height & 1:
                node = row[(at >> height) - 1]
                root = node if root is None else hashlib.sha256(b"\1" + node + root).digest()
        return hashlib.sha256().digest() if root is None else root

    @cached_property
    def note(self) -> bytes:
        return self.key.sign_checkpoint(self.size, self.root, time_s=TIME_S)

    def fetch(self, paths: Sequence[str]) -> list[bytes]:
        """What a gateway would send."""
        self.fetched += paths
        return [self.file(path) for path in paths]

    def file(self, path: str) -> bytes:
        _, level, *groups = path.split("/")
        width = int(groups.pop()) if groups[-2:-1] and groups[-2].endswith(".p") else 256
        first = int("".join(group.strip("x.p") for group in groups)) * 256
        if level == "entries":
            chosen = self.leaves[first : first + width]
            assert len(chosen) == width
            return b"".join(len(each).to_bytes(2, "big") + each for each in chosen)
        chosen = self.levels[8 * int(level)][first : first + width]
        assert len(chosen) == width
        return b"".join(chosen)

    def files(self) -> dict[str, bytes]:
        """The whole tree, with its checkpoint."""
        found = {"checkpoint": self.note}
        for level in ["entries", *range(8)]:
            count = self.size >> (0 if level == "entries" else 8 * int(level))
            for index in range(-(-count // 256)):
                width = min(256, count - index * 256)
                number = f"{index:03}" if index < 1000 else f"x{index // 1000:03}/{index % 1000:03}"
                path = f"tile/{level}/{number}" + (f".p/{width}" if width < 256 else "")
                found[path] = self.file(path)
        return found
