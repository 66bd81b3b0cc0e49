"""Checks of single members of a body: each returns the value as its type, or raises RefusedError.

`param` is the member's name as Anthropic writes it: `temperature`, `messages.0.content`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from macroslow.emulator.anthropic import refusals
from macroslow.emulator.work import refuse


def text(param: str, value: object) -> str:
    return value if isinstance(value, str) else refuse(refusals.bad(param, "Input should be a valid string"))


def boolean(param: str, value: object) -> bool:
    return (
        value if isinstance(value, bool) else refuse(refusals.bad(param, "Input should be a valid boolean"))
    )


def mapping(param: str, value: object) -> Mapping[str, Any]:
    return (
        value
        if isinstance(value, dict)
        else refuse(refusals.bad(param, "Input should be a valid dictionary"))
    )


def sequence(param: str, value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else refuse(refusals.bad(param, "Input should be a valid list"))


def integer(param: str, value: object, *, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        refuse(refusals.bad(param, "Input should be a valid integer"))
    if value < least:
        refuse(refusals.bad(param, f"Input should be greater than or equal to {least}"))
    return value


def decimal(param: str, value: object, *, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        refuse(refusals.bad(param, "Input should be a valid number"))
    if not 0 <= value <= most:
        refuse(refusals.bad(param, f"Input should be between 0 and {most:g}"))
    return value


def choice(param: str, value: object, allowed: Sequence[str]) -> str:
    if text(param, value) not in allowed:
        words = " or ".join(f"'{word}'" for word in allowed)
        refuse(refusals.bad(param, f"Input should be {words}"))
    return str(value)


def required(parent: Mapping[str, Any], prefix: str, name: str) -> Any:
    """The member `name` of `parent`, which stands at `prefix` ("" or "messages.0.")."""
    if name not in parent:
        refuse(refusals.bad(f"{prefix}{name}", "Field required"))
    return parent[name]
