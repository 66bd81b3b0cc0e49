"""The line of every key in a TOML document, which `tomllib` does not tell.

Works on text that `tomllib` has accepted, so it needs to know only where strings, brackets and
comments end. Keys inside inline tables are not looked for: the line of the table stands for them.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Final

from macroslow.settings.origin import KeyPath

_TOKEN: Final = re.compile(
    r'''"""(?:\\.|[^\\])*?""" | \'\'\'.*?\'\'\' | "(?:\\.|[^"\\\n])*" | '[^'\n]*' | \#[^\n]* | [\[\]{}\n]
    | [^"'\#\[\]{}\n]+''',
    re.DOTALL | re.VERBOSE,
)
_KEY: Final = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'|\s*\.\s*)+)\s*=""")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line numbers, from 1, of tables and keys, each by its path. The first mention counts."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for line, statement in _statements(text):
        path: KeyPath = ()
        if statement.lstrip().startswith("["):
            path = table = _path(statement.strip().strip("[]"))
        elif match := _KEY.match(statement):
            path = table + _path(match[1])
        for depth in range(1, len(path) + 1):  # [a.b] also mentions a
            lines.setdefault(path[:depth], line)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines: a header, or a key with its whole value, each with the number of its first line."""
    start = line = 1
    depth = 0
    parts: list[str] = []
    for match in _TOKEN.finditer(text):
        piece = match[0]
        depth += (piece in "[{") - (piece in "]}")
        line += piece.count("\n")
        if piece == "\n" and depth == 0:
            yield start, "".join(parts)
            start, parts = line, []
        elif not piece.startswith("#"):
            parts.append(piece)
    yield start, "".join(parts)


def _path(key: str) -> KeyPath:
    """The parts of a dotted key, unquoted as TOML does it."""
    node: object = tomllib.loads(f"{key} = 0")
    path: list[str] = []
    while isinstance(node, dict):
        (part, node), *_ = node.items()
        path.append(part)
    return tuple(path)
