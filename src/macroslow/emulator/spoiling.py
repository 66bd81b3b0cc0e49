"""What faults do to an answer: to its bytes, and to the usage that it reports."""

import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import orjson

from macroslow.emulator.faults import Garbage, Lie
from macroslow.emulator.work import Event

_ABSURD_TOKENS: Final = 10**15
_LINE_BYTES: Final = 2 * 1024 * 1024
_BOMB_BYTES: Final = 64 * 1024 * 1024
_BOMB_PART_BYTES: Final = 1024 * 1024
_GZIP_WBITS: Final = 16 + zlib.MAX_WBITS
_NOT_JSON: Final = b"<html><body><h1>It works!</h1></body></html>\n"

_CHANGES: Final[dict[Lie, Callable[[str, int], float]]] = {
    Lie.NEGATIVE: lambda _, tokens: -tokens - 1,
    Lie.ABSURD: lambda _, tokens: tokens + _ABSURD_TOKENS,
    Lie.FLOAT: lambda _, tokens: tokens + 0.5,
    Lie.TENFOLD: lambda name, tokens: tokens * 10 if name in ("input_tokens", "prompt_tokens") else tokens,
}


def told_usage(lie: Lie | None) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    """The usage that is reported for a true one; None: no report."""
    if lie is None:
        return lambda usage: usage
    if lie is Lie.MISSING:
        return lambda _: None
    return lambda usage: _changed(usage, _CHANGES[lie])


def _changed(usage: dict[str, Any], change: Callable[[str, int], float]) -> dict[str, Any]:
    """Every number of tokens in it changed, at any depth."""
    told = dict(usage)
    for name, value in usage.items():
        if isinstance(value, dict):
            told[name] = _changed(value, change)
        elif isinstance(value, int):
            told[name] = change(name, value)
    return told


def spoiled(body: bytes, garbage: Garbage | None) -> bytes:
    """A plain answer."""
    match garbage:
        case Garbage.TEXT:
            return _NOT_JSON
        case Garbage.HALF:
            return body[: len(body) // 2]
        case Garbage.CRLF:
            lines = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
            return lines.replace(b"\n", b"\r\n")
        case Garbage.LINE:
            return b" " * _LINE_BYTES + body
        case None:
            return body


def spoiled_events(events: Sequence[Event], garbage: Garbage | None) -> list[Event]:
    """A streamed answer."""
    before, after = list(events[: len(events) // 2]), list(events[len(events) // 2 :])
    match garbage:
        case Garbage.TEXT:
            return [*before, Event(b"data: " + _NOT_JSON + b"\n"), *after]
        case Garbage.LINE:
            return [*before, Event(b"data: " + b" " * _LINE_BYTES + b"{}\n\n"), *after]
        case Garbage.HALF:
            raw = after[0].raw
            return [*before, after[0]._replace(raw=raw[: len(raw) // 2])]
        case Garbage.CRLF:
            return [event._replace(raw=event.raw.replace(b"\n", b"\r\n")) for event in events]
        case None:
            return list(events)


@cache
def bomb() -> bytes:
    """64 MiB of spaces before an empty object, compressed; the first call takes half a second."""
    packer = zlib.compressobj(wbits=_GZIP_WBITS)
    part = b" " * _BOMB_PART_BYTES
    parts = [packer.compress(part) for _ in range(_BOMB_BYTES // _BOMB_PART_BYTES)]
    return b"".join((*parts, packer.compress(b"{}"), packer.flush()))
