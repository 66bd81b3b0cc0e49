"""URI patterns: what a permission, a grant or an operator's rule covers.

A pattern is `scheme://authority/path`. `*` stands for one segment or part of one (the authority
counts as a segment), `**` as the last segment for any number of them, none included; `scheme://*`
is short for `scheme://**`, the only exception. Patterns are never intersected with each other: a
concrete URI is decided against each (see `authz.decision`).

Percent escapes, dot segments, empty segments and anything outside a small ASCII set are refused,
so that two spellings of one thing do not exist and no decoding happens after the decision.
Schemes follow RFC 3986 section 3.1 in lower case, and may hold `_`, since sources are named so.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from macroslow.errors import BadRequestError

MAX_CHARS: Final = 2_048
"""Longest URI or pattern; far above any name in use, far below what would cost time."""

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+._-]*+")
# pchar of RFC 3986 section 3.3 without percent escapes; `*` is checked apart.
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]*+")
_SHAPE: Final = "write it as scheme://authority/path in ASCII"


@dataclass(frozen=True, slots=True)
class URI:
    """A concrete URI: `segments` are the authority and then the path's."""

    scheme: str
    segments: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a concrete URI; BadRequestError says what is wrong with it."""
        scheme, segments = _split(text)
        if "*" in text:
            raise _refused(text, "holds a *, which only patterns may", "name one concrete thing")
        return cls(scheme, segments)

    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join(self.segments)}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern over URIs. `segments` come before the optional `**` (`open_ended`); they may hold `*`."""

    scheme: str
    segments: tuple[str, ...]
    open_ended: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pattern; BadRequestError says what is wrong with it."""
        scheme, segments = _split(text)
        if segments == ("*",):
            return cls(scheme, (), open_ended=True)
        open_ended = segments[-1] == "**"
        if open_ended:
            segments = segments[:-1]
        if any("**" in segment for segment in segments):
            raise _refused(text, "has ** elsewhere than as its last segment", "end it with /**")
        return cls(scheme, segments, open_ended)

    @property
    def is_literal(self) -> bool:
        """Whether it covers exactly one URI."""
        return not self.open_ended and not any("*" in segment for segment in self.segments)

    def __str__(self) -> str:
        tail = ("**",) if self.open_ended else ()
        return f"{self.scheme}://{'/'.join(self.segments + tail)}"


def covers(pattern: Pattern, uri: URI) -> bool:
    """Whether `pattern` covers `uri`. Time is linear in the length of both, whatever they hold."""
    if pattern.scheme != uri.scheme:
        return False
    fixed = len(pattern.segments)
    if len(uri.segments) != fixed and not (pattern.open_ended and len(uri.segments) > fixed):
        return False
    return all(map(_segment_covers, pattern.segments, uri.segments))


def includes(outer: Pattern, inner: Pattern) -> bool:
    """Whether `outer` certainly covers every URI that `inner` covers: the same text, or a literal within it.

    Unsure is no: two segments with a `*` each are compared as text.
    """
    if outer.scheme != inner.scheme or (inner.open_ended and not outer.open_ended):
        return False
    fixed = len(outer.segments)
    if len(inner.segments) != fixed and not (outer.open_ended and len(inner.segments) > fixed):
        return False
    return all(map(_segment_includes, outer.segments, inner.segments))


def any_covers(patterns: Iterable[Pattern], uri: URI) -> bool:
    """Whether one of `patterns` covers `uri`; no pattern, no right."""
    return any(covers(pattern, uri) for pattern in patterns)


def _segment_covers(pattern: str, segment: str) -> bool:
    """Match one segment: the first and last pieces are anchored, the ones between are found leftmost."""
    head, *rest = pattern.split("*")
    if not rest:
        return pattern == segment
    *middle, tail = rest
    if len(segment) < len(head) + len(tail) or not segment.startswith(head) or not segment.endswith(tail):
        return False
    position, end = len(head), len(segment) - len(tail)
    for piece in middle:
        found = segment.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def _segment_includes(outer: str, inner: str) -> bool:
    return outer == inner or ("*" not in inner and _segment_covers(outer, inner))


def _split(text: str) -> tuple[str, tuple[str, ...]]:
    """Cut into scheme and segments, refusing every spelling that could mean two things."""
    if len(text) > MAX_CHARS:
        raise _refused(text[:64] + "…", f"is longer than {MAX_CHARS} characters", "use a shorter name")
    scheme, separator, rest = text.partition("://")
    if not separator or not rest:
        raise _refused(text, "is no URI", _SHAPE)
    if not _SCHEME.fullmatch(scheme):
        raise _refused(text, "has no valid scheme", "a scheme is lower-case letters, digits and + . _ -")
    segments = tuple(rest.split("/"))
    for segment in segments:
        _check_segment(text, segment)
    return scheme, segments


def _check_segment(text: str, segment: str) -> None:
    if not segment:
        raise _refused(text, "has an empty segment", "leave out doubled and trailing slashes")
    if segment in {".", ".."}:
        raise _refused(text, "has a dot segment", "write the path out")
    if "%" in segment:
        raise _refused(text, "has a percent escape", "use names of ASCII letters, digits and . _ ~ -")
    if not _SEGMENT.fullmatch(segment):
        raise _refused(text, "has a character that is not allowed", _SHAPE)


def _refused(text: str, what: str, fix: str) -> BadRequestError:
    return BadRequestError(f"{text!r} {what}", fix=fix, step="permissions")
