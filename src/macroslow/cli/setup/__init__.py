"""From nothing to a configuration that works."""
