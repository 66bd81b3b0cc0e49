"""Other MCP servers as the gateway sees them: what they offer, and calls to it. Nothing here trusts them.

What a server says is JSON as it came over the wire: within the bounds below, no deeper than
`mcp.client.rpc.MAX_LEVELS`, an answer to what was asked, and otherwise unchecked. Whoever shows it to a model
cleans it (`mcp.clean_text`), holds it against what was approved (`mcp.pins`) and bounds its schemas first.

Nothing of a caller's is ever sent: no credential, no header, no name. A server asks us nothing: its requests
for sampling, elicitation or roots are refused, since we declare none of these capabilities.

Source: MCP 2026-07-28, "Basic" and "Server features"; 2025-11-25 and before for servers of that era.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from macroslow.values import value

JSON = Mapping[str, Any]
Progress = Callable[[float, float | None, str], Awaitable[None]]
"""Takes how far a call is, of how much if that is known, and words or "": clean, on one line, cut short."""

MAX_PAGES: Final = 100  # of one list
MAX_ITEMS: Final = 2000  # of one kind: tools, prompts, resources or templates
MAX_CATALOGUE_BYTES: Final = 8 * 1024 * 1024  # of all answers that tell what a server offers
FRESH_S: Final = 60.0  # a catalogue is looked at again after this where the server says nothing
MAX_FRESH_S: Final = 300.0  # and after this at the latest
MIN_FRESH_S: Final = 15.0  # and no sooner than this, whatever the server says


@value
class Identity:
    """Who a server says it is: for people to read and for pins, never for a decision."""

    name: str
    version: str
    protocol: str  # the version spoken with it, as 2026-07-28


@value
class Found:
    """All that a server offers, all pages of it. `fresh_s`: so long it need not be asked again."""

    identity: Identity
    tools: tuple[JSON, ...]
    prompts: tuple[JSON, ...]
    resources: tuple[JSON, ...]
    templates: tuple[JSON, ...]
    fresh_s: float


class UpstreamServer(Protocol):
    """One server that the operator configured, connected when it is first needed and kept warm.

    Every method raises UpstreamUnavailableError for what could not be reached, broke off, took too long or
    was no answer at all; UpstreamRefusedError for an error that the server answered with, whose text has the
    server's own words, clean, on one line and cut short; TooLargeError for an answer beyond the operator's
    bound.
    """

    @property
    def where(self) -> str:
        """The URL or the command as the operator wrote it: no secret, and part of what is approved."""
        ...

    async def discover(self) -> Found:
        """Ask for everything that it offers. Bounded by MAX_PAGES, MAX_ITEMS and MAX_CATALOGUE_BYTES."""
        ...

    async def call_tool(
        self, name: str, arguments: JSON, *, timeout_s: float, progress: Progress | None = None
    ) -> JSON:
        """Call a tool once, in one request; its result as the server sent it. Never repeated."""
        ...

    async def get_prompt(self, name: str, arguments: Mapping[str, str], *, timeout_s: float) -> JSON:
        """Fill in a prompt."""
        ...

    async def read_resource(self, uri: str, *, timeout_s: float) -> JSON:
        """Read a resource by the server's own URI."""
        ...

    async def changed(self) -> None:
        """Return when the server says that what it offers changed; never if it does not say so."""
        ...

    async def close(self) -> None:
        """End the connections, and the process if it is one of ours."""
        ...
