"""The tests of our own verifier, made again with the page beside it: what ours judges is judged by both.

A test file adopts the tests of another one and names the functions whose calls are watched. After every
call the page is asked the same question, and must accept where ours accepted and refuse where ours refused.
So each forgery that is ever written against ours is one against the page.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

import pytest
from tests.verifier.page import PageRefusedError

from macroslow.errors import MacroslowError

Ask = Callable[..., Any]
"""Takes the arguments of the watched call; returns the page's answer, or raises PageRefusedError."""
Agree = Callable[[Any, Any], bool]
"""Whether our result and the page's answer are the same."""


_READING = re.compile(r"it is not JSON|nested|JSON floats|JCS|is not an integer|has no place in canonical")


class NotJudgedError(Exception):
    """The page is not asked: it does not judge such things."""


def same_words(ours: str, theirs: str) -> bool:
    """Whether both refuse for one reason. Our reader of JSON says more exactly, or earlier, what is wrong."""
    return ours == theirs or _READING.search(ours) is not None


def adopt(tests: ModuleType, into: dict[str, object]) -> None:
    """Put the tests of `tests`, and the fixtures that it makes for itself, among those of another file."""
    for name, value in vars(tests).items():
        is_fixture = type(value).__name__ == "FixtureFunctionDefinition"
        if name.startswith("test_") or is_fixture:
            into[name] = value


@contextmanager
def watched(
    owner: Any,
    name: str,
    ask: Ask,
    agree: Agree = lambda ours, theirs: True,
    agree_why: Agree = lambda ours, theirs: True,
) -> Iterator[None]:
    """While open, the page is asked after each call of `owner.name`."""
    real = getattr(owner, name)

    def both(*arguments: Any, **named: Any) -> Any:
        try:
            ours = real(*arguments, **named)
        except (MacroslowError, ValueError) as error:
            refusal = error
        else:
            with suppress(NotJudgedError):
                theirs = ask(*arguments, **named)
                assert agree(ours, theirs), (ours, theirs)
            return ours
        with suppress(NotJudgedError):
            why = _refusal(ask, *arguments, **named)
            assert why is not None, f"ours refused ({refusal}), the page did not"
            assert agree_why(str(refusal), why), (str(refusal), why)
        raise refusal

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, staticmethod(both) if inspect.ismethod(real) else both)
        yield


def _refusal(ask: Ask, *arguments: Any, **named: Any) -> str | None:
    """Why the page refuses; None if it does not."""
    try:
        ask(*arguments, **named)
    except PageRefusedError as error:
        return str(error)
    return None
