"""One JSON-RPC message from anybody, read so that no reader after us can read another in the same bytes.

Refused are members that are there twice, in the protocol's own objects also in another case (readers differ
in which they take), invalid UTF-8, halves of surrogate pairs, NaN, numbers beyond a double, integers beyond
64 bits (some readers keep them, others make them doubles), batches, and values nested deeper or in greater
number than a message needs. What it means, its reader decides.

An id must be below 2^53, since anybody's reader has to give it back. Integers elsewhere are only for whoever
they are sent to, and 64-bit ids are common: those are passed on exactly.

Sources: JSON-RPC 2.0, sections 4 and 6; RFC 8259, sections 4 and 6; RFC 7493, section 2.2; MCP 2026-07-28,
"Overview", JSON usage.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson

from macroslow.errors import BadRequestError
from macroslow.values import value
from macroslow.web.problems import NOT_JSON

CALL: Final = "tools/call"
MAX_DEPTH: Final = 64
MAX_VALUES: Final = 50_000  # members of objects and items of lists: to read so many takes some 60 ms
MAX_ID_CHARACTERS: Final = 256
MAX_ID: Final = 2**53 - 1  # beyond it readers round differently (RFC 8259 section 6)
MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**64 - 1
MAX_METHOD_CHARACTERS: Final = 128
_CONTAINERS: Final = frozenset({dict, list})
_PARTS: Final = frozenset({"method", "result", "error"})  # one of them makes a message
_NAMES: Final = ("jsonrpc", "id", "method", "params", "result", "error", "name", "arguments", "uri", "_meta")
_META: Final = "io.modelcontextprotocol/"
_PLAIN: Final = frozenset(
    {
        *_NAMES,
        "progressToken",
        "cursor",
        *(_META + name for name in ("protocolVersion", "clientCapabilities", "clientInfo", "logLevel")),
    }
)
"""What nearly every message has, and nothing else."""
_FOLDED: Final = {name.casefold(): name for name in _NAMES}


@value
class RPCMessage:
    """What a gate must know of a message. `id` None: a notification; `method` "": an answer to a request."""

    id: str | int | None
    method: str
    params: Mapping[str, Any]

    @property
    def tool(self) -> str | None:
        """The name of the tool that it calls; "" if it names none, None of other messages."""
        if self.method != CALL:
            return None
        name = self.params.get("name")
        return name if isinstance(name, str) else ""

    @property
    def wants_progress(self) -> bool:
        """Whether its sender wants to hear how far it is, which takes a stream."""
        meta = self.params.get("_meta")
        return isinstance(meta, dict) and meta.get("progressToken") is not None


def read_message(body: bytes) -> RPCMessage:
    """Return what is to be known of the message. BadRequestError says what is wrong with it."""
    try:
        found = orjson.loads(body)  # strict in all but members that are there twice
    except orjson.JSONDecodeError:
        raise BadRequestError("the body is not JSON", step=NOT_JSON) from None
    if type(found) is not dict:
        raise BadRequestError("a request has one JSON-RPC message, and no batch", step="message")
    containers = body.count(b"{") + body.count(b"[")
    if containers > MAX_DEPTH or containers + body.count(b",") > MAX_VALUES:  # it may have so many, not less
        _check_shape(found)
    _STRICT.decode(body.decode())
    if found.get("jsonrpc") != "2.0" or not _PARTS.intersection(found):
        raise BadRequestError("the body is no message of JSON-RPC 2.0", step="message")
    params = found.get("params", {})
    if type(params) is not dict:
        raise BadRequestError("params are an object", step="message")
    _check_names(found)
    _check_names(params)
    if type(meta := params.get("_meta")) is dict:
        _check_names(meta)
    return RPCMessage(_id(found), _method(found), params)


def _id(found: Mapping[str, Any]) -> str | int | None:
    given = found.get("id")
    if type(given) is str:
        good = len(given) <= MAX_ID_CHARACTERS
    elif type(given) is int:
        good = -MAX_ID <= given <= MAX_ID
    else:
        good = "id" not in found
    if not good:
        raise BadRequestError(
            f"an id is a text of at most {MAX_ID_CHARACTERS} characters or an integer below 2^53",
            step="message",
        )
    return given


def _method(found: Mapping[str, Any]) -> str:
    method = found.get("method", "")
    if type(method) is not str or len(method) > MAX_METHOD_CHARACTERS:
        raise BadRequestError("the method is no name of one", step="message")
    return method


def _check_names(members: Mapping[str, Any]) -> None:
    """Refuse members that only case tells apart, from each other or from those of the protocol."""
    if _PLAIN.issuperset(members):
        return
    folded = {name.casefold() for name in members}
    variants = any(_FOLDED.get(name.casefold(), name) != name for name in members)
    if variants or len(folded) != len(members):
        raise BadRequestError(
            "a member is there in two spellings, or in another than the protocol's", step="message"
        )


def _check_shape(found: object) -> None:
    """Level by level: as deep as a message may be, and no more values than that."""
    level, seen = [found], 0
    for _ in range(MAX_DEPTH):
        members = [list(one.values()) if isinstance(one, dict) else _items(one) for one in level]
        seen += sum(map(len, members))
        if seen > MAX_VALUES:
            break
        level = [member for each in members for member in each if type(member) in _CONTAINERS]
        if not level:
            return
    raise BadRequestError(
        f"the message is nested deeper than {MAX_DEPTH}, or has more than {MAX_VALUES} members and items",
        step="message",
    )


def _items(container: object) -> list[object]:
    return container if isinstance(container, list) else []


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadRequestError("an object has a member twice", step="message")
    return members


def _integer(digits: str) -> int:
    found = int(digits)
    if not MIN_INTEGER <= found <= MAX_INTEGER:
        raise BadRequestError("an integer is beyond 64 bits", fix="send it as a text", step="message")
    return found


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer)
