"""Our side of a conversation with another MCP server: messages, whichever wire carries them.

The newest protocol is tried first (`server/discover`); a server that does not know it gets the handshake
(`initialize`). We declare no capability, so a server may ask us nothing. An answer is taken for the request
whose id it has, and for no other.

Source: MCP 2026-07-28, "Basic" (overview, versioning) and "Utilities" (pagination, caching); 2025-11-25,
"Lifecycle"; JSON-RPC 2.0.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson

from macroslow.mcp.upstream import (
    FRESH_S,
    JSON,
    MAX_CATALOGUE_BYTES,
    MAX_FRESH_S,
    MAX_ITEMS,
    MAX_PAGES,
    MIN_FRESH_S,
    Found,
    Identity,
)
from macroslow.values import value

MODERN: Final = "2026-07-28"
HANDSHAKE: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
METHOD_NOT_FOUND: Final = -32601
MAX_TEXT: Final = 300  # characters of a server's own words in an error of ours
MAX_WORD: Final = 200  # of its name and version

_META: Final = "io.modelcontextprotocol/"
_CLIENT: Final = {"name": "macroslow", "version": "1"}  # the same for every caller and every version of ours
_INITIALIZE: Final = {"protocolVersion": HANDSHAKE[0], "capabilities": {}, "clientInfo": _CLIENT}
_LISTS: Final = (
    ("tools", "tools/list", "tools"),
    ("prompts", "prompts/list", "prompts"),
    ("resources", "resources/list", "resources"),
    ("resources", "resources/templates/list", "resourceTemplates"),
)
"""Which capability promises a list, how it is asked for, and the member that has it."""

Ask = Callable[[str, JSON], Awaitable[JSON]]
"""Sends a request of a method with its parameters; the result, as an object."""


class NoAnswerError(Exception):
    """What came is no answer to what was asked. Its text quotes nothing of it."""


class RPCError(Exception):
    """The server answered with an error. `message` is its own text, cut short."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"error {code}")
        self.code = code
        self.message = message
        self.data = data


@value
class Greeting:
    """How a conversation began: who the server is, the version that is spoken, what it promises."""

    identity: Identity
    capabilities: JSON
    fresh_s: float


def request(
    number: int, method: str, params: JSON, version: str | None, *, progress_token: int | None = None
) -> bytes:
    """One request. `version` is the modern one where it is spoken, None in the handshake's era."""
    meta: dict[str, object] = {}
    if version is not None:
        meta = {
            _META + "protocolVersion": version,
            _META + "clientCapabilities": {},
            _META + "clientInfo": _CLIENT,
        }
    if progress_token is not None:
        meta["progressToken"] = progress_token
    told = {**params, "_meta": meta} if meta else params
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": told})


def notification(method: str, params: JSON | None = None) -> bytes:
    """One notification."""
    told = {} if params is None else {"params": params}
    return orjson.dumps({"jsonrpc": "2.0", "method": method, **told})


