"""The grammar of the emulator's flags: `name=value` pairs with commas between, each name at most once."""

import enum
from collections.abc import Iterable
from typing import TypeVar

from macroslow.errors import ConfigurationError

_Word = TypeVar("_Word", bound=enum.StrEnum)


def parse_pairs(text: str, known: Iterable[str]) -> dict[str, str]:
    """The pairs in `text`, in their order; an empty text has none.

    Raises ConfigurationError that lists the names in `known`.
    """
    takes = f"it takes {', '.join(known)}"
    pairs: dict[str, str] = {}
    for item in text.split(",") if text.strip() else ():
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or name not in known:
            raise ConfigurationError(f"{item.strip()!r} is not known", fix=takes)
        if name in pairs:
            raise ConfigurationError(f"{name} is given twice", fix=takes)
        pairs[name] = value
    return pairs


def whole_number(name: str, value: str, *, least: int = 1, most: int = 10**12) -> int:
    """`value` as an integer from `least` to `most`; ConfigurationError otherwise."""
    digits = value.isascii() and value.isdecimal() and len(value) <= len(str(most))
    if not digits or not least <= int(value) <= most:
        raise ConfigurationError(f"{name} is a whole number from {least} to {most}, not {value!r}")
    return int(value)


def decimal(name: str, value: str, *, most: float) -> float:
    """`value` as a number from 0 to `most`; ConfigurationError otherwise."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:  # also refuses what is not a number
        raise ConfigurationError(f"{name} is a number from 0 to {most:g}, not {value!r}")
    return number


def one_of(words: type[_Word], name: str, value: str) -> _Word:
    """`value` as one of `words`; ConfigurationError otherwise."""
    if value not in set(words):
        raise ConfigurationError(f"{name} is one of {', '.join(words)}, not {value!r}")
    return words(value)
