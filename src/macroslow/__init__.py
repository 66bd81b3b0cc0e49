"""Macroslow: the security gateway between AI agents and the services they spend money and trust on."""

__version__ = "0.1.0"
