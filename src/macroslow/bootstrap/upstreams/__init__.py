"""Other MCP servers."""
