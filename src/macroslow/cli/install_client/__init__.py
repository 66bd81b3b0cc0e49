"""`macroslow install-client`."""
