"""The line of every key in a TOML document, which `tomllib` does not tell.

Works on text that `tomllib` has accepted, so it needs to know only where strings, brackets and
comments end. Keys inside inline tables are not looked for: the line of the table stands for them.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Final

from macroslow.settings.origin import KeyPath, element

_TOKEN: Final = re.compile(
    r'''"""(?:\\.|[^\\])*?""" | \'\'\'.*?\'\'\' | "(?:\\.|[^"\\\n])*" | '[^'\n]*' | \#[^\n]* | [\[\]{}\n]
    | [^"'\#\[\]{}\n]+''',
    re.DOTALL | re.VERBOSE,
)
_KEY: Final = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'|\s*\.\s*)+)\s*=""")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line numbers, from 1, of tables and keys, each by its path. The first mention counts.

    `[[budgets]]` opens the next element: its keys are `budgets`, `[0]`, `usd`.
    """
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for line, statement in _statements(text):
        path: KeyPath = ()
        header = statement.strip()
        if header.startswith("[["):
            path = table = _next_element(_path(header.strip("[]")), counts)
        elif header.startswith("["):
            path = table = _inside_lists(_path(header.strip("[]")), counts)
        elif match := _KEY.match(statement):
            path = table + _path(match[1])
        for depth in range(1, len(path) + 1):  # [a.b] also mentions a
            lines.setdefault(path[:depth], line)
    return lines


def _next_element(path: KeyPath, counts: dict[KeyPath, int]) -> KeyPath:
    """The path of the element that the header `[[path]]` begins."""
    *above, last = path
    whole = (*_inside_lists(tuple(above), counts), last)
    counts[whole] = counts.get(whole, 0) + 1
    return (*whole, element(counts[whole] - 1))


def _inside_lists(path: KeyPath, counts: Mapping[KeyPath, int]) -> KeyPath:
    """A header's path, with the open element of each list on the way (TOML 1.0, Array of Tables)."""
    whole: KeyPath = ()
    for key in path:
        whole = (*whole, key)
        if whole in counts:
            whole = (*whole, element(counts[whole] - 1))
    return whole


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