def answer_to(number: int, message: object) -> JSON:
    """The result in `message`, if it answers request `number`. NoAnswerError; RPCError if it is an error."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise NoAnswerError("no message of JSON-RPC 2.0")
    told, error = message.get("id"), message.get("error")
    # An error may come without the id, if the server could not read it (JSON-RPC 2.0, section 5).
    another = type(told) is not int or told != number
    if another and (told is not None or error is None):
        raise NoAnswerError("an answer to another request")
    if isinstance(error, dict):
        code, words = error.get("code"), error.get("message")
        raise RPCError(
            code if type(code) is int else 0,
            words[:MAX_TEXT] if isinstance(words, str) else "",
            error.get("data"),
        )
    result = message.get("result")
    if not isinstance(result, dict):
        raise NoAnswerError("neither a result nor an error")
    return result


def greeted_modern(result: JSON) -> Greeting | None:
    """What a result of `server/discover` says; None if the server speaks no version of this era with us."""
    versions, capabilities = result.get("supportedVersions"), result.get("capabilities")
    if not isinstance(versions, list) or MODERN not in versions or not isinstance(capabilities, dict):
        return None
    meta = result.get("_meta")
    info = meta.get(_META + "serverInfo") if isinstance(meta, dict) else None
    return Greeting(_identity(info, MODERN), capabilities, _fresh_s(result))


def greeted(result: JSON) -> Greeting:
    """What a result of `initialize` says. NoAnswerError for a version that we do not speak."""
    version, capabilities = result.get("protocolVersion"), result.get("capabilities")
    if version not in HANDSHAKE or not isinstance(capabilities, dict):
        raise NoAnswerError("it speaks no version of the protocol that we know")
    return Greeting(_identity(result.get("serverInfo"), version), capabilities, FRESH_S)


async def meet(ask: Ask, ask_modern: Ask) -> Greeting:
    """Begin a conversation: by `ask_modern`, which speaks MODERN, else with the handshake by `ask`.

    Only an answer that is an error, or that names other versions, is a reason for the handshake: a server
    that cannot be reached is not an old one. What follows `initialize` (`notifications/initialized`) is the
    wire's.
    """
    try:
        greeting = greeted_modern(await ask_modern("server/discover", {}))
    except RPCError:
        greeting = None
    return greeting or greeted(await ask("initialize", _INITIALIZE))


async def everything(greeting: Greeting, ask: Ask) -> Found:
    """All that the server offers, as its capabilities promise. NoAnswerError beyond the bounds."""
    found: dict[str, tuple[JSON, ...]] = {}
    fresh_s, budget = greeting.fresh_s, _Budget()
    for capability, method, member in _LISTS:
        if capability not in greeting.capabilities:
            found[member] = ()
            continue
        try:
            found[member], lasts_s = await _all_pages(ask, method, member, budget)
        except RPCError as error:
            if error.code != METHOD_NOT_FOUND or member != "resourceTemplates":
                raise
            found[member], lasts_s = (), MAX_FRESH_S  # many servers with resources have no templates
        fresh_s = min(fresh_s, lasts_s)
    return Found(
        greeting.identity,
        found["tools"],
        found["prompts"],
        found["resources"],
        found["resourceTemplates"],
        max(MIN_FRESH_S, fresh_s),
    )


class _Budget:
    """What is left of MAX_CATALOGUE_BYTES."""

    def __init__(self) -> None:
        self._left = MAX_CATALOGUE_BYTES

    def take(self, items: list[Any]) -> None:
        self._left -= len(orjson.dumps(items))
        if self._left < 0:
            raise NoAnswerError(f"its lists have more than {MAX_CATALOGUE_BYTES} bytes")


async def _all_pages(ask: Ask, method: str, member: str, budget: _Budget) -> tuple[tuple[JSON, ...], float]:
    items: list[JSON] = []
    params: JSON = {}
    seen: set[str] = set()
    fresh_s = MAX_FRESH_S
    for _ in range(MAX_PAGES):
        result = await ask(method, params)
        page = result.get(member)
        if not isinstance(page, list) or not all(isinstance(item, dict) for item in page):
            raise NoAnswerError(f"no list of {member}")
        budget.take(page)
        items += page
        if len(items) > MAX_ITEMS:
            raise NoAnswerError(f"more than {MAX_ITEMS} {member}")
        fresh_s = min(fresh_s, _fresh_s(result))
        cursor = result.get("nextCursor")
        if cursor is None:
            return tuple(items), fresh_s
        if not isinstance(cursor, str) or cursor in seen:
            raise NoAnswerError(f"its pages of {member} have no end")
        seen.add(cursor)
        params = {"cursor": cursor}
    raise NoAnswerError(f"more than {MAX_PAGES} pages of {member}")


def _fresh_s(result: JSON) -> float:
    told = result.get("ttlMs")
    return min(MAX_FRESH_S, told / 1000) if isinstance(told, int | float) and told > 0 else FRESH_S


def _identity(info: object, protocol: str) -> Identity:
    told: Mapping[str, object] = info if isinstance(info, dict) else {}
    name, version = told.get("name"), told.get("version")
    return Identity(
        name[:MAX_WORD] if isinstance(name, str) else "",
        version[:MAX_WORD] if isinstance(version, str) else "",
        protocol,
    )
