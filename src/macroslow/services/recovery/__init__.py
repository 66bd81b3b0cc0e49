"""What a process that died left open: found and closed, by the next one or by another."""
