"""Images that answer a query: the same ones every time, made of its digest.

A query of the word "nothing" finds none; every other one finds TOTAL.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from macroslow.crypto import base64url

TOTAL: Final = 1234
NOTHING: Final = "nothing"
_NAMES: Final = ("Ada Quill", "Bo Harrow", "Cyn Vale", "Dag Lindqvist", "Esi Mensah", "Fumi Arai")
_SIDES: Final = {"landscape": (6000, 4000), "portrait": (4000, 6000)}


@dataclass(frozen=True, slots=True)
class Invented:
    """One image. `digest` has 32 bytes, of which all else is made."""

    digest: bytes
    text: str
    width: int
    height: int

    @property
    def id(self) -> str:
        """Eleven characters, as Unsplash's are."""
        return base64url.encode(self.digest[:8])

    @property
    def number(self) -> int:
        """Seven digits, as Pixabay's are."""
        return 1_000_000 + int.from_bytes(self.digest[8:12], "big") % 9_000_000

    @property
    def author(self) -> str:
        return _NAMES[self.digest[12] % len(_NAMES)]

    @property
    def username(self) -> str:
        return self.author.lower().replace(" ", "")

    @property
    def trace(self) -> str:
        """What Unsplash calls `ixid`."""
        return base64url.encode(self.digest[13:31])

    @property
    def colour(self) -> str:
        """Six hexadecimal digits."""
        return self.digest[:3].hex()


def invent(query: str, orientation: str, first: int, count: int) -> list[Invented]:
    """The images `first` to `first + count` of a query, as far as there are so many."""
    if query.strip().lower() == NOTHING:
        return []
    width, height = _SIDES.get(orientation, _SIDES["landscape"])
    return [
        Invented(hashlib.sha256(f"{query} {orientation} {n}".encode()).digest(), query, width, height)
        for n in range(first, min(first + count, TOTAL))
    ]


def total(query: str) -> int:
    """How many a query finds."""
    return len(invent(query, "", 0, TOTAL))


def picture(colour: str, width: int, height: int) -> bytes:
    """A PNG of one colour (PNG specification, second edition, section 11.2)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    row = b"\0" + bytes.fromhex(colour) * width
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(row * height)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
