"""What the reports of both providers share: the query, buckets of time, pages, groups.

A bucket is a whole minute, hour or day in UTC. A page holds `limit` buckets; its cursor is the start of
the next one, in a form that a client has no reason to read.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.emulator.usage_book import Bill, Line, UsageBook

WIDTHS_S: Final[Mapping[str, int]] = {"1m": 60, "1h": 3_600, "1d": 86_400}
LIMITS: Final[Mapping[str, tuple[int, int]]] = {"1m": (60, 1_440), "1h": (24, 168), "1d": (7, 31)}
"""How many buckets a page has unless told otherwise, and at most."""

_LAST_S: Final = 253_402_300_799  # the end of the year 9999
_CURSOR: Final = "page_"


class QueryError(Exception):
    """A parameter cannot be used."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param
        self.message = message


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a report by name, without the `[]` that lists carry."""

    values: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]], known: Iterable[str]) -> "Query":
        """Raises QueryError for a parameter that is not in `known`."""
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name.removesuffix("[]"), []).append(value)
        for name in values.keys() - set(known):
            raise QueryError(name, "is not known")
        return cls(values)

    def one(self, name: str, default: str = "") -> str:
        """The last value of a parameter that is no list."""
        return self.values.get(name, (default,))[-1]

    def chosen(self, name: str, allowed: Iterable[str]) -> Sequence[str]:
        """The values of a list, each of which has to be allowed."""
        for value in self.values.get(name, ()):
            if value not in allowed:
                raise QueryError(name, f"{value!r} is not one of {', '.join(allowed)}")
        return self.values.get(name, ())

    def allows(self, name: str, value: str | None) -> bool:
        """Whether a filter lets this value through; one that is not given lets all through."""
        return name not in self.values or value in self.values[name]

    def whole(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 to `most`."""
        text = self.one(name, str(default))
        if not (text.isascii() and text.isdecimal() and len(text) <= 12 and 1 <= int(text) <= most):
            raise QueryError(name, f"is a whole number from 1 to {most}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Buckets:
    """One page: the starts of its buckets, and the cursor of the next page, if there is one."""

    width_s: int
    starts_s: range
    next_page: str | None


def seconds(query: Query, name: str, default_s: int) -> int:
    """A time in seconds since 1970."""
    return query.whole(name, max(1, default_s), _LAST_S)


def buckets(query: Query, start_s: int, end_s: int, widths: Mapping[str, tuple[int, int]]) -> Buckets:
    """The page that is asked for. `end_s` is exclusive: the last bucket begins before it.

    `widths` are the widths that the report has, each with its default and its largest limit.
    """
    width = query.one("bucket_width", "1d")
    if width not in widths:
        raise QueryError("bucket_width", f"is one of {', '.join(widths)}")
    limit, width_s = query.whole("limit", *widths[width]), WIDTHS_S[width]
    first_s = _start(query.one("page")) if "page" in query.values else start_s // width_s * width_s
    last_s = min(end_s, first_s + limit * width_s)
    following = first_s + limit * width_s
    return Buckets(
        width_s, range(first_s, last_s, width_s), _cursor(following) if following < end_s else None
    )


def grouped(
    book: UsageBook, start_s: int, width_s: int, chosen: Callable[[Line], bool], key: Callable[[Line], object]
) -> Iterator[tuple[Line, Bill]]:
    """The bills of one bucket, added up by `key`; each with one of its lines."""
    sums: dict[object, tuple[Line, Bill]] = {}
    for line, bill in book.within(start_s, start_s + width_s, chosen):
        sums.setdefault(key(line), (line, Bill()))[1].add(bill)
    return iter(sums.values())


def _cursor(start_s: int) -> str:
    return _CURSOR + base64.urlsafe_b64encode(str(start_s).encode()).decode()


def _start(cursor: str) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor.removeprefix(_CURSOR).encode()).decode()
        start_s = int(text)
    except (binascii.Error, ValueError):
        start_s = -1
    if not 0 <= start_s <= _LAST_S:
        raise QueryError("page", "is no page of this report")
    return start_s
