"""Money as text. Inside it is whole micro-dollars, so every amount can be written exactly."""


def usd(usd_micros: int) -> str:
    """Exact dollars of an amount of 0 or more, without a sign: 1234567 → "1.234567"."""
    dollars, micros = divmod(usd_micros, 1_000_000)
    return f"{dollars}.{micros:06d}"
