"""How a conversation with another MCP server begins.

The newest protocol is tried first (`server/discover`); a server that does not know it gets the handshake
(`initialize`). We declare no capability, so a server may ask us nothing.

Source: MCP 2026-07-28, "Basic" (overview, versioning); 2025-11-25, "Lifecycle".
"""

from typing import Final

from macroslow.mcp.client.rpc import CLIENT, META, MODERN, Ask, NoAnswerError, RPCError, fresh_s
from macroslow.mcp.upstream import FRESH_S, JSON, Identity
from macroslow.values import value

HANDSHAKE: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
MAX_WORD: Final = 200  # characters of a server's name and version

_INITIALIZE: Final = {"protocolVersion": HANDSHAKE[0], "capabilities": {}, "clientInfo": CLIENT}


@value
class Greeting:
    """How a conversation began: who the server is, the version that is spoken, what it promises."""

    identity: Identity
    capabilities: JSON
    fresh_s: float

    @property
    def is_modern(self) -> bool:
        """Whether each request says all about itself; else it is the handshake's era."""
        return self.identity.protocol == MODERN

    @property
    def version(self) -> str | None:
        """What each request must name; None in the handshake's era."""
        return MODERN if self.is_modern else None


def greeted_modern(result: JSON) -> Greeting | None:
    """What a result of `server/discover` says; None if the server speaks no version of this era with us."""
    versions, capabilities = result.get("supportedVersions"), result.get("capabilities")
    if not isinstance(versions, list) or MODERN not in versions or not isinstance(capabilities, dict):
        return None
    meta = result.get("_meta")
    info = meta.get(META + "serverInfo") if isinstance(meta, dict) else None
    return Greeting(_identity(info, MODERN), capabilities, fresh_s(result))


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
        greeting = greeted_modern((await ask_modern("server/discover", {})).result)
    except RPCError:
        greeting = None
    return greeting or greeted((await ask("initialize", _INITIALIZE)).result)


def _identity(info: object, protocol: str) -> Identity:
    told = info if isinstance(info, dict) else {}
    name, version = told.get("name"), told.get("version")
    return Identity(
        name[:MAX_WORD] if isinstance(name, str) else "",
        version[:MAX_WORD] if isinstance(version, str) else "",
        protocol,
    )
