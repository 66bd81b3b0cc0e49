"""Where a value came from, for messages and for `config show`; and messages that say it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from macroslow.errors import Problem

KeyPath = tuple[str, ...]
"""The keys that lead to a value, from the top of the file; an element of a list is `[0]` for the first."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ELEMENT: Final = re.compile(r"\[[0-9]+\]")


@dataclass(frozen=True, slots=True)
class Origin:
    """One place that sets a value: a file and line, a variable, a profile, or the command line."""

    place: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.place}:{self.line}" if self.line else self.place


def nearest(path: KeyPath, origins: Mapping[KeyPath, Origin]) -> Origin:
    """Who set the value at `path`, or the nearest table around it."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    return origins.get((), Origin(""))


def problem(path: KeyPath, message: str, fix: str, origins: Mapping[KeyPath, Origin]) -> Problem:
    """What is wrong with the value at `path`, with its place."""
    origin = nearest(path, origins)
    return Problem(message, fix, origin.line, dotted(path), origin.place)


def remark(path: KeyPath, message: str, fix: str, origins: Mapping[KeyPath, Origin]) -> str:
    """What may be wrong with it, with its place: a line, or two where there is a repair."""
    told = f"{nearest(path, origins)}: {dotted(path)}: {message}"
    return f"{told}\n    fix: {fix}" if fix else told


def dotted(path: KeyPath) -> str:
    """The path as TOML writes it, lists by number: `models."gpt-4.1".input_usd`, `budgets[0].usd`."""
    text = ""
    for key in path:
        text += key if is_element(key) else f".{key}" if _BARE.fullmatch(key) else f".{quoted(key)}"
    return text.removeprefix(".")


def quoted(text: str) -> str:
    """A basic string of TOML (1.0, section String)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def element(number: int | str) -> str:
    """The part of a path that stands for one element of a list."""
    return f"[{number}]"


def is_element(key: str) -> bool:
    """Whether a part of a path stands for an element of a list."""
    return _ELEMENT.fullmatch(key) is not None
