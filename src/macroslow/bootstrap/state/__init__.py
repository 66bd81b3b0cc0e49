"""State, opened and held."""
