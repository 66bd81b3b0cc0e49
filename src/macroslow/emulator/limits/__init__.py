"""Rate limits as providers enforce them, by four algorithms. Pure: no clock, no I/O."""

from macroslow.emulator.limits.headers import anthropic_headers, duration, openai_headers, waiting
from macroslow.emulator.limits.meter import Cost, Exceeded, Kind, Meter, View
from macroslow.emulator.limits.plan import Algorithm, Charge, Limits, parse_limits

__all__ = [
    "Algorithm",
    "Charge",
    "Cost",
    "Exceeded",
    "Kind",
    "Limits",
    "Meter",
    "View",
    "anthropic_headers",
    "duration",
    "openai_headers",
    "parse_limits",
    "waiting",
]
