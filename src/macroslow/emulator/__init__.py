"""A stand-in for the provider: the OpenAI chat API on loopback, with its limits, headers and errors."""

from macroslow.emulator.app import Emulator, create_emulator
from macroslow.emulator.faults import Faults, parse_faults
from macroslow.emulator.keys import AcceptedKeys
from macroslow.emulator.latency import Latency, parse_latency
from macroslow.emulator.limits import Charge, Limits, parse_limits
from macroslow.emulator.server import running

__all__ = [
    "AcceptedKeys",
    "Charge",
    "Emulator",
    "Faults",
    "Latency",
    "Limits",
    "create_emulator",
    "parse_faults",
    "parse_latency",
    "parse_limits",
    "running",
]
