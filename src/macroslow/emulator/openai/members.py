"""Checks of single members of a request body: each returns the value as its type, or raises RefusedError.

`param` is the member's name as OpenAI writes it: `temperature`, `messages[0].content`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from macroslow.emulator.openai import refusals
from macroslow.emulator.work import refuse

_Number = TypeVar("_Number", int, float)


def text(param: str, value: object) -> str:
    return value if isinstance(value, str) else refuse(refusals.wrong_type(param, "a string", value))


def boolean(param: str, value: object) -> bool:
    return value if isinstance(value, bool) else refuse(refusals.wrong_type(param, "a boolean", value))


def mapping(param: str, value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else refuse(refusals.wrong_type(param, "an object", value))


def sequence(param: str, value: object, *, of: str = "objects") -> Sequence[Any]:
    expected = f"an array of {of}"
    return value if isinstance(value, list) else refuse(refusals.wrong_type(param, expected, value))


def integer(param: str, value: object, *, least: int, most: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        refuse(refusals.wrong_type(param, "an integer", value))
    return _within(param, "integer", value, least, most)


def decimal(param: str, value: object, *, least: float, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        refuse(refusals.wrong_type(param, "a decimal", value))
    return _within(param, "decimal", value, least, most)


def choice(param: str, value: object, allowed: Sequence[str]) -> str:
    if value in allowed:
        return text(param, value)
    text(param, value)
    supported = ", ".join(f"'{word}'" for word in allowed)
    return refuse(refusals.bad_value(param, f"Invalid value: '{value}'. Supported values are: {supported}."))


def required(parent: Mapping[str, Any], prefix: str, name: str) -> Any:
    """The member `name` of `parent`, which stands at `prefix` ("" or "messages[0].")."""
    if name not in parent:
        message = f"Missing required parameter: '{prefix}{name}'."
        refuse(refusals.bad_value(prefix + name, message, "missing_required_parameter"))
    return parent[name]


def _within(param: str, kind: str, value: _Number, least: float, most: float | None) -> _Number:
    if value < least:
        _out_of_range(param, kind, value, "below min", f">= {least}")
    if most is not None and value > most:
        _out_of_range(param, kind, value, "above max", f"<= {most}")
    return value


def _out_of_range(param: str, kind: str, value: float, side: str, expected: str) -> NoReturn:
    message = (
        f"Invalid '{param}': {kind} {side}imum value. Expected a value {expected}, but got {value} instead."
    )
    refuse(refusals.bad_value(param, message, f"{kind}_{side.replace(' ', '_')}_value"))
