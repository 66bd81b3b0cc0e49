"""How a server's items stand beside what was approved: what is offered, what waits for an operator.

An item is offered if its text is that of its pin, and the server's identity that of its own. A new, changed
or renamed item, and all items of a server whose identity changed, wait for an operator. Seeing something
first approves nothing.
"""

import enum
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import orjson

from macroslow.mcp.clean_text import clean_json, texts
from macroslow.mcp.pins.items import Item, digest_of
from macroslow.mcp.pins.place import Kind, Place
from macroslow.mcp.upstream import JSON
from macroslow.values import value

_LOOKS: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "-": "", "_": "", ".": ""})


class State(enum.StrEnum):
    """How an item stands."""

    APPROVED = "approved"
    NEW = "new"
    CHANGED = "changed"
    GONE = "gone"  # approved, and not there now
    UNFIT = "unfit"  # cannot be offered, approved or not


@value
class Standing:
    """One item now and as approved; `was`: its former name, if it has but another one."""

    place: Place
    state: State
    now: Item | None
    approved: str | None
    was: str = ""


Approved = Mapping[Place, str]
"""The approved texts of one server."""


def compare(items: Mapping[Place, Item], approved: Approved) -> list[Standing]:
    """How each item stands, the identity first, those that are gone last."""
    missing = {place: text for place, text in approved.items() if place not in items}
    gone = {_nameless(place, text): place for place, text in missing.items()}
    standings = []
    for place, item in items.items():
        pinned = approved.get(place)
        state = _state(item, pinned)
        was = gone.get(_nameless(place, item.text)) if gone and state is State.NEW else None
        standings.append(Standing(place, state, item, pinned, was.name if was else ""))
    return standings + [Standing(place, State.GONE, None, text) for place, text in missing.items()]


def offered(standings: Sequence[Standing]) -> dict[Place, JSON]:
    """The items that may be offered, cleaned; none where the identity is not the approved one."""
    good = {one.place: one.now.shown for one in standings if one.state is State.APPROVED and one.now}
    if good.pop(Place(Kind.SERVER, ""), None) is None:
        return {}
    return good


def waits(standing: Standing) -> bool:
    """Whether an operator has something to decide."""
    return standing.state in {State.NEW, State.CHANGED, State.GONE}


def proposal_digest(standings: Iterable[Standing]) -> str:
    """What an approval names: exactly these items in exactly this form, and what they replace."""
    listed = sorted(
        (
            one.place.kind.value,
            one.place.name,
            one.now.digest if one.now else "",
            digest_of(one.approved or ""),
        )
        for one in standings
        if waits(one)
    )
    return hashlib.sha256(orjson.dumps(listed)).hexdigest()


def skeleton(name: str) -> str:
    """A name as a hasty reader sees it: without case and separators, look-alike letters as one (UTS #39)."""
    return name.lower().translate(_LOOKS).replace("rn", "m").replace("vv", "w")


def _state(item: Item, pinned: str | None) -> State:
    if item.fault:
        return State.UNFIT
    if pinned is None:
        return State.NEW
    return State.APPROVED if pinned == item.text else State.CHANGED


def _nameless(place: Place, text: str) -> str:
    """Of an item's text as if it had no name: the same for one that was renamed."""
    told = orjson.loads(text)
    for member in ("name", "title", "uri", "uriTemplate"):
        told.pop(member, None)
    return digest_of(f"{place.kind}{orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()}")


def hidden_in(text: str) -> int:
    """How many hidden characters an item's text holds."""
    return sum(clean_json(told)[1] for told in texts(orjson.loads(text)))
