"""The log as static files: which there are, how they are called, what is in a bundle of entries.

`tile/<L>/<N>[.p/<W>]` holds hashes, `tile/entries/<N>[.p/<W>]` entries, each after its length as u16. N
stands in groups of three digits, all but the last behind an `x`: 1234067 is `x001/x234/067`. There is
one name for each file, and what is written in any other way is none. No number is believed before it was
held against the size of a tree.

Source: C2SP tlog-tiles.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.errors import VerificationError
from macroslow.tlog.tree import TILE_HEIGHT, TILE_WIDTH

FOLDER: Final = "tile"
CHECKPOINT: Final = "checkpoint"
_GROUP: Final = 1000
_LEVEL: Final = r"entries|[0-9]|[1-5][0-9]|6[0-3]"
_NUMBER: Final = r"(?:x(?!000)[0-9]{3}/(?:x[0-9]{3}/){0,5})?[0-9]{3}"  # 21 digits: beyond every size
_WIDTH: Final = r"[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]"
NAME: Final = rf"({_LEVEL})/({_NUMBER})(?:\.p/({_WIDTH}))?"
_PATH: Final = re.compile(f"{FOLDER}/{NAME}")
_LENGTH: Final = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class TileFile:
    """One file: `width` (1 to 256) hashes of `level` from `index` * 256 on; without a level, entries."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @classmethod
    def parse(cls, path: str) -> "TileFile | None":
        """The file of that name; None where no log can have one."""
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        level = None if found[1] == "entries" else int(found[1])
        return cls(level, int(re.sub("[x/]", "", found[2])), int(found[3] or TILE_WIDTH))

    @property
    def path(self) -> str:
        """Its name, below the log's prefix."""
        level = "entries" if self.level is None else self.level
        partial = f".p/{self.width}" if self.is_partial else ""
        return f"{FOLDER}/{level}/{_grouped(self.index)}{partial}"

    @property
    def is_partial(self) -> bool:
        """Whether it has fewer than 256 hashes or entries, and so will have a successor."""
        return self.width < TILE_WIDTH

    @property
    def start(self) -> int:
        """The place of its first hash in its level, or of its first entry in the log."""
        return self.index * TILE_WIDTH

    @property
    def end(self) -> int:
        """The place behind its last one."""
        return self.start + self.width

    def is_of(self, size: int) -> bool:
        """Whether a tree of `size` entries, or a smaller one that it extends, has this file."""
        return self.end <= size >> TILE_HEIGHT * (self.level or 0)


def files_of(level: int | None, size: int) -> Iterator[TileFile]:
    """The files of one level that a tree of `size` entries has, in order: full ones, then a partial one."""
    for index in range(size >> TILE_HEIGHT * (level or 0) >> TILE_HEIGHT):
        yield TileFile(level, index)
    partial = partial_of(level, size)
    if partial is not None:
        yield partial


def partial_of(level: int | None, size: int) -> TileFile | None:
    """The partial file of one level; None where the last one is full."""
    index, width = divmod(size >> TILE_HEIGHT * (level or 0), TILE_WIDTH)
    return TileFile(level, index, width) if width else None


def levels_of(size: int) -> range:
    """The levels of the tiles of a tree of `size` entries: none for the empty tree."""
    return range(-(-size.bit_length() // TILE_HEIGHT))


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as a file has them. ValueError for one of more than 65,535 bytes."""
    try:
        return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)
    except struct.error:
        raise ValueError("an entry has at most 65,535 bytes") from None


def unbundle(content: bytes) -> list[bytes]:
    """The entries of a file. VerificationError if it does not consist of entries."""
    entries, at = list[bytes](), 0
    while at < len(content):
        body = at + _LENGTH.size
        end = body + int.from_bytes(content[at:body], "big")
        if body > len(content) or end > len(content):
            raise VerificationError("the last entry of the bundle is cut off")
        entries.append(content[body:end])
        at = end
    return entries


def _grouped(index: int) -> str:
    """`index` in groups of three digits."""
    groups = [f"{index % _GROUP:03}"]
    while index := index // _GROUP:
        groups.append(f"x{index % _GROUP:03}")
    return "/".join(reversed(groups))
