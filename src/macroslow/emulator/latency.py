"""How long the emulated model takes: until its first token, and for each one."""

from dataclasses import dataclass
from typing import Final

from macroslow.emulator.spec import decimal, parse_pairs

_MOST_MS: Final = 60_000.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds before the first token, and seconds a token."""

    first_s: float = 0.0
    per_token_s: float = 0.0

    def whole_s(self, tokens: int) -> float:
        """Seconds for an answer of `tokens` tokens."""
        return self.first_s + tokens * self.per_token_s


def parse_latency(text: str) -> Latency:
    """Read `first_ms=20,per_token_ms=1.5`; what is missing is 0. Raises ConfigurationError."""
    pairs = parse_pairs(text, ("first_ms", "per_token_ms"))
    ms = {name: decimal(name, value, most=_MOST_MS) for name, value in pairs.items()}
    return Latency(ms.get("first_ms", 0.0) / 1000, ms.get("per_token_ms", 0.0) / 1000)
