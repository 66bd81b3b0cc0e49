"""A server's result as the client gets it: cleaned, of the protocol's form, with nothing in it of our making.

Links and embedded resources are named as our clients would read them, under the server's own name: it cannot
pass off anything as a resource of this gateway, or of another server. `_meta` and icons are taken out of
every part: a client would hand on the one unseen, and fetch the other from anywhere.
"""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import BaseModel, ValidationError

from macroslow.errors import UpstreamUnavailableError
from macroslow.mcp.clean_text import clean_json, one_line
from macroslow.mcp.foreign_uris import ours
from macroslow.mcp.pins import Kind
from macroslow.mcp.upstream import JSON
from macroslow.services.upstreams.offers import Offer
from macroslow.values import value

if TYPE_CHECKING:
    import mcp_types as types

_BY_CLIENTS: Final = ("http://", "https://")  # links that a client follows by itself
_WIRE: Final = frozenset({"_meta", "resultType", "ttlMs", "cacheScope"})
"""Members of a result that are between its server and us, and again between us and a client."""
_UNSEEN: Final = frozenset({"_meta", "icons"})


@value
class Result:
    """For the client, as the SDK's value; its SHA-256, and how many hidden characters were taken out."""

    told: "types.CallToolResult | types.GetPromptResult | types.ReadResourceResult"
    sha256: str
    hidden: int


def result_of(server: str, offer: Offer, uri: str, raw: JSON) -> Result:
    """Read what `server` answered; `uri`: what of it was to be read, as the client named it.

    UpstreamUnavailableError for what is no result, or does not fit what was approved.
    """
    try:
        cleaned, hidden = clean_json({name: told for name, told in raw.items() if name not in _WIRE})
    except ValueError:
        raise _unfit(server, "is nested too deeply") from None
    _hold_against(server, offer, cleaned)
    try:
        told = _made(server, offer, uri, cleaned)
        return Result(told, _sha256(told), hidden)
    except (ValidationError, TypeError):
        raise _unfit(server, "is none") from None


def _hold_against(server: str, offer: Offer, cleaned: JSON) -> None:
    if offer.outputs is None or cleaned.get("isError") is True:
        return
    if complaints := offer.outputs.complaints(cleaned.get("structuredContent")):
        words = one_line(complaints[0])
        raise _unfit(server, f"does not fit the output schema that was approved: {words}")


def _made(
    server: str, offer: Offer, uri: str, cleaned: JSON
) -> "types.CallToolResult | types.GetPromptResult | types.ReadResourceResult":
    import mcp_types as types  # here: see offers

    match offer.place.kind:
        case Kind.TOOL:
            content = [_part(server, part) for part in _list(cleaned, "content")]
            return types.CallToolResult.model_validate({**cleaned, "content": content})
        case Kind.PROMPT:
            messages = [_message(server, one) for one in _list(cleaned, "messages")]
            return types.GetPromptResult.model_validate({**cleaned, "messages": messages})
        case _:
            # Under the URI that was asked for: a server's own would lead a client elsewhere.
            contents = [{**_seen(one), "uri": uri} for one in _list(cleaned, "contents")]
            return types.ReadResourceResult.model_validate({"contents": contents})


def _message(server: str, message: object) -> object:
    told = _seen(message)
    return {**told, "content": _part(server, told.get("content"))}


def _part(server: str, part: object) -> JSON:
    """One block of content, as our clients would read it."""
    told = _seen(part)
    if told.get("type") == "resource_link":
        return {**told, "uri": _our_uri(server, told.get("uri"))}
    if told.get("type") == "resource":
        resource = _seen(told.get("resource"))
        return {**told, "resource": {**resource, "uri": _our_uri(server, resource.get("uri"))}}
    return told


def _our_uri(server: str, uri: object) -> object:
    theirs_alone = isinstance(uri, str) and not uri.lower().startswith(_BY_CLIENTS)
    return ours(server, str(uri)) if theirs_alone else uri


def _seen(part: object) -> JSON:
    if not isinstance(part, Mapping):
        raise TypeError("no object")
    return {name: told for name, told in part.items() if name not in _UNSEEN}


def _list(cleaned: JSON, member: str) -> list[Any]:
    told = cleaned.get(member)
    if not isinstance(told, list):
        raise TypeError("no list")
    return told


def _sha256(told: BaseModel) -> str:
    """Over JSON of what the client gets, members of the protocol around it left out."""
    written = told.model_dump(mode="json", by_alias=True, exclude_none=True)
    kept = {name: member for name, member in written.items() if name not in _WIRE}
    return sha256_of(kept)


def sha256_of(told: JSON) -> str:
    """Over JSON with its members in the order of their names, and no white space.

    TypeError for what orjson cannot write: a number beyond 64 bits, half of a surrogate pair, 255 levels.
    """
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _unfit(server: str, why: str) -> UpstreamUnavailableError:
    return UpstreamUnavailableError(f"the result of {server} {why}", upstream=server)
