"""What tokens cost: integers of micro-dollars per million tokens, rounded up once a call.

So no sum of calls is charged below its true cost. Pure arithmetic.
"""

from dataclasses import dataclass, field, fields
from typing import Final

from macroslow.values import value

TOKENS_PER_PRICE: Final = 1_000_000


@value
class TokenCounts:
    """What one call used. `input_tokens` are all of them; the others say which of these cost otherwise.

    Read from a cache (less), written into one that lives five minutes or an hour (more); what is none
    of the three is fresh input.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_5m_input_tokens: int = 0
    cache_write_1h_input_tokens: int = 0

    @property
    def fresh_input_tokens(self) -> int:
        """Input that was neither read from a cache nor written into one."""
        cached = self.cached_input_tokens
        return (
            self.input_tokens - cached - self.cache_write_5m_input_tokens - self.cache_write_1h_input_tokens
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """Micro-dollars for a million tokens of each kind.

    `dearest_input_usd_micros` is the most that an input token can cost: fresh, read from a cache or
    written into one. It is found once: every call asks it.
    """

    input_usd_micros: int
    cached_input_usd_micros: int
    cache_write_5m_usd_micros: int
    cache_write_1h_usd_micros: int
    output_usd_micros: int
    dearest_input_usd_micros: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        dearest = max(
            self.input_usd_micros,
            self.cached_input_usd_micros,
            self.cache_write_5m_usd_micros,
            self.cache_write_1h_usd_micros,
        )
        object.__setattr__(self, "dearest_input_usd_micros", dearest)

    def of(self, used: TokenCounts) -> int:
        """Micro-dollars that `used` costs, rounded up."""
        parts = (
            used.fresh_input_tokens * self.input_usd_micros
            + used.cached_input_tokens * self.cached_input_usd_micros
            + used.cache_write_5m_input_tokens * self.cache_write_5m_usd_micros
            + used.cache_write_1h_input_tokens * self.cache_write_1h_usd_micros
            + used.output_tokens * self.output_usd_micros
        )
        return -(-parts // TOKENS_PER_PRICE)

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """The most that so many tokens can cost: all input at its dearest."""
        parts = input_tokens * self.dearest_input_usd_micros + output_tokens * self.output_usd_micros
        return -(-parts // TOKENS_PER_PRICE)


GIVEN: Final = tuple(price.name for price in fields(Prices) if price.init)
"""The prices that are given; what else there is follows from them."""
