"""Messages between us and another MCP server, whichever wire carries them: what we say, what we take.

An answer is taken for the request whose id it has, and for no other. What is taken is bounded in levels, and
words that people or models will read are cleaned here, once.

Source: JSON-RPC 2.0; MCP 2026-07-28, "Basic" and "Utilities" (progress, caching,
subscriptions).
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from itertools import chain
from typing import Any, Final, NamedTuple, TypeGuard

import orjson

from macroslow.mcp.clean_text import one_line
from macroslow.mcp.upstream import FRESH_S, JSON, MAX_FRESH_S

MODERN: Final = "2026-07-28"
METHOD_NOT_FOUND: Final = -32601
MAX_LEVELS: Final = 100  # of a result, one in another
MAX_BRACKETS: Final = 500_000  # lists and objects of a message, those in its texts counted too
META: Final = "io.modelcontextprotocol/"
CLIENT: Final = {"name": "macroslow", "version": "1"}  # the same for every caller and every version of ours

_LISTED: Final = ("tools", "prompts", "resources")
_CHANGES: Final = frozenset(f"notifications/{kind}/list_changed" for kind in _LISTED)


class NoAnswerError(Exception):
    """What came is no answer to what was asked. Its text quotes nothing of it."""


class WantsInputError(Exception):
    """The answer is a demand for further input, which is passed on to nobody."""


class RPCError(Exception):
    """The server answered with an error. `message` is its own text, cleaned and cut short, on one line."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"error {code}")
        self.code = code
        self.message = message


class Reply(NamedTuple):
    """A result, and how long the message was that brought it."""

    result: JSON
    length_bytes: int


class Report(NamedTuple):
    """How far a call is: finite numbers, and words on one line or ""."""

    done: float
    total: float | None
    words: str


Ask = Callable[[str, JSON], Awaitable[Reply]]
"""Sends a request of a method with its parameters."""


def request(
    number: int, method: str, params: JSON, version: str | None, *, progress_token: int | None = None
) -> bytes:
    """One request. `version` is the modern one where it is spoken, None in the handshake's era."""
    meta: dict[str, object] = {}
    if version is not None:
        meta = {
            META + "protocolVersion": version,
            META + "clientCapabilities": {},
            META + "clientInfo": CLIENT,
        }
    if progress_token is not None:
        meta["progressToken"] = progress_token
    told = {**params, "_meta": meta} if meta else params
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": told})


def notification(method: str, params: JSON | None = None) -> bytes:
    """One notification."""
    told = {} if params is None else {"params": params}
    return orjson.dumps({"jsonrpc": "2.0", "method": method, **told})


def message_of(raw: bytes) -> Any:
    """The JSON in `raw`. NoAnswerError for what is none, and for what would be long in the reading."""
    if raw.count(b"[") + raw.count(b"{") > MAX_BRACKETS:
        raise NoAnswerError(f"more than {MAX_BRACKETS} lists and objects")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise NoAnswerError("what came is no JSON") from None


def answer_to(number: int, message: object) -> JSON:
    """The result in `message`, if it answers request `number`. NoAnswerError; RPCError if it is an error."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise NoAnswerError("no message of JSON-RPC 2.0")
    told, error = message.get("id"), message.get("error")
    # An error may come without the id, if the server could not read it (JSON-RPC 2.0, section 5).
    another = type(told) is not int or told != number
    if another and (told is not None or not isinstance(error, dict)):
        raise NoAnswerError("an answer to another request")
    if isinstance(error, dict):
        code = error.get("code")
        raise RPCError(code if type(code) is int else 0, words(error.get("message")))
    result = message.get("result")
    if not isinstance(result, dict):
        raise NoAnswerError("neither a result nor an error")
    if is_deep(result):
        raise NoAnswerError(f"more than {MAX_LEVELS} levels, one in another")
    return result


def complete(result: JSON) -> JSON:
    """The result of a call, if it is its end. WantsInputError for one that asks for more."""
    if result.get("resultType", "complete") != "complete":
        raise WantsInputError
    return result


def progress_of(params: object) -> tuple[int, Report] | None:
    """The token and the report of a notification of progress; None if it is none of a call of ours."""
    told = params if isinstance(params, dict) else {}
    token, done, total = told.get("progressToken"), told.get("progress"), told.get("total")
    if type(token) is not int or not _is_number(done):
        return None
    return token, Report(float(done), float(total) if _is_number(total) else None, words(told.get("message")))


def is_list_change(method: object) -> bool:
    """Whether a notification of that method says that what a server offers changed."""
    return isinstance(method, str) and method in _CHANGES


def listen_params(capabilities: JSON) -> JSON | None:
    """What to ask `subscriptions/listen` for: the changes that the server says it tells; None for none."""
    filters = {
        f"{kind}ListChanged": True
        for kind in _LISTED
        if isinstance(told := capabilities.get(kind), dict) and told.get("listChanged") is True
    }
    return {"notifications": filters} if filters else None


def fresh_s(result: JSON) -> float:
    """For so long an answer holds, as it says (`ttlMs`)."""
    told = result.get("ttlMs")
    return min(MAX_FRESH_S, told / 1000) if _is_number(told) and told > 0 else FRESH_S


def words(told: object) -> str:
    """A server's own words as they may be shown: cleaned, on one line, cut short; "" for what is no text."""
    return one_line(told) if isinstance(told, str) else ""


def is_deep(told: Mapping[str, Any]) -> bool:
    """Whether JSON has more than MAX_LEVELS levels. As deep as it may be, nothing here calls itself."""
    level: list[Any] = [told]
    for _ in range(MAX_LEVELS):
        members = chain.from_iterable(node.values() if type(node) is dict else node for node in level)
        level = [member for member in members if type(member) is dict or type(member) is list]
        if not level:
            return False
    return True


def _is_number(told: object) -> TypeGuard[float]:
    return isinstance(told, int | float) and not isinstance(told, bool) and math.isfinite(told)
