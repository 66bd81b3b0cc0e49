"""Other MCP servers: what they offer, held against what was approved, and calls to them."""
