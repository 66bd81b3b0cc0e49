"""Erasing a person from the log, at once and when what was held is due."""
