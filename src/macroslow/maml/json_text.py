"""JSON that remembers its lines: a strict reader with caps, for text that anyone may have written.

RFC 8259, and stricter: duplicate members, NaN and infinities, lone surrogates and numbers of more than
`MAX_NUMBER_CHARS` characters are refused, since readers disagree about them. Depth and count are
capped while reading. No recursion; time and memory are linear in the text.
"""

import json
import math
import re
from dataclasses import dataclass, field
from typing import Final

from macroslow.errors import Problem

Path = tuple[str | int, ...]

MAX_NUMBER_CHARS: Final = 40

# Possessive quantifiers: a string that never closes must not be tried again from every character.
_LEXEME: Final = re.compile(
    r"""[ \t\n\r]*+(?:
        (?P<string>"(?:[^"\\\x00-\x1f]++|\\.)*+")
      | (?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)
      | (?P<word>true|false|null)
      | (?P<mark>[\[\]{}:,])
    )""",
    re.VERBOSE,
)
_WORDS: Final[dict[str, object]] = {"true": True, "false": False, "null": None}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Located:
    """A JSON value, and for every path within it the line where it starts."""

    value: object
    lines: dict[Path, int]


class JSONTextError(Exception):
    """The text is not the JSON that we read; `problem` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class _Open:
    """A container being filled; `key` is the member that waits for its value."""

    value: dict[str, object] | list[object]
    path: Path
    key: str | None = None


@dataclass(slots=True)
class _Reader:
    """One pass over the text, with a stack of open containers in place of recursion."""

    text: str
    line: int
    max_depth: int
    max_nodes: int
    position: int = 0
    stack: list[_Open] = field(default_factory=list)
    lines: dict[Path, int] = field(default_factory=dict)

    def read(self) -> Located:
        value = self._start(*self._next())
        while self.stack:
            self._advance()
        if self._skip_space():
            raise self._bad("text follows the JSON value", "leave one JSON value and nothing else")
        return Located(value, self.lines)

    def _next(self) -> tuple[str, str]:
        found = _LEXEME.match(self.text, self.position)
        if found is None or found.lastgroup is None:
            self._skip_space()
            raise self._bad("this is not valid JSON", "check quotes, commas and brackets here")
        self._count_lines(found.end())
        return found.lastgroup, found[found.lastgroup]

    def _skip_space(self) -> bool:
        """Move to what comes next; whether anything does."""
        self._count_lines(len(self.text) - len(self.text[self.position :].lstrip(" \t\n\r")))
        return self.position < len(self.text)

    def _count_lines(self, end: int) -> None:
        self.line += self.text.count("\n", self.position, end)
        self.position = end

    def _advance(self) -> None:
        """Read one member, item or closing bracket of the innermost container."""
        top = self.stack[-1]
        kind, lexeme = self._next()
        if lexeme == _CLOSER[type(top.value)]:
            self.stack.pop()
            return
        if top.value:
            if lexeme != ",":
                raise self._bad(f"a comma or {_CLOSER[type(top.value)]} belongs here", "add it")
            kind, lexeme = self._next()
        if isinstance(top.value, dict):
            top.key = self._member_name(top.value, kind, lexeme)
            kind, lexeme = self._next()
        self._start(kind, lexeme)

    def _member_name(self, members: dict[str, object], kind: str, lexeme: str) -> str:
        if kind != "string":
            raise self._bad("a member name in double quotes belongs here", "no comma after the last member")
        name = self._string(lexeme)
        if name in members:
            raise self._bad(f"the member {_short(name)} appears twice", "keep one of them")
        if self._next()[1] != ":":
            raise self._bad(f"a colon belongs after {_short(name)}", "add it")
        return name

    def _start(self, kind: str, lexeme: str) -> object:
        """Place a value in the innermost container; open it if it is a container itself."""
        value = self._value(kind, lexeme)
        path = self._place(value)
        self.lines[path] = self.line
        if len(self.lines) > self.max_nodes:
            raise self._bad(f"more than {self.max_nodes} values", "make it smaller")
        if isinstance(value, dict | list):
            if len(self.stack) >= self.max_depth:
                raise self._bad(f"nested deeper than {self.max_depth}", "make it flatter")
            self.stack.append(_Open(value, path))
        return value

    def _place(self, value: object) -> Path:
        if not self.stack:
            return ()
        top = self.stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
            return (*top.path, len(top.value) - 1)
        key = top.key or ""
        top.value[key] = value
        return (*top.path, key)

    def _value(self, kind: str, lexeme: str) -> object:
        match kind:
            case "string":
                return self._string(lexeme)
            case "number":
                return self._number(lexeme)
            case "word":
                return _WORDS[lexeme]
            case _ if lexeme == "{":
                return {}
            case _ if lexeme == "[":
                return []
        raise self._bad(f"a value belongs here, not {lexeme}", "no comma after the last item")

    def _string(self, lexeme: str) -> str:
        try:
            value = json.loads(lexeme)
        except ValueError as error:
            raise self._bad("a string has a bad escape", 'write a backslash as "\\\\"') from error
        if not isinstance(value, str) or _SURROGATE.search(value):
            raise self._bad("a string has half of a surrogate pair", "write the character itself")
        return value

    def _number(self, lexeme: str) -> int | float:
        if len(lexeme) > MAX_NUMBER_CHARS:
            raise self._bad(f"a number of more than {MAX_NUMBER_CHARS} characters", "write it as a string")
        if lexeme.lstrip("-").isdigit():
            return int(lexeme)
        if not math.isfinite(value := float(lexeme)):
            raise self._bad("a number is too large", "write it as a string")
        return value

    def _bad(self, message: str, fix: str) -> JSONTextError:
        return JSONTextError(Problem(message, fix, self.line))


_CLOSER: Final = {dict: "}", list: "]"}


def _short(name: str) -> str:
    return json.dumps(name if len(name) <= 60 else name[:60] + "…", ensure_ascii=False)


def read_json(text: str, *, first_line: int = 1, max_depth: int = 64, max_nodes: int = 100_000) -> Located:
    """Read one JSON value and the lines of its parts; JSONTextError names the first thing wrong.

    Text after a syntax error has no certain meaning, so only one problem is reported.
    """
    return _Reader(text, first_line, max_depth, max_nodes).read()
