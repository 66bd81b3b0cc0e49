"""The YAML that front matter may hold: plain maps, lists and scalars, read without surprises.

A narrow reading of YAML 1.2.2, made from the C parser's events: no anchors, aliases, tags, merge
keys, directives or second documents; no duplicate keys; depth and nodes capped. Plain scalars
resolve to null, true, false, JSON numbers or strings; dates, `yes`, `0o17`, `010` and `1_000` are strings.
Problems are collected, so that a file is mended in one go; nothing recurses.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import yaml

from macroslow.errors import Problem

MAX_DEPTH: Final = 16
MAX_NODES: Final = 2_000

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A leaf: None, bool, int, float or str."""

    value: object
    line: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of nodes."""

    items: list["Node"]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Text keys to nodes, in the order written; `key_lines` says where each key stands."""

    entries: dict[str, "Node"]
    key_lines: dict[str, int]
    line: int


Node = Scalar | Sequence | Mapping


def plain(node: Node) -> object:
    """The node as lists, dictionaries and scalars. Recurses at most `MAX_DEPTH` deep."""
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key: plain(value) for key, value in node.entries.items()}


def resolve(text: str) -> object:
    """The value of a plain (unquoted) scalar."""
    if text in _WORDS:
        return _WORDS[text]
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    if number[1] is None and number[2] is None:
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else text


class _TooMuchError(Exception):
    """A cap was passed: nothing after it is read."""


@dataclass(slots=True)
class _Builder:
    """Turns events into nodes with a stack of open containers."""

    line_offset: int
    problems: list[Problem]
    root: Node | None = None
    documents: int = 0
    nodes: int = 0
    stack: list[Sequence | Mapping] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def take(self, event: yaml.Event) -> None:
        line = self.line_offset + (event.start_mark.line if event.start_mark else 0)
        match event:
            case yaml.DocumentStartEvent():
                self._document(event, line)
            case yaml.ScalarEvent():
                self._check(event, line)
                text = event.value
                self._place(Scalar(resolve(text) if event.implicit[0] else text, line), text, line)
            case yaml.AliasEvent():
                self._complain(f"the alias *{event.anchor} is not read", "write the value out", line)
                self._place(Scalar(None, line), "", line)
            case yaml.SequenceStartEvent():
                self._check(event, line)
                self._open(Sequence([], line), line)
            case yaml.MappingStartEvent():
                self._check(event, line)
                self._open(Mapping({}, {}, line), line)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self.stack.pop()
                self.keys.pop()
            case _:
                pass

    def _document(self, event: yaml.DocumentStartEvent, line: int) -> None:
        self.documents += 1
        if event.version or event.tags:
            self._complain("a YAML directive is not read", "remove the line that starts with %", line)
        if self.documents > 1:
            self._complain("front matter holds more than one YAML document", "keep one", line)
            raise _TooMuchError

    def _check(self, event: yaml.NodeEvent | yaml.ScalarEvent, line: int) -> None:
        """Refuse what every node may carry, and count it."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._complain(f"front matter has more than {MAX_NODES} nodes", "move data into the body", line)
            raise _TooMuchError
        if event.anchor is not None:
            self._complain(f"the anchor &{event.anchor} is not read", "remove it", line)
        if getattr(event, "tag", None) is not None:
            self._complain("a YAML tag is not read", "remove the word that starts with !", line)

    def _open(self, node: Sequence | Mapping, line: int) -> None:
        if len(self.stack) >= MAX_DEPTH:
            self._complain(f"front matter is nested deeper than {MAX_DEPTH}", "make it flatter", line)
            raise _TooMuchError
        self._place(node, None, line)
        self.stack.append(node)
        self.keys.append(None)

    def _place(self, node: Node, text: str | None, line: int) -> None:
        """Put a node where it belongs: root, item, key (`text` if it is a scalar) or value."""
        if not self.stack:
            self.root = self.root or node
            return
        top = self.stack[-1]
        if isinstance(top, Sequence):
            top.items.append(node)
        elif (key := self.keys[-1]) is not None:
            top.entries[key] = node
            self.keys[-1] = None
        else:
            self.keys[-1] = self._key(top, text, line)

    def _key(self, mapping: Mapping, text: str | None, line: int) -> str:
        """Check a key. A bad one still takes a place, so that its value is not taken for a key."""
        if not text:
            self._complain("a key must be plain text", "give it a name", line)
            return f"\0{line}.{self.nodes}"
        if text == "<<":
            self._complain("merge keys are not read", "write the keys out", line)
        elif text in mapping.entries:
            first = mapping.key_lines[text]
            self._complain(
                f"the key {text[:60]!r} appears twice", f"keep this one or that of line {first}", line
            )
            return f"\0{line}.{self.nodes}"
        mapping.key_lines[text] = line
        return text

    def _complain(self, message: str, fix: str, line: int) -> None:
        self.problems.append(Problem(message, fix, line))


def read_yaml(text: str, *, first_line: int, problems: list[Problem]) -> Mapping | None:
    """Read front matter; its first line is line `first_line` of the file.

    Adds to `problems` everything wrong with it. Returns None if nothing useful can be told.
    """
    builder = _Builder(first_line, problems)
    try:
        for event in _events(text):
            builder.take(event)
    except _TooMuchError:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = (mark.line if mark else 0) + first_line
        problems.append(Problem(f"not valid YAML: {error.problem}", _YAML_FIX, line))
        return None
    except yaml.reader.ReaderError as error:
        problems.append(Problem(f"not valid YAML: {error.reason}", "remove them", first_line))
        return None
    if isinstance(builder.root, Mapping):
        return builder.root
    problems.append(Problem("front matter is not a list of `key: value` lines", _YAML_FIX, first_line))
    return None


_YAML_FIX: Final = "check indentation, colons and quotes here"


def _events(text: str) -> Iterator[yaml.Event]:
    return yaml.parse(text, Loader=yaml.CSafeLoader)
