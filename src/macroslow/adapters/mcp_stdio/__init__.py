"""Other MCP servers that are programs of this machine and speak over their standard streams."""

from macroslow.adapters.mcp_stdio.ports import Programs, Streams
from macroslow.adapters.mcp_stdio.server import StdioServer

__all__ = ["Programs", "StdioServer", "Streams"]
