"""What other servers offer, held against what an operator approved: nothing else is offered to anybody.

A *pin* is the exact text of one item as it was approved: the server's own identity, a tool, a prompt, a
resource or a template of resources. Its text is RFC 8785 JSON of the members below, its digest the SHA-256
of that. What clients are shown is read from that text, so that what was not approved cannot be shown.
Members that are not pinned (icons, `_meta`, instructions of the server) are not passed on.

An item is offered if its text is that of its pin, and the server's identity that of its own. A new, changed
or renamed item, and all items of a server whose identity changed, wait for an operator. Seeing something
first approves nothing.

Numbers beyond 2**53 are those that a JSON reader with doubles sees (RFC 8785, section 3.2.2.3).
"""

import enum
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
import rfc8785

from macroslow.mcp.clean_text import MAX_DEPTH, clean_json, is_clean, texts
from macroslow.mcp.foreign_uris import MAX_URI, is_plain, is_understood
from macroslow.mcp.schemas import schema_fault
from macroslow.mcp.upstream import JSON, Found
from macroslow.values import value

MAX_ITEM_BYTES: Final = 128 * 1024  # of one item's text
MAX_NAME: Final = 64  # of an offered tool or prompt, its server's name included
SEPARATOR: Final = "__"

_USABLE: Final = re.compile(r"[A-Za-z0-9_-]+")
_EXACT: Final = 2**53
_HINTS: Final = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
_LOOKS: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "-": "", "_": "", ".": ""})


class Kind(enum.StrEnum):
    """What an item is."""

    SERVER = "server"
    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    TEMPLATE = "template"


class State(enum.StrEnum):
    """How an item stands."""

    APPROVED = "approved"
    NEW = "new"
    CHANGED = "changed"
    GONE = "gone"  # approved, and not there now
    UNFIT = "unfit"  # cannot be offered, approved or not


@value
class Place:
    """Which item of a server: tools and prompts by name, resources by URI; its identity has the name ""."""

    kind: Kind
    name: str


@value
class Item:
    """One item as a server has it now. `fault`: why it cannot be offered, or ""."""

    place: Place
    text: str
    digest: str
    fault: str = ""


@value
class Standing:
    """One item now and as approved. `beside` tells what it could be taken for, `was` its former name."""

    place: Place
    state: State
    now: Item | None
    approved: str | None
    beside: tuple[str, ...] = ()
    was: str = ""


Approved = Mapping[Place, str]
"""The approved texts of one server."""


class _UnfitError(Exception):
    """An item that cannot be offered, and why."""


