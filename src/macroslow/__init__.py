"""Macroslow: the security gateway between AI agents and the services they spend money and trust on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from macroslow.bootstrap.edges.asgi import create_app

__version__ = "0.1.0"
__all__ = ["__version__", "create_app"]


def __getattr__(name: str) -> object:
    # Imported when asked for: `macroslow --version` must not load a whole gateway.
    if name == "create_app":
        from macroslow.bootstrap.edges.asgi import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
