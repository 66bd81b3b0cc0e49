"""`macroslow audit`."""
