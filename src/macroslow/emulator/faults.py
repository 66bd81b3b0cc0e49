"""Faults on purpose: which of them meets the n-th request that passes the limits.

`what@N` befalls every N-th such request, counted from 1 over all routes that a model answers. Several may
stand side by side, also of one kind; of two that would meet the same request, a refusal or a broken
connection comes before what is wrong with an answer, and of one kind the first that is named.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from macroslow.emulator.spec import decimal, one_of, whole_number
from macroslow.errors import ConfigurationError

STATUSES: Final = (429, 500, 502, 503, 504, 529)
_MOST_S: Final = 3_600.0


class Lie(enum.StrEnum):
    """How a usage is wrong."""

    MISSING = "missing"  # the member is not there
    NEGATIVE = "negative"
    ABSURD = "absurd"  # a number of tokens that no model has
    FLOAT = "float"  # a fraction of a token
    TENFOLD = "tenfold"  # ten times the input


class Garbage(enum.StrEnum):
    """How an answer is unreadable, or unusual."""

    TEXT = "text"  # no JSON
    HALF = "half"  # ends in the middle, in good order: half an object, half an event
    CRLF = "crlf"  # lines end in CR LF, which an event stream may do
    LINE = "line"  # a line of 2 MiB


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls one request. `status` 0, `cut` None, `slow_s` 0: not this."""

    status: int = 0
    timeout: bool = False
    reset: bool = False
    cut: float | None = None
    error: bool = False
    slow_s: float = 0.0
    usage: Lie | None = None
    garbage: Garbage | None = None
    gzip: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """`member` of Trouble is one of `values` in turn, for every `every`-th request."""

    member: str
    values: tuple[Any, ...]
    every: int

    def value(self, number: int) -> Any:
        """What it is for the request with this number, or None."""
        times, left = divmod(number, self.every)
        return None if left else self.values[(times - 1) % len(self.values)]


@dataclass(frozen=True, slots=True)
class Faults:
    """All that go wrong. `retry_after_s` stands in the refusals among them, if given."""

    faults: tuple[Fault, ...] = ()
    retry_after_s: float | None = None

    def at(self, number: int) -> Trouble:
        """What befalls the request with this number, counted from 1."""
        met: dict[str, Any] = {}
        for fault in self.faults:
            value = fault.value(number)
            if value is not None:
                met.setdefault(fault.member, value)
        return Trouble(**met)


HELP: Final[Mapping[str, str]] = {
    "status=S@N": f"an error, S one of {', '.join(map(str, STATUSES))}",
    "retry-after=SECONDS": "what those errors say in retry-after",
    "timeout@N": "never answered",
    "reset@N": "closed without a byte",
    "cut=F@N": "ends after the share F of it, and the connection is closed",
    "error@N": "a stream fails half way with an error event",
    "slow=SECONDS@N": "that long before each piece",
    "usage=KIND@N": f"{', '.join(Lie)}, or wrong (each but missing in turn)",
    "garbage@N": f"unreadable: {', '.join(Garbage)} in turn, or garbage=KIND@N",
    "gzip@N": "64 MiB of answer in 64 KiB of gzip",
}
"""Every fault with what it does, for the help of the flag."""


def _status(text: str) -> tuple[int]:
    status = whole_number("status", text)
    if status not in STATUSES:
        raise ConfigurationError(f"{status} is not a status that can be asked for")
    return (status,)


def _usage(text: str) -> tuple[Lie, ...]:
    if text == "wrong":
        return tuple(lie for lie in Lie if lie is not Lie.MISSING)
    return (one_of(Lie, "usage", text),)


# By name and whether a value stands after it: the member of Trouble, and how the value is read.
_READERS: Final[Mapping[tuple[str, bool], tuple[str, Callable[[str], tuple[Any, ...]]]]] = {
    ("status", True): ("status", _status),
    ("timeout", False): ("timeout", lambda _: (True,)),
    ("reset", False): ("reset", lambda _: (True,)),
    ("cut", True): ("cut", lambda text: (decimal("cut", text, most=1.0),)),
    ("error", False): ("error", lambda _: (True,)),
    ("slow", True): ("slow_s", lambda text: (decimal("slow", text, most=_MOST_S),)),
    ("usage", True): ("usage", _usage),
    ("garbage", False): ("garbage", lambda _: tuple(Garbage)),
    ("garbage", True): ("garbage", lambda text: (one_of(Garbage, "garbage", text),)),
    ("gzip", False): ("gzip", lambda _: (True,)),
}


def parse_faults(text: str) -> Faults:
    """Read `status=500@3,cut=0.5@4,reset@7`. Raises ConfigurationError that lists what there is."""
    faults, retry_after_s = [], None
    try:
        for item in text.split(",") if text.strip() else ():
            what, at, every = item.strip().partition("@")
            name, equals, value = what.partition("=")
            if name == "retry-after" and not at:
                retry_after_s = decimal(name, value, most=_MOST_S)
            else:
                faults.append(_fault(name, bool(equals), value, every))
    except ConfigurationError as error:
        raise ConfigurationError(error.detail, fix=f"it takes {', '.join(HELP)}") from error
    return Faults(tuple(faults), retry_after_s)


def _fault(name: str, has_value: bool, value: str, every: str) -> Fault:
    if (name, has_value) not in _READERS:
        raise ConfigurationError(f"{name!r} {'with' if has_value else 'without'} a value is not known")
    member, read = _READERS[name, has_value]
    return Fault(member, read(value), whole_number(f"{name}'s number after @", every))
