"""What a regular expression costs to apply: about as much as the automaton that it becomes has states."""

import re
from typing import Final

_ATOM: Final = re.compile(
    r"(?P<class_of_letters>\\[pP](?:\{[^}]*+\}|.))|\\.|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*+\])"
    r"|\{(?P<least>\d{1,6})(?:,(?P<most>\d{0,6}))?\}|(?P<mark>[()])|.",
    re.DOTALL,
)


def states(pattern: str) -> int:
    """About how many states a regular expression has: its atoms, times their counted repetitions."""
    totals, last = [0], 0
    for atom in _ATOM.finditer(pattern):
        if atom["least"]:
            extra = last * (max(int(atom["least"]), int(atom["most"] or 0)) - 1)
            totals[-1] += max(0, extra)
            last += max(0, extra)
            continue
        if atom["mark"] == "(":
            totals.append(0)
            last = 0
            continue
        last = totals.pop() if atom["mark"] == ")" and len(totals) > 1 else _atom_states(atom)
        totals[-1] += last
    return sum(totals) + 1


def _atom_states(atom: re.Match[str]) -> int:
    if atom["class_of_letters"] or (atom["set"] and "\\p" in atom["set"].lower()):
        return 400  # a Unicode class, as bytes of UTF-8
    if atom[0] == "." or (atom["set"] and (atom["set"][1] == "^" or not atom["set"].isascii())):
        return 10  # every character but some
    return 1
