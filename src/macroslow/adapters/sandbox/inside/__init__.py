"""What runs on the far side of the wall: the zygote, each run's init and the Python cells.

Self-contained: only the standard library and relative imports, since the gateway starts it by path
in an isolated interpreter with an empty environment, before any secret is known.
"""
