"""Entries of the log as JSON for people, and the names of their types."""

import difflib
import json
from collections.abc import Iterable
from typing import Final

from macroslow.errors import BadRequestError
from macroslow.services.verbs import utc
from macroslow.tlog.event import EventType, name_of
from macroslow.workflow.books import LoggedEvent

TYPES: Final = {name_of(each): each for each in EventType}


def types_named(names: Iterable[str]) -> frozenset[int]:
    """The types of these names; BadRequestError, with what may have been meant, for one that is none."""
    for name in names:
        if name not in TYPES:
            near = _near(name.lower())
            fix = f"did you mean {' or '.join(near)}?" if near else f"one of: {', '.join(TYPES)}"
            raise BadRequestError(f"no type of event is called {name!r}", fix=fix)
    return frozenset(TYPES[name] for name in names)


def _near(name: str) -> list[str]:
    begin_so = [each for each in TYPES if name and each.startswith(name)]
    return begin_so or difflib.get_close_matches(name, TYPES, n=2)


def told(entry: LoggedEvent) -> dict[str, object]:
    """One entry. `fields` is None where the subject was erased; `erased_by` is the entry that says so.

    A shared event has `others`: what it says about each further person, None where that one was erased.
    """
    whole: dict[str, object] = {
        "index": entry.index,
        "time": utc(entry.time_ns),
        "type": name_of(entry.type),
        "subject": entry.subject,
        "fields": None if entry.event is None else json.loads(entry.event)["fields"],
        "erased_by": entry.erased_by,
    }
    if entry.others:
        whole["others"] = [None if part is None else json.loads(part) for part in entry.others]
    return whole
