"""Tools of agents over a real house: arguments and results are held against the tool's own schemas."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jsonschema_rs
import orjson
from tests.services.house import ANN, House

from macroslow.authn.principal import Principal
from macroslow.mcp.ask import Ask, Handler, Tell
from macroslow.mcp.catalogue import TOOLS

Use = Callable[..., Awaitable[Any]]
_TOOLS = {tool.name: tool for tool in TOOLS}


def using(house: House) -> Use:
    """Call a tool of the house."""
    return calling(house.handlers)


def calling(handlers: Mapping[str, Handler]) -> Use:
    """Call a tool by its name, as ann unless somebody else is named; its result as a client gets it."""

    async def use(
        name: str, principal: Principal = ANN, tell: Tell | None = None, **arguments: object
    ) -> Any:
        tool = _TOOLS[name]
        jsonschema_rs.Draft202012Validator(dict(tool.input_schema)).validate(arguments)
        result = await handlers[name](Ask(principal, "r1", arguments, tell))
        told = orjson.loads(orjson.dumps(result))
        jsonschema_rs.Draft202012Validator(dict(tool.output_schema)).validate(told)
        return told

    return use
