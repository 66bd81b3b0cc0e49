"""What other servers offer, held against what an operator approved: nothing else is offered to anybody."""

from macroslow.mcp.pins.items import (
    MAX_ITEM_BYTES,
    MAX_ITEM_NODES,
    MAX_WORK,
    SEPARATOR,
    Item,
    digest_of,
    items_of,
)
from macroslow.mcp.pins.place import Kind, Place
from macroslow.mcp.pins.standings import (
    Approved,
    Standing,
    State,
    compare,
    hidden_in,
    offered,
    proposal_digest,
    skeleton,
    waits,
)

__all__ = [
    "MAX_ITEM_BYTES",
    "MAX_ITEM_NODES",
    "MAX_WORK",
    "SEPARATOR",
    "Approved",
    "Item",
    "Kind",
    "Place",
    "Standing",
    "State",
    "compare",
    "digest_of",
    "hidden_in",
    "items_of",
    "offered",
    "proposal_digest",
    "skeleton",
    "waits",
]
