"""Witnesses of the log over HTTP."""

from macroslow.adapters.witness.http_witness import HTTPWitness

__all__ = ["HTTPWitness"]
