"""Images of others, searched and used by the rules of those who give them."""
