"""What of a server is offered: its approved items, ready for listings and for the check of calls.

`x-mcp-header` is taken out of what clients are shown: arguments of other servers' tools come in the body
alone. A check of headers would come before the principal's, and tell anybody which tools there are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from macroslow.mcp.foreign_uris import our_template, ours
from macroslow.mcp.pins import SEPARATOR, Kind, Place, Standing, State, offered
from macroslow.mcp.schemas import BoundedSchema, UnusableSchemaError
from macroslow.mcp.upstream import JSON

Offers = Mapping[Place, "Offer"]

_HEADER: Final = "x-mcp-header"


class Offer:
    """One item: its members, cleaned; `shown` to clients as the SDK's value; its schemas, ready for use."""

    __slots__ = ("inputs", "item", "outputs", "place", "shown")

    def __init__(self, server: str, place: Place, item: JSON) -> None:
        """Raise UnusableSchemaError, or ValidationError, for what cannot be offered."""
        self.place = place
        self.item = item
        schema, result = item.get("inputSchema"), item.get("outputSchema")
        self.inputs = None if schema is None else BoundedSchema(schema)
        self.outputs = None if result is None else BoundedSchema(result)
        self.shown: Any = _shown(server, place, item)


def offers_of(
    server: str, standings: Sequence[Standing], admits: Callable[[Place], bool], before: Offers
) -> tuple[Sequence[Standing], dict[Place, Offer]]:
    """What is approved and `admits` wants, made anew only where it is not as `before`.

    What cannot be made is unfit in the standings that are returned.
    """
    made, unfit = dict[Place, Offer](), set[Place]()
    for place, item in offered(standings).items():
        if not admits(place):
            continue
        known = before.get(place)
        try:
            made[place] = known if known and known.item == item else Offer(server, place, item)
        except (UnusableSchemaError, ValidationError):
            unfit.add(place)
    told = [
        Standing(one.place, State.UNFIT, one.now, one.approved) if one.place in unfit else one
        for one in standings
    ]
    return told, made


def _shown(server: str, place: Place, item: JSON) -> BaseModel:
    told = dict(item)
    match place.kind:
        case Kind.RESOURCE:
            told["uri"] = ours(server, place.name)
        case Kind.TEMPLATE:
            told["uriTemplate"] = our_template(server, place.name)
        case _:
            told["name"] = f"{server}{SEPARATOR}{place.name}"
    if "inputSchema" in told:
        told["inputSchema"] = _without_headers(told["inputSchema"])
    return _model_of(place.kind).model_validate(told)


def _model_of(kind: Kind) -> type[BaseModel]:
    import mcp_types as types  # here: it takes as long as half a start, and most need none

    match kind:
        case Kind.TOOL:
            return types.Tool
        case Kind.PROMPT:
            return types.Prompt
        case Kind.RESOURCE:
            return types.Resource
        case _:
            return types.ResourceTemplate


def _without_headers(node: Any) -> Any:
    """The schema without its annotations `x-mcp-header`; a property of that name stays."""
    if isinstance(node, dict):
        return {
            key: _without_headers(member)
            for key, member in node.items()
            if key != _HEADER or isinstance(member, dict | bool)
        }
    return [_without_headers(item) for item in node] if isinstance(node, list) else node
