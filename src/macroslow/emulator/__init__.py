"""A stand-in for the providers of models and images on loopback, limits and errors included."""

from macroslow.emulator.app import Emulator, create_emulator
from macroslow.emulator.faults import Faults, parse_faults
from macroslow.emulator.images import ImageLimits
from macroslow.emulator.keys import AcceptedKeys
from macroslow.emulator.latency import Latency, parse_latency
from macroslow.emulator.limits import Algorithm, Charge, Limits, parse_limits
from macroslow.emulator.server import running

__all__ = [
    "AcceptedKeys",
    "Algorithm",
    "Charge",
    "Emulator",
    "Faults",
    "ImageLimits",
    "Latency",
    "Limits",
    "create_emulator",
    "parse_faults",
    "parse_latency",
    "parse_limits",
    "running",
]
