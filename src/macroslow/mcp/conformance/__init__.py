"""What the official conformance suites call and read: tools, prompts and resources of no other use.

Only `macroslow serve --conformance` offers them. Their names, texts and behaviour are those that the suites
expect (modelcontextprotocol/conformance, 0.1.16 and 0.2.0-alpha.12).
"""

from macroslow.mcp.conformance.arming import KEY_BYTES, arm
from macroslow.mcp.conformance.events import Events
from macroslow.mcp.conformance.fixtures import Fixtures

__all__ = ["KEY_BYTES", "Events", "Fixtures", "arm"]
