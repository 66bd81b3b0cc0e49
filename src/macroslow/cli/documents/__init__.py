"""Documents, and who signs them."""
