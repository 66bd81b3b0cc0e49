"""Shapes of requests: allow-lists of members, each with what it must be, put together from small checks.

A check takes a value and returns what is forwarded of it, or raises UnfitError with the place of the
fault. Members whose value is null are left out: null means "not given". A member that no shape
names is refused by name, because what it costs is not known.

Most of what a request is made of is any text, any object or a boolean. So a check names the type of which it
takes every value as it is, and whoever has such a value in his hand looks at its type and calls nothing.

Values come from an adversary. They have been parsed before, so their depth is bounded by the parser.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_NAME_CHARACTERS: Final = 256
MAX_ITEMS: Final = 10_000  # messages, items or blocks in one list
MAX_TOOLS: Final = 1024
_MAX_COUNT: Final = 2**53 - 1
_MAX_TAGS: Final = 64
_UNPRICED: Final = "is not served: what it would cost is not known here"


class UnfitError(Exception):
    """A value that does not fit. `path` is where, seen from the value that was checked: `.tools[0].type`."""

    def __init__(self, problem: str, path: str = "", fix: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Check:
    """What a value must be. `take` returns what is forwarded of it: of the type `as_is`, always itself."""

    take: Callable[[Any], Any]
    as_is: type | None = None


def shown(name: str) -> str:
    """A name as it may be repeated to whoever chose it."""
    return name if len(name) <= 64 and name.isprintable() else repr(name[:64])


def leaf(fits: Callable[[Any], bool], expected: str, as_is: type | None = None) -> Check:
    """Values for which `fits` holds, as they are; it holds for every one of the type `as_is`."""

    def take(value: Any) -> Any:
        if not fits(value):
            raise UnfitError(f"must be {expected}")
        return value

    return Check(take, as_is)


def any_of(kind: type, expected: str) -> Check:
    """Every value of the type `kind`."""
    return leaf(lambda value: type(value) is kind, expected, kind)


def is_count(value: object) -> bool:
    """Whether `value` is a whole number above 0 (and not a boolean)."""
    return type(value) is int and 0 < value <= _MAX_COUNT


def between(low: float, high: float) -> Check:
    """Numbers from `low` to `high`."""
    return leaf(
        lambda value: type(value) in (int, float) and low <= value <= high,
        f"a number from {low} to {high}",
    )


def whole(low: int, high: int) -> Check:
    """Whole numbers from `low` to `high`."""
    return leaf(
        lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high}"
    )


def choice(*words: str) -> Check:
    """One of `words`."""
    return leaf(lambda value: isinstance(value, str) and value in words, f"one of {', '.join(words)}")


def only(value: object, reason: str) -> Check:
    """`value` alone, since any other is not governed here."""
    return leaf(lambda given: given is value, f"{str(value).lower()}: {reason}")


TEXT: Final = any_of(str, "a text")
NAME: Final = leaf(
    lambda value: type(value) is str and 0 < len(value) <= MAX_NAME_CHARACTERS,
    f"a text of 1 to {MAX_NAME_CHARACTERS} characters",
)
BOOLEAN: Final = any_of(bool, "true or false")
COUNT: Final = leaf(is_count, "a whole number above 0")
OBJECT: Final = any_of(dict, "an object")
TAGS: Final = leaf(
    lambda value: (
        type(value) is dict and len(value) <= _MAX_TAGS and all(type(text) is str for text in value.values())
    ),
    f"an object of at most {_MAX_TAGS} texts",
)


def list_of(check: Check, most: int, *, least: int = 1) -> Check:
    """Lists of `least` to `most` values that `check` takes."""
    take_item, as_is = check.take, check.as_is

    def take(value: Any) -> list[Any]:
        if type(value) is not list or not least <= len(value) <= most:
            raise UnfitError(f"must be a list of {least} to {most}")
        kept = []
        for item in value:
            try:
                kept.append(item if type(item) is as_is else take_item(item))
            except UnfitError as unfit:
                unfit.path = f"[{len(kept)}]{unfit.path}"
                raise
        return kept

    return Check(take)


def fields(
    required: Mapping[str, Check],
    optional: Mapping[str, Check] | None = None,
    *,
    ignored: frozenset[str] = frozenset(),
    keeps_null: bool = False,
) -> Check:
    """Objects with all `required` members and beyond them only `optional` ones.

    `ignored` members are no prompt and are not forwarded: SDKs send them back as they got them.
    """
    known = {**required, **(optional or {})}
    alone = tuple((name, check.as_is) for name, check in required.items())
    take_each = _each_member(required, known, ignored, keeps_null)

    def take(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise UnfitError("must be an object")
        if len(value) == len(alone):
            for name, as_is in alone:
                if type(value.get(name)) is not as_is:
                    break
            else:  # all that is required and no more, each as it is
                return value
        return take_each(value)

    return Check(take)


def _each_member(
    required: Mapping[str, Check], known: Mapping[str, Check], ignored: frozenset[str], keeps_null: bool
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The long way of `fields`: what is forwarded of an object, member by member."""

    def take(value: dict[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, member in value.items():
            check = known.get(name)
            if check is None:
                if member is not None and name not in ignored:
                    raise UnfitError(_UNPRICED, f".{shown(name)}", f"leave {shown(name)} out")
            elif type(member) is check.as_is:
                kept[name] = member
            elif member is not None:
                try:
                    kept[name] = check.take(member)
                except UnfitError as unfit:
                    unfit.path = f".{name}{unfit.path}"
                    raise
            elif keeps_null:
                kept[name] = None
        for name in required:
            if name not in kept:
                raise UnfitError("is missing", f".{name}")
        return kept

    return take


def kinds(tag: str, table: Mapping[str, Check], *, absent: str = "") -> Check:
    """Objects whose member `tag` says which check of the `table` is theirs; without it they are `absent`."""
    taking = {kind: check.take for kind, check in table.items()}

    def take(value: Any) -> Any:
        if type(value) is not dict:
            raise UnfitError("must be an object")
        kind = value.get(tag)
        named = absent if kind is None else kind
        take_kind = taking.get(named) if type(named) is str else None
        if take_kind is None:
            given = f"{shown(kind)} {_UNPRICED}; it " if type(kind) is str else ""
            raise UnfitError(f"{given}must be one of {', '.join(table)}", f".{tag}")
        return take_kind(value)

    return Check(take)


def either(table: Mapping[type, Check], expected: str) -> Check:
    """Values of several types, each with its own check."""

    def take(value: Any) -> Any:
        found = table.get(type(value))
        if found is None:
            raise UnfitError(f"must be {expected}")
        return found.take(value)

    return Check(take, next((kind for kind, check in table.items() if kind is check.as_is), None))


def text_or(parts: Check, expected: str) -> Check:
    """A text, or a list that `parts` takes."""
    return either({str: TEXT, list: parts}, f"a text, or {expected}")
