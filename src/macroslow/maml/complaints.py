"""Collecting what is wrong: everything at once, in the order of the file, and never without end."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from macroslow.errors import Problem

MAX_LISTED: Final = 100
"""Problems listed in one answer; a file with more of them is not mended by reading on."""


@dataclass(slots=True)
class Complaints:
    """Problems refuse a document, warnings do not."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def refuse(self, message: str, fix: str, line: int | None = None, field: str = "") -> None:
        self.problems.append(Problem(message, fix, line, field))

    def warn(self, message: str, fix: str, line: int | None = None, field: str = "") -> None:
        self.warnings.append(Problem(message, fix, line, field))


def listed(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The problems by line, each once; beyond `MAX_LISTED` only their number."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem.line or 0)
    if len(ordered) <= MAX_LISTED:
        return tuple(ordered)
    rest = Problem(f"and {len(ordered) - MAX_LISTED} more problems", "mend those above first")
    return (*ordered[:MAX_LISTED], rest)


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """A repair for an unknown word: the nearest known one, else `otherwise`."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else otherwise


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is nearest to `word`, if one is near."""
    # The comparison is quadratic in the words, and anyone may have written them.
    words = {one[:32].casefold(): one for one in known}
    near = difflib.get_close_matches(word[:32].casefold(), words, n=1, cutoff=0.75)
    return words[near[0]] if near else None


def quoted(text: str) -> str:
    """`text` for a message: short, and printable whatever it holds."""
    return repr(text if len(text) <= 80 else text[:80] + "…")
