"""Models and who provides them."""
