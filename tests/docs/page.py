"""A page as the runner sees it: its fenced blocks in order, each of a kind that can be executed or checked.

Anything else is refused: an unknown kind, a fence that is indented, a console block that does not begin
with a command. So no block can stand in a page and be skipped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KINDS: Final = frozenset({"console", "toml", "markdown", "json", "python", "go", "text"})
_FENCE: Final = re.compile(r"(`{3,}|~{3,})(.*)")
_INFO: Final = re.compile(r"(\w+)(?: title=([\w./-]+))?")


class PageError(Exception):
    """A page that the runner cannot take whole."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `title` names the file that its reader writes, or is empty."""

    kind: str
    title: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a console block, and the lines that it prints."""

    text: str
    expected: tuple[str, ...]
    line: int

    @property
    def stays(self) -> bool:
        """Whether it goes on in the background, as a server does."""
        return self.text.rstrip().endswith("&")

    @property
    def asks_exit_code(self) -> bool:
        return self.text == "echo $?"


def read_blocks(page: Path) -> list[Block]:
    """Every fenced block of the page."""
    return list(_blocks(page.read_text(encoding="utf-8").splitlines()))


def _blocks(lines: list[str]) -> Iterator[Block]:
    at = 0
    while at < len(lines):
        opened = _FENCE.match(lines[at].lstrip())
        if not opened:
            at += 1
            continue
        if lines[at] != lines[at].lstrip():
            raise PageError(f"line {at + 1}: an indented fence")
        end = next((i for i in range(at + 1, len(lines)) if lines[i].rstrip() == opened[1]), None)
        if end is None:
            raise PageError(f"line {at + 1}: the fence is not closed")
        yield _block(opened[2].strip(), lines[at + 1 : end], at + 1)
        at = end + 1


def _block(info: str, lines: list[str], line: int) -> Block:
    words = _INFO.fullmatch(info)
    if not words or words[1] not in KINDS:
        raise PageError(f"line {line}: no block may be `{info}`; known: {', '.join(sorted(KINDS))}")
    kind, title = words[1], words[2] or ""
    if title and kind in {"console", "text"}:
        raise PageError(f"line {line}: a {kind} block is not a file")
    if kind == "text" and any(one.startswith("$ ") for one in lines):
        raise PageError(f"line {line}: commands belong into a console block")
    return Block(kind, title, "\n".join(lines) + "\n", line)


def read_commands(block: Block) -> list[Command]:
    """The commands of a console block; lines that begin with `> ` continue the command above."""
    commands: list[Command] = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith("$ "):
            commands.append(Command(line[2:], (), number))
        elif not commands:
            raise PageError(f"line {number}: output of no command")
        else:
            last = commands.pop()
            if line.startswith("> ") and not last.expected:
                commands.append(Command(f"{last.text}\n{line[2:]}", (), last.line))
            else:
                commands.append(Command(last.text, (*last.expected, line), last.line))
    for command in commands:
        if command.stays and not command.expected:
            raise PageError(f"line {command.line}: a server's first line must be shown")
    return commands


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Whether the output is what the page shows; `…` is any text, alone on a line any number of lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "…" else ".*".join(map(re.escape, line.rstrip().split("…"))) + r"\n"
        for line in expected
    )
    ended = (
        "".join(line.rstrip() + "\n" for line in printed.rstrip("\n").split("\n")) if printed.strip() else ""
    )
    return re.fullmatch(pattern, ended) is not None
