"""The grammar of the emulator's flags: `name=value` pairs with commas between, each name at most once."""

from collections.abc import Iterable

from macroslow.errors import ConfigurationError


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


def whole_number(name: str, value: str, *, least: int = 1) -> int:
    """`value` as an integer of at most 12 digits; ConfigurationError otherwise."""
    if not (value.isascii() and value.isdecimal() and len(value) <= 12 and int(value) >= least):
        raise ConfigurationError(f"{name} is a whole number from {least}, not {value!r}")
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
