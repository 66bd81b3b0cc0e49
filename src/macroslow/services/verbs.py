"""What the operator's verbs have in common: who asks, arguments held against a signature, times as text."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from inspect import Parameter, signature
from typing import Annotated, Final, TypeVar, get_args, overload

from pydantic import ConfigDict, Field, ValidationError, validate_call

from macroslow.authn.principal import THE_OPERATOR, Principal
from macroslow.authz import scopes
from macroslow.errors import Problem
from macroslow.ports import NS_PER_S

R = TypeVar("R")
OPERATOR: Final = Principal(THE_OPERATOR, THE_OPERATOR, scopes=scopes.ALL)
MAX_TIME_NS: Final = 2**63 - 1  # in the year 2262; no store holds more
MAX_REASON_CHARACTERS: Final = 1000  # the log keeps them for ever

Whole = Annotated[int, Field(ge=0, lt=2**53)]
TimeNs = Annotated[int, Field(ge=0, le=MAX_TIME_NS)]
Texts = Sequence[str]
Reason = Annotated[str, Field(max_length=MAX_REASON_CHARACTERS)]
GivenReason = Annotated[Reason, Field(min_length=1)]
Action = Callable[..., Awaitable[object]]
"""What a verb does: it takes keyword arguments and returns JSON."""

_UNKNOWN: Final = frozenset({"unexpected_keyword_argument", "extra_forbidden"})  # pydantic's words
_STRICT: Final = ConfigDict(strict=True, arbitrary_types_allowed=True)


def strictly(action: Callable[..., R]) -> Callable[..., R]:
    """`action`, which raises ValidationError for arguments that its signature does not allow."""
    return validate_call(config=_STRICT)(action)


def arguments_of(action: Callable[..., object]) -> list[str]:
    """The names of the arguments that `action` takes, those of its TypedDict among them, in their order."""
    names: list[str] = []
    for parameter in signature(action).parameters.values():
        if parameter.kind is Parameter.VAR_KEYWORD:
            (terms,) = get_args(parameter.annotation)  # of Unpack[TERMS]
            names += terms.__annotations__
        else:
            names.append(parameter.name)
    return names


def accepted_instead(error: ValidationError, action: Callable[..., object]) -> str:
    """What `action` takes, where an argument came that it does not know; "" where all are known."""
    if _UNKNOWN.isdisjoint(one["type"] for one in error.errors(include_url=False, include_input=False)):
        return ""
    return f"it takes {', '.join(arguments_of(action)) or 'no arguments'}"


def argument_problems(error: ValidationError) -> list[Problem]:
    """One Problem for each argument at fault (`scopes.0` for an element). Values are not quoted."""
    return [
        Problem(one["msg"], field=".".join(str(part) for part in one["loc"] if _is_place(part, one["loc"])))
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _is_place(part: int | str, located: tuple[int | str, ...]) -> bool:
    """The argument's name and numbers in lists; what else is there names a type of ours."""
    return isinstance(part, int) or part == located[0]


@overload
def utc(time_ns: int) -> str: ...
@overload
def utc(time_ns: int | None) -> str | None: ...
def utc(time_ns: int | None) -> str | None:
    """A time as people and programs read it: 2026-01-31T12:00:00+00:00."""
    return None if time_ns is None else datetime.fromtimestamp(time_ns // NS_PER_S, UTC).isoformat()
