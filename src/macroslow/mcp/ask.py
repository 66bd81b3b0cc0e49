"""One call of a tool of ours, as its handler gets it: no type of the protocol, and no transport."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from macroslow.authn.principal import Principal
from macroslow.values import value

Tell = Callable[[float, float | None, str], Awaitable[None]]
"""Tells the caller how far the work is: so much, of so much if that is known, in a few words."""


@value
class Ask:
    """Who asks for what. `arguments` have passed the tool's schema.

    `request_id` is the gate's, and goes into the log. `tell` None: the caller wants no progress.
    """

    principal: Principal
    request_id: str
    arguments: Mapping[str, Any]
    tell: Tell | None = None


Handler = Callable[[Ask], Awaitable[Mapping[str, object]]]
"""Does what a tool is for and returns a result of its output schema; raises MacroslowError."""
