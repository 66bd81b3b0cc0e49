"""What another server offers, read into items that can be pinned.

A *pin* is the exact text of one item as it was approved: the server's own identity, a tool, a prompt, a
resource or a template of resources. Its text is RFC 8785 JSON of the members below, its digest the SHA-256
of that. What clients are shown is read from that text, so that what was not approved cannot be shown.
Members that are not pinned (icons, `_meta`, instructions of the server) are not passed on.

An item that is too large, too intricate, or that cleaning would make another one, is unfit to be offered. It
is measured before anything else is done with it, and so are all items of a server together.

Numbers beyond 2**53 are those that a JSON reader with doubles sees (RFC 8785, section 3.2.2.3).
"""

import enum
import hashlib
import re
from collections.abc import Iterator
from dataclasses import field
from typing import Any, Final

import orjson
import rfc8785

from macroslow.mcp.clean_text import MAX_DEPTH, clean_json, is_clean, one_line
from macroslow.mcp.foreign_uris import MAX_URI, is_plain, is_understood
from macroslow.mcp.schemas import BoundedSchema, UnusableSchemaError
from macroslow.mcp.upstream import JSON, Found
from macroslow.values import value

MAX_ITEM_BYTES: Final = 128 * 1024  # of the pinned members of one item, as JSON
MAX_ITEM_NODES: Final = 10_000  # values in them
MAX_WORK: Final = 100_000  # values, and units of schemas, of all items of a server: two seconds or three
FAILED_WORK: Final = 5_000  # at most what a schema is charged with that could not be read to its end
MAX_NAME: Final = 64  # of an offered tool or prompt, its server's name included
SEPARATOR: Final = "__"

_USABLE: Final = re.compile(r"[A-Za-z0-9_-]+")
_EXACT: Final = 2**53
_HINTS: Final = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
_SCHEMAS: Final = ("inputSchema", "outputSchema")
_PROSE: Final = ("title", "description", "$comment")  # of a schema: cleaning them changes no meaning
_PINNED: Final = (
    "name", "title", "description", *_SCHEMAS, "annotations", "arguments", "uri", "uriTemplate", "mimeType",
)  # fmt: skip


class Kind(enum.StrEnum):
    """What an item is."""

    SERVER = "server"
    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    TEMPLATE = "template"


@value
class Place:
    """Which item of a server: tools and prompts by name, resources by URI; its identity has the name ""."""

    kind: Kind
    name: str


@value
class Item:
    """One item as a server has it now. `fault`: why it cannot be offered, or "". `shown`: it, cleaned."""

    place: Place
    text: str
    digest: str
    fault: str = ""
    shown: JSON = field(default_factory=dict)


class _UnfitError(Exception):
    """An item that cannot be offered, and why."""


class _Work:
    """What is left of MAX_WORK for the items of one server."""

    def __init__(self) -> None:
        self.left = MAX_WORK

    def spend(self, units: int) -> None:
        """Raise _UnfitError when it is spent."""
        self.left -= units
        if self.left < 0:
            raise _UnfitError("its server offers more than can be looked through")


def digest_of(text: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def items_of(server: str, found: Found, where: str) -> dict[Place, Item]:
    """Everything that a server offers, its identity first. Of several of one name none can be offered."""
    identity = found.identity
    said = {"name": identity.name, "version": identity.version, "protocol": identity.protocol, "where": where}
    place = Place(Kind.SERVER, "")
    work = _Work()
    items = {place: _item(place, said)}
    for kind, listed in (
        (Kind.TOOL, found.tools),
        (Kind.PROMPT, found.prompts),
        (Kind.RESOURCE, found.resources),
        (Kind.TEMPLATE, found.templates),
    ):
        for raw in listed:
            item = _read(server, kind, raw, work)
            if item.place in items:
                item = Item(item.place, item.text, item.digest, "the server lists it more than once")
            items[item.place] = item
    return items


def _read(server: str, kind: Kind, raw: JSON, work: _Work) -> Item:
    key = {Kind.RESOURCE: "uri", Kind.TEMPLATE: "uriTemplate"}.get(kind, "name")
    name = raw.get(key)
    place = Place(kind, name[: MAX_URI + 1] if isinstance(name, str) else "")
    try:
        _measure(raw, work)
        kept = _doubles(_projected(kind, raw))
        item = _item(place, kept)
        fault = item.fault or _name_fault(server, place) or _hidden_fault(kept)
        if not fault:
            _judge_schemas(item.shown, work)
            return item
    except _UnfitError as error:
        item, fault = _item(place, {key: place.name}), str(error)
    return Item(item.place, item.text, item.digest, one_line(fault))


def _measure(raw: JSON, work: _Work) -> None:
    """Raise _UnfitError for what is too large to be looked at closely."""
    try:
        written = orjson.dumps({member: raw[member] for member in _PINNED if member in raw})
    except TypeError:  # half of a surrogate pair, a number beyond 64 bits, or nested far too deeply
        raise _UnfitError("it cannot be written as JSON") from None
    if len(written) > MAX_ITEM_BYTES:
        raise _UnfitError(f"longer than {MAX_ITEM_BYTES} bytes")
    if (nodes := _nodes(raw)) > MAX_ITEM_NODES:
        raise _UnfitError(f"more than {MAX_ITEM_NODES} values are in it")
    work.spend(nodes)


def _nodes(raw: JSON) -> int:
    """How many values are in the pinned members; counted no further than MAX_ITEM_NODES."""
    pending: list[Any] = [raw[member] for member in _PINNED if member in raw]
    count = 0
    while pending and count <= MAX_ITEM_NODES:
        node = pending.pop()
        count += 1
        if isinstance(node, dict | list):
            if len(node) > MAX_ITEM_NODES:
                return len(node)
            pending.extend(node.values() if isinstance(node, dict) else node)
    return count


def _item(place: Place, kept: JSON) -> Item:
    try:
        text = rfc8785.dumps(kept).decode()
    except ValueError:  # half of a surrogate pair
        text = rfc8785.dumps({"unreadable": True}).decode()
        return Item(place, text, digest_of(text), "it cannot be written as JSON")
    if len(text) > MAX_ITEM_BYTES:
        return Item(place, text, digest_of(text), f"longer than {MAX_ITEM_BYTES} bytes")
    return Item(place, text, digest_of(text), shown=clean_json(orjson.loads(text))[0])


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


def _hidden_fault(kept: JSON) -> str:
    """What is meant exactly (names, patterns, constants) would mean something else once it is cleaned."""
    schemas = [kept[member] for member in _SCHEMAS if member in kept]
    if not all(map(is_clean, _exact(schemas))):
        return "hidden characters are in its schema, where they mean something"
    named = [argument["name"] for argument in kept.get("arguments", ())]
    return "" if all(map(is_clean, named)) else "hidden characters are in the names of its arguments"


def _exact(node: Any) -> Iterator[str]:
    """All names and texts of a schema but its prose."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for item in node:
            yield from _exact(item)
    elif isinstance(node, dict):
        for key, member in node.items():
            yield key
            if not (key in _PROSE and isinstance(member, str)):
                yield from _exact(member)


def _judge_schemas(shown: JSON, work: _Work) -> None:
    """Raise _UnfitError for a schema that cannot be used, as it would be used."""
    for member in _SCHEMAS:
        if member in shown:
            try:
                work.spend(BoundedSchema(shown[member]).units)
            except UnusableSchemaError as error:
                nodes = _nodes({member: shown[member]})
                work.spend(min(FAILED_WORK, nodes * nodes // 16))  # references multiply what is in it
                raise _UnfitError(f"its {member} cannot be used: {error}") from None
