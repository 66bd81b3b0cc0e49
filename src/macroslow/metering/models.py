"""One model: how it is named and counted, what fits into it, what it costs."""

from dataclasses import dataclass
from typing import Literal

from macroslow.metering.images import ImageRule
from macroslow.metering.prices import TOKENS_PER_PRICE, Prices, TokenCounts

Counting = Literal["exact", "estimate"]


@dataclass(frozen=True, slots=True)
class LongPrompts:
    """Prices of a whole call whose input has more than `above_tokens`: none is below the usual one."""

    above_tokens: int
    prices: Prices


@dataclass(frozen=True, slots=True)
class Model:
    """One model that can be priced.

    `provider` is the name under which a provider is wired, and `upstream` its own name for the model.
    `family` is the entry that a dated snapshot came from: providers' limits hold for a family as a
    whole. `operations` are those that it serves, as the log names them.

    Text is counted in `encoding`. That is the model's own where `counting` is "exact"; otherwise it is
    another's, and the model makes `tokens_per_1000_counted` of a thousand such tokens.

    `context_tokens` holds prompt and answer together; `max_input_tokens` is what a request may bring.
    `reasoning` models think in tokens that nobody sees, so what they wrote cannot be counted here.
    `priceable` are members of a request that its prices cover beyond those of every model.
    `verified` is False of figures that were found in one place only, and that not the provider's own;
    `retires` is the day on which it stops serving the model (2026-01-31), if that was announced.
    """

    name: str
    provider: str
    upstream: str
    family: str
    encoding: str
    counting: Counting
    context_tokens: int
    max_input_tokens: int
    max_output_tokens: int
    prices: Prices
    top_output_tokens_per_s: int
    long_prompts: LongPrompts | None = None
    max_request_bytes: int | None = None
    tokens_per_1000_counted: int = 1000
    images: ImageRule | None = None
    operations: tuple[str, ...] = ("chat.completions",)
    aliases: tuple[str, ...] = ()
    priceable: frozenset[str] = frozenset()
    reasoning: bool = False
    verified: bool = True
    retires: str = ""

    def prices_at(self, input_tokens: int) -> Prices:
        """The prices of a call with so much input."""
        if self.long_prompts is not None and input_tokens > self.long_prompts.above_tokens:
            return self.long_prompts.prices
        return self.prices

    def price(self, used: TokenCounts) -> int:
        """Micro-dollars that `used` costs, rounded up."""
        return self.prices_at(used.input_tokens).of(used)

    def estimate(self, input_tokens: int, output_tokens: int) -> int:
        """The most that a call can cost: all input at its dearest, every allowed output token written."""
        return self.prices_at(input_tokens).most(input_tokens, output_tokens)

    def affordable_output_tokens(self, input_tokens: int, usd_micros: int) -> int:
        """The most output tokens whose estimate fits `usd_micros`; negative if not even the input does."""
        prices = self.prices_at(input_tokens)
        left = usd_micros * TOKENS_PER_PRICE - input_tokens * prices.dearest_input_usd_micros
        return left // prices.output_usd_micros if prices.output_usd_micros else self.max_output_tokens
