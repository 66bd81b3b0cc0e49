"""The bounds of one call: what is reserved for it, and what is owed if it does not end well.

Nothing that is owed is ever above what was reserved. So where a reservation fits a budget, its
settlement does.
"""

from dataclasses import replace

from macroslow.metering.count import Counted
from macroslow.metering.ledger import Usage
from macroslow.metering.models import Model
from macroslow.metering.prices import TokenCounts
from macroslow.ports import NS_PER_S
from macroslow.values import value


@value
class Bounds:
    """The most that one call may use: counted input, and allowed output of all its choices together.

    The provider may say that the prompt has `input.most_tokens`, and is believed.
    """

    model: Model
    input: Counted
    output_tokens: int
    choices: int = 1

    @property
    def input_tokens(self) -> int:
        """What the prompt has by our own count."""
        return self.input.tokens

    @property
    def likely_tokens(self) -> int:
        """What a provider's rate limit will probably count beforehand: the prompt, and all allowed output."""
        return self.input.tokens + self.output_tokens

    @property
    def usd_micros(self) -> int:
        """What is reserved: the cost of using all of it, the input at its dearest."""
        return self.model.estimate(self.input.most_tokens, self.output_tokens)

    @property
    def in_full(self) -> Usage:
        """Owed when nobody knows what was done."""
        return Usage(self.input_tokens, self.output_tokens, self.usd_micros)

    def believes(self, used: TokenCounts) -> bool:
        """Whether this call can have used so much."""
        return (
            used.input_tokens <= self.input.most_tokens
            and 0 <= used.output_tokens <= self.output_tokens
            and used.cached_input_tokens >= 0
            and used.cache_write_5m_input_tokens >= 0
            and used.cache_write_1h_input_tokens >= 0
            and used.fresh_input_tokens >= 0
        )

    def reported(self, used: TokenCounts) -> Usage:
        """Owed by the provider's count; by our own where this call cannot have used what it says."""
        if not self.believes(used):
            return self.counted(max(used.output_tokens, 0))
        return Usage(used.input_tokens, used.output_tokens, self.model.price(used))

    def counted(self, output_tokens: int) -> Usage:
        """Owed by our own count of what came. The input is charged at its dearest: caching went unseen."""
        output_tokens = min(output_tokens, self.output_tokens)
        return Usage(self.input_tokens, output_tokens, self.model.estimate(self.input_tokens, output_tokens))

    def unreported(self, output_tokens: int) -> Usage:
        """Owed for an answer that came without a usage: what was counted, or all for a model that thinks."""
        return self.in_full if self.model.reasoning else self.counted(output_tokens)

    def started(self, reported_input: TokenCounts, output_tokens: int) -> Usage:
        """Owed for the input that the provider reported before the answer, and so much of the answer."""
        return self.reported(replace(reported_input, output_tokens=min(output_tokens, self.output_tokens)))

    def aborted(self, counted_output_tokens: int, elapsed_ns: int) -> Usage:
        """Owed when the caller hung up: input, and the most that can have been written by then.

        What was written but not received is bounded by the model's top rate. What a reasoning model
        thought cannot be bounded so: it owes the reservation.
        """
        if self.model.reasoning:
            return self.in_full
        rate_per_s = self.model.top_output_tokens_per_s * self.choices
        return self.counted(max(counted_output_tokens, -(-elapsed_ns * rate_per_s // NS_PER_S)))
