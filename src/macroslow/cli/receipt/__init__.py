"""`macroslow receipt`."""
