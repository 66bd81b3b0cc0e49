"""`macroslow keys`."""
