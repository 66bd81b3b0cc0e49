"""What agents find at /mcp."""

from typing import TYPE_CHECKING

from macroslow.bootstrap.gateway import Gateway
from macroslow.bootstrap.machine import entropy
from macroslow.services.documents.agent_tools import AgentTools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from macroslow.mcp.source import Source


def sources(gateway: Gateway) -> "Sequence[Source]":
    """Where tools, resources and prompts come from, in the order in which they are asked."""
    from macroslow.mcp.own_source import OwnSource  # with it comes the SDK, which is slow to import

    tools = AgentTools(
        gateway.execute, gateway.validate, gateway.governor.call_model, gateway.core.books, entropy
    )
    return (OwnSource(tools.handlers),)
