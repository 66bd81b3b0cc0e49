"""A small real log: sealed events, the tree and its tiles."""

import hashlib
from dataclasses import dataclass

from macroslow.tlog import leaf, tree
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import Event
from macroslow.tlog.ports import Entry

ORIGIN = "gateway.example/log"
NOW_NS = 1_800_000_000_123_456_789


def octets(name: str, size_bytes: int) -> bytes:
    """Bytes that repeat from run to run."""
    return hashlib.shake_256(name.encode()).digest(size_bytes)


def salt_and_nonce(name: str) -> dict[str, bytes]:
    """What seals one event or part, and no other."""
    return {"salt": octets(f"salt{name}", 32), "nonce": octets(f"nonce{name}", 12)}


@dataclass(frozen=True)
class SmallLog:
    """A log of a few entries, with what a store would keep of it."""

    key: LogPrivateKey
    entries: list[Entry]
    edge: tree.Edge
    tiles: dict[tuple[int, int], bytes]

    def read_tile(self, level: int, index: int, width: int) -> bytes:
        return (self.tiles.get((level, index)) or self.edge.partial_tile(level))[: width * tree.HASH_BYTES]

    def checkpoint(self, time_s: int = 1_800_000_001) -> bytes:
        head = self.edge.head()
        return self.key.sign_checkpoint(head.size, head.root, time_s=time_s)

    def proof(self, index: int) -> list[bytes]:
        return tree.inclusion_proof(index, self.edge.head().size, self.read_tile)


def small_log(key: LogPrivateKey, events: list[Event]) -> SmallLog:
    log = SmallLog(key, [], tree.Edge(), {})
    for index, event in enumerate(events):
        parts = [
            leaf.seal_part(part, octets(part.subject, 32), **salt_and_nonce(f"{index} {part.subject}"))
            for part in sorted(event.others, key=lambda part: part.subject)
        ]
        sealed = leaf.seal_event(event, octets("key", 32), **salt_and_nonce(f"{index}"), parts=parts)
        opened = tuple(part.opened for part in parts)
        log.entries.append(Entry(index, sealed.leaf, sealed.canonical, sealed.salt, opened))
        for tile in log.edge.append(leaf.leaf_hash(sealed.leaf)):
            log.tiles[tile.level, tile.index] = tile.data
    return log
