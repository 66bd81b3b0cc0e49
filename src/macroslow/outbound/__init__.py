"""A client of HTTP/1.1 for what the gateway calls at every request: one destination, kept connections."""
