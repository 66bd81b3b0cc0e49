"""How large a picture in a request is, read from the first bytes of its file without decoding it.

PNG, JPEG, GIF and WebP, as the models take them, told apart by their own first bytes and not by what
is said of them. A picture at a URL has a size that is not known here, and so has a JPEG whose frame
header is far behind its other headers, and a GIF whose first frame is not found: decoders enlarge its
screen to that. Input comes from an adversary: what cannot be read, has no pixels or more than a side
of `MAX_SIDE_PX` is refused.

Sources: PNG (third edition), 11.2.1; ITU-T T.81, B.2.2; GIF89a, 15 to 27; RFC 9649, 2.5 to 2.7.
"""

import binascii
import re
from typing import Final, Literal

from macroslow.inference.shapes import UnfitError
from macroslow.metering.images import Detail, Image

MAX_SIDE_PX: Final = 65_535  # what JPEG can say; PNG and WebP could say more than anybody decodes

_MAX_URL_CHARACTERS: Final = 8192
_DATA_URL: Final = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,", re.IGNORECASE)
_WEB_URL: Final = re.compile(r"https://[!-~]+")
_FIRST_CHARACTERS: Final = 1024  # of base64: all that PNG and WebP need
_MOST_CHARACTERS: Final = 256 * 1024
_MOST_STEPS: Final = 512  # to the frame header; a file made of markers or empty blocks costs no more
_JPEG: Final = b"\xff\xd8"
_GIF: Final = (b"GIF87a", b"GIF89a")
_GIF_SCREEN_BYTES: Final = 13  # with the signature
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # Huffman tables, reserved, arithmetic
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_EXPECTED: Final = "must be a PNG, JPEG, GIF or WebP picture whose size can be read"


def at_url(url: str, detail: Detail = "auto") -> Image:
    """The picture at `url`: a data URL, or an https URL that the provider fetches. Raises UnfitError."""
    found = _DATA_URL.match(url)
    if found is not None:
        return in_base64(url, detail, start=found.end())
    if len(url) > _MAX_URL_CHARACTERS or not _WEB_URL.fullmatch(url):
        raise UnfitError("must be an https URL, or a data URL of a PNG, JPEG, GIF or WebP picture")
    return Image(None, None, detail)


def in_base64(data: str, detail: Detail = "auto", *, start: int = 0) -> Image:
    """The picture whose file is in `data` from `start` on, as base64. Raises UnfitError."""
    for most in (_FIRST_CHARACTERS, _MOST_CHARACTERS):
        head = _decoded(data[start : start + most])
        size = _size(head)
        if size is not None or start + most >= len(data):
            break
        if not head.startswith((_JPEG, *_GIF)):
            raise UnfitError(_EXPECTED)
    else:
        return Image(None, None, detail)
    if size is None and head.startswith(_GIF) and len(head) >= _GIF_SCREEN_BYTES:
        return Image(None, None, detail)
    if size is None or not all(0 < side <= MAX_SIDE_PX for side in size):
        raise UnfitError(_EXPECTED)
    return Image(*size, detail)


def _decoded(base64: str) -> bytes:
    try:
        return binascii.a2b_base64(base64, strict_mode=True)
    except ValueError as error:  # no base64, or not ASCII
        raise UnfitError("must be base64") from error


def _size(head: bytes) -> tuple[int, int] | None:
    """Width and height by a file's first bytes, if they say."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return _pair(head, 16, 4, "big")
    if head.startswith(_GIF):
        return _gif_size(head)
    if head.startswith(_JPEG):
        return _jpeg_size(head)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp_size(head)
    return None


def _pair(head: bytes, at: int, each: int, order: Literal["big", "little"]) -> tuple[int, int] | None:
    """Two numbers of `each` bytes, if they are all there."""
    if len(head) < at + 2 * each:
        return None
    return int.from_bytes(head[at : at + each], order), int.from_bytes(head[at + each : at + 2 * each], order)


def _gif_size(head: bytes) -> tuple[int, int] | None:
    """The screen, enlarged to hold the first frame: from block to block up to its descriptor."""
    screen = _pair(head, 6, 2, "little")
    if screen is None or len(head) < _GIF_SCREEN_BYTES:
        return None
    at = _GIF_SCREEN_BYTES
    if head[10] & 0x80:  # a table of colours
        at += 3 << (head[10] & 7) + 1
    within = False  # an extension, which is blocks of data up to an empty one
    for _ in range(_MOST_STEPS):
        if at >= len(head):
            break
        if within:
            within = head[at] > 0
            at += 1 + head[at]
        elif head[at] == 0x21:
            within = True
            at += 2
        elif head[at] == 0x2C:
            corner, size = _pair(head, at + 1, 2, "little"), _pair(head, at + 5, 2, "little")
            if corner is None or size is None:
                break
            return max(screen[0], corner[0] + size[0]), max(screen[1], corner[1] + size[1])
        else:  # the trailer, or nothing that the standard knows
            break
    return None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """From marker to marker up to the frame header."""
    at = 2
    for _ in range(_MOST_STEPS):
        if at + 4 > len(head) or head[at] != 0xFF:
            break
        marker = head[at + 1]
        if marker in _FRAMES:
            size = _pair(head, at + 5, 2, "big")
            return None if size is None else (size[1], size[0])
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    """By the first chunk: lossy, lossless or extended."""
    chunk = head[12:16]
    if chunk == b"VP8X":
        size = _pair(head, 24, 3, "little")
        return None if size is None else (size[0] + 1, size[1] + 1)
    if chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        size = _pair(head, 26, 2, "little")
        return None if size is None else (size[0] & 0x3FFF, size[1] & 0x3FFF)
    if chunk == b"VP8L" and len(head) >= 25 and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None
