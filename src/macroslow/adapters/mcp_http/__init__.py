"""Other MCP servers over Streamable HTTP: one request a call, on connections that are kept."""

from macroslow.adapters.mcp_http.endpoint import Endpoint
from macroslow.adapters.mcp_http.server import MCPOverHTTP

__all__ = ["Endpoint", "MCPOverHTTP"]
