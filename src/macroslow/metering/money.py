"""Money as text and from it. Inside it is whole micro-dollars, so every amount can be written exactly."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

MICROS_PER_USD: Final = 1_000_000
MICROS_PER_CENT: Final = MICROS_PER_USD // 100


def micros_up(usd: Decimal) -> int:
    """Micro-dollars of a price: a fraction of one is charged as one."""
    return int((usd * MICROS_PER_USD).to_integral_value(ROUND_CEILING))


def micros_down(usd: Decimal) -> int:
    """Micro-dollars of a bound: a fraction of one is not granted."""
    return int((usd * MICROS_PER_USD).to_integral_value(ROUND_FLOOR))


def usd(usd_micros: int) -> str:
    """Exact dollars of an amount of 0 or more, without a sign: 1234567 → "1.234567"."""
    dollars, micros = divmod(usd_micros, MICROS_PER_USD)
    return f"{dollars}.{micros:06d}"


def in_cents(usd_micros: int) -> str:
    """The same for people, to the last digit that says something: 2000000 → "$2.00", 1500 → "$0.0015"."""
    dollars, _, micros = usd(usd_micros).partition(".")
    return f"${dollars}.{micros.rstrip('0'):0<2}"
