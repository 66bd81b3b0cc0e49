"""Claims found by a path of names, and read as lists of words: issuers write the same thing in many ways.

A path is written "scope", "realm_access.roles" (a member of a member) or "https://example.com/roles": a
name with "://" is one name, full stops and all. Where a nested name has full stops itself, the path is
written as a list of names. There is one reading of a path: what a token holds does not change it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

MAX_VALUES: Final = 1000
MAX_PATH: Final = 8
Path = tuple[str, ...]
_BETWEEN: Final = re.compile(r"[ ,]+")


def parse_path(written: str | Sequence[str]) -> Path:
    """The names on the way to a claim. ValueError if it is no path."""
    if isinstance(written, str):
        names = (written,) if "://" in written else tuple(written.split("."))
    else:
        names = tuple(written)
    if not 1 <= len(names) <= MAX_PATH or not all(names):
        raise ValueError("not a path to a claim")
    return names


def find(claims: Mapping[str, Any], path: Path) -> object:
    """What stands at the end of `path`; None if nothing does."""
    found: object = claims
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def words(found: object) -> tuple[str, ...]:
    """A claim as a list of words: text is split at spaces and commas, the elements of a list are not.

    ValueError if it is neither text nor a list of texts, or has more than MAX_VALUES of them.
    """
    if found is None:
        return ()
    if isinstance(found, str):
        found = [word for word in _BETWEEN.split(found) if word]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError("neither text nor a list of texts")
    if len(found) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    return tuple(found)
