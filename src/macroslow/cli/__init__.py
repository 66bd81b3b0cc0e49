"""The command line. Each command has a module of its own, imported when it is called for."""

from macroslow.cli._main import main

__all__ = ["main"]