def digest_of(text: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def items_of(server: str, found: Found, where: str) -> dict[Place, Item]:
    """Everything that a server offers, its identity first. Of several of one name none can be offered."""
    identity = found.identity
    said = {"name": identity.name, "version": identity.version, "protocol": identity.protocol, "where": where}
    place = Place(Kind.SERVER, "")
    items = {place: _item(place, said)}
    for kind, listed in (
        (Kind.TOOL, found.tools),
        (Kind.PROMPT, found.prompts),
        (Kind.RESOURCE, found.resources),
        (Kind.TEMPLATE, found.templates),
    ):
        for raw in listed:
            item = _read(server, kind, raw)
            if item.place in items:
                item = Item(item.place, item.text, item.digest, "the server lists it more than once")
            items[item.place] = item
    return items


def compare(items: Mapping[Place, Item], approved: Approved) -> list[Standing]:
    """How each item stands, the identity first, those that are gone last."""
    missing = {place: text for place, text in approved.items() if place not in items}
    gone = {digest_of(_nameless(place, text)): place for place, text in missing.items()}
    standings = []
    for place, item in items.items():
        pinned = approved.get(place)
        state = _state(item, pinned)
        was = gone.get(digest_of(_nameless(place, item.text))) if state is State.NEW else None
        renamed = was is not None and was.kind is place.kind
        standings.append(Standing(place, state, item, pinned, (), was.name if was and renamed else ""))
    return standings + [Standing(place, State.GONE, None, text) for place, text in missing.items()]


def offered(standings: Sequence[Standing]) -> dict[Place, Any]:
    """The items that may be offered, cleaned; none where the identity is not the approved one."""
    good = [one for one in standings if one.state is State.APPROVED and one.approved is not None]
    if not any(one.place.kind is Kind.SERVER for one in good):
        return {}
    return {
        one.place: clean_json(orjson.loads(one.approved or ""))[0]
        for one in good
        if one.place.kind is not Kind.SERVER
    }


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
    """An item's text as if it had no name: the same for one that was renamed."""
    told = orjson.loads(text)
    for member in ("name", "title", "uri", "uriTemplate"):
        told.pop(member, None)
    return f"{place.kind}{rfc8785.dumps(told).decode()}"


def _read(server: str, kind: Kind, raw: JSON) -> Item:
    key = {Kind.RESOURCE: "uri", Kind.TEMPLATE: "uriTemplate"}.get(kind, "name")
    name = raw.get(key)
    place = Place(kind, name if isinstance(name, str) else "")
    try:
        kept = _doubles(_projected(kind, raw))
        fault = _name_fault(server, place) or _key_fault(kept) or _schema_faults(kept)
    except _UnfitError as error:
        kept, fault = {key: place.name}, str(error)
    item = _item(place, kept)
    return Item(item.place, item.text, item.digest, fault) if fault else item


def _item(place: Place, kept: JSON) -> Item:
    try:
        text = rfc8785.dumps(kept).decode()
    except ValueError:  # half of a surrogate pair
        text = rfc8785.dumps({"unreadable": True}).decode()
        return Item(place, text, digest_of(text), "it cannot be written as JSON")
    fault = f"longer than {MAX_ITEM_BYTES} bytes" if len(text) > MAX_ITEM_BYTES else ""
    return Item(place, text, digest_of(text), fault)


def _doubles(node: Any, depth: int = MAX_DEPTH) -> Any:
    """The numbers that RFC 8785 can write. Nothing is followed below `depth`."""
    if depth == 0:
        raise _UnfitError(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(node, dict):
        return {key: _doubles(member, depth - 1) for key, member in node.items()}
    if isinstance(node, list):
        return [_doubles(item, depth - 1) for item in node]
    if isinstance(node, int) and not isinstance(node, bool) and abs(node) > _EXACT:
        return float(node)
    return node


def _projected(kind: Kind, raw: JSON) -> dict[str, Any]:
    """The pinned members, each of the kind that it must be."""
    kept = _texts_of(raw, "name", "title", "description")
    if "name" not in kept:
        raise _UnfitError("it has no name")
    match kind:
        case Kind.TOOL:
            kept |= _objects_of(raw, "inputSchema", "outputSchema")
            if "inputSchema" not in kept:
                raise _UnfitError("it has no input schema")
            hints = raw.get("annotations")
            if isinstance(hints, dict):
                kept["annotations"] = _texts_of(hints, "title") | _hints_of(hints)
        case Kind.PROMPT:
            kept["arguments"] = [_argument(one) for one in _list_of(raw, "arguments")]
        case Kind.RESOURCE:
            kept |= _needed(raw, "uri") | _texts_of(raw, "mimeType")
        case _:
            kept |= _needed(raw, "uriTemplate") | _texts_of(raw, "mimeType")
    return kept


def _argument(raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise _UnfitError("an argument is no object")
    required = raw.get("required") is True
    return _needed(raw, "name") | _texts_of(raw, "title", "description") | {"required": required}


def _texts_of(raw: JSON, *members: str) -> dict[str, Any]:
    kept = {member: raw[member] for member in members if raw.get(member) is not None}
    for member, told in kept.items():
        if not isinstance(told, str):
            raise _UnfitError(f"its {member} is no text")
    return kept


def _needed(raw: JSON, member: str) -> dict[str, Any]:
    kept = _texts_of(raw, member)
    if not kept.get(member):
        raise _UnfitError(f"it has no {member}")
    return kept


def _objects_of(raw: JSON, *members: str) -> dict[str, Any]:
    kept = {member: raw[member] for member in members if raw.get(member) is not None}
    for member, told in kept.items():
        if not isinstance(told, dict):
            raise _UnfitError(f"its {member} is no object")
    return kept


def _hints_of(hints: JSON) -> dict[str, Any]:
    return {hint: hints[hint] for hint in _HINTS if isinstance(hints.get(hint), bool)}


def _list_of(raw: JSON, member: str) -> list[Any]:
    told = raw.get(member)
    if told is None:
        return []
    if not isinstance(told, list):
        raise _UnfitError(f"its {member} are no list")
    return told


def _name_fault(server: str, place: Place) -> str:
    if not is_clean(place.name) or not place.name:
        return "hidden characters are in its name"
    if place.kind in {Kind.RESOURCE, Kind.TEMPLATE}:
        return _uri_fault(place)
    if not _USABLE.fullmatch(place.name):
        return "its name has other characters than A-Z, a-z, 0-9, _ and -"
    if len(server) + len(SEPARATOR) + len(place.name) > MAX_NAME:
        return f"with its server's name it would have more than {MAX_NAME} characters"
    return ""


def _uri_fault(place: Place) -> str:
    if len(place.name) > MAX_URI or not is_plain(place.name):
        return "its URI is too long, or has a step upwards"
    if place.kind is Kind.TEMPLATE and not is_understood(place.name):
        return "its template has expressions other than {name} and {+name}"
    return ""


def _key_fault(kept: JSON) -> str:
    """Names of members are what a model must write: cleaning them would change what they mean."""
    schemas = [kept[member] for member in ("inputSchema", "outputSchema") if member in kept]
    return "" if all(map(is_clean, _keys(schemas))) else "hidden characters are in its schema's names"


def _schema_faults(kept: JSON) -> str:
    for member in ("inputSchema", "outputSchema"):
        if member in kept and (fault := schema_fault(kept[member])):
            return f"its {member} cannot be used: {fault}"
    return ""


def _keys(node: Any) -> Iterable[str]:
    if isinstance(node, dict):
        return [*node, *(key for member in node.values() for key in _keys(member))]
    return [key for item in node for key in _keys(item)] if isinstance(node, list) else []


def hidden_in(text: str) -> int:
    """How many hidden characters an item's text holds."""
    return sum(clean_json(told)[1] for told in texts(orjson.loads(text)))
