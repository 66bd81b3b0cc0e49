"""Other MCP servers over Streamable HTTP: one request a call, on connections that are kept."""

from macroslow.adapters.mcp_http.place import Place
from macroslow.adapters.mcp_http.server import MCPOverHTTP

__all__ = ["MCPOverHTTP", "Place"]
