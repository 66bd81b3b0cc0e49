"""`/mcp`: the protocol behind the gate."""
