"""Standard streams, for MCP clients that start a program."""
