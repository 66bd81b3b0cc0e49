"""What another server offers, read into items that can be pinned.

A *pin* is the exact text of one item as it was approved: the server's own identity, a tool, a prompt, a
resource or a template of resources. Its text is RFC 8785 JSON of the pinned members, its digest the SHA-256
of that. What clients are shown is read from that text, so that what was not approved cannot be shown.
Members that are not pinned (icons, `_meta`, instructions of the server) are not passed on.

An item that is too large, too intricate, or that cleaning would make another one, is unfit to be offered. It
is measured before anything else is done with it, and so are all items of a server together.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import field
from typing import Any, Final

import orjson
import rfc8785

from macroslow.mcp.clean_text import clean_json, is_clean, one_line
from macroslow.mcp.foreign_uris import MAX_URI, is_plain, is_understood
from macroslow.mcp.pins.members import PINNED, SCHEMAS, UnfitError, pinned_members
from macroslow.mcp.pins.place import Kind, Place
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
_PROSE: Final = ("title", "description", "$comment")  # of a schema: cleaning them changes no meaning


@value
class Item:
    """One item as a server has it now. `fault`: why it cannot be offered, or "". `shown`: it, cleaned."""

    place: Place
    text: str
    digest: str
    fault: str = ""
    shown: JSON = field(default_factory=dict)


class _Work:
    """What is left of MAX_WORK for the items of one server."""

    def __init__(self) -> None:
        self.left = MAX_WORK

    def spend(self, units: int) -> None:
        """Raise UnfitError when it is spent."""
        self.left -= units
        if self.left < 0:
            raise UnfitError("its server offers more than can be looked through")


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
        kept = pinned_members(kind, raw)
        item = _item(place, kept)
        fault = item.fault or _name_fault(server, place) or _hidden_fault(kept)
        if not fault:
            _judge_schemas(item.shown, work)
            return item
    except UnfitError as error:
        item, fault = _item(place, {key: place.name}), str(error)
    return Item(item.place, item.text, item.digest, one_line(fault))


def _measure(raw: JSON, work: _Work) -> None:
    """Raise UnfitError for what is too large to be looked at closely."""
    try:
        written = orjson.dumps({member: raw[member] for member in PINNED if member in raw})
    except TypeError:  # half of a surrogate pair, a number beyond 64 bits, or nested far too deeply
        raise UnfitError("it cannot be written as JSON") from None
    if len(written) > MAX_ITEM_BYTES:
        raise UnfitError(f"longer than {MAX_ITEM_BYTES} bytes")
    if (nodes := _nodes(raw)) > MAX_ITEM_NODES:
        raise UnfitError(f"more than {MAX_ITEM_NODES} values are in it")
    work.spend(nodes)


def _nodes(raw: JSON) -> int:
    """How many values are in the pinned members; counted no further than MAX_ITEM_NODES."""
    pending: list[Any] = [raw[member] for member in PINNED if member in raw]
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
    schemas = [kept[member] for member in SCHEMAS if member in kept]
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
    """Raise UnfitError for a schema that cannot be used, as it would be used."""
    for member in SCHEMAS:
        if member in shown:
            try:
                work.spend(BoundedSchema(shown[member]).units)
            except UnusableSchemaError as error:
                nodes = _nodes({member: shown[member]})
                work.spend(min(FAILED_WORK, nodes * nodes // 16))  # references multiply what is in it
                raise UnfitError(f"its {member} cannot be used: {error}") from None
