"""The bounds of one call: what is reserved for it, and what is owed if it does not end well."""

from dataclasses import dataclass

from macroslow.metering.catalogue import Model, TokenCounts
from macroslow.metering.ledger import Usage
from macroslow.ports import NS_PER_S


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one call may use: counted input, and allowed output of all its choices together."""

    model: Model
    input_tokens: int
    output_tokens: int
    choices: int = 1

    @property
    def usd_micros(self) -> int:
        """What is reserved: the cost of using all of it."""
        return self.model.estimate(self.input_tokens, self.output_tokens)

    @property
    def in_full(self) -> Usage:
        """Owed when nobody knows what was done."""
        return Usage(self.input_tokens, self.output_tokens, self.usd_micros)

    def reported(self, used: TokenCounts) -> Usage:
        """Owed by the provider's own count, as it stands."""
        return Usage(used.input_tokens, used.output_tokens, self.model.price(used))

    def counted(self, output_tokens: int) -> Usage:
        """Owed by our own count, which is never charged above the reservation."""
        output_tokens = min(output_tokens, self.output_tokens)
        return Usage(self.input_tokens, output_tokens, self.model.estimate(self.input_tokens, output_tokens))

    def aborted(self, counted_output_tokens: int, elapsed_ns: int) -> Usage:
        """Owed when the caller hung up: input, and the most that can have been written by then.

        What was written but not received is bounded by the model's top rate. What a reasoning model
        thought cannot be bounded so: it owes the reservation.
        """
        if self.model.reasoning:
            return self.in_full
        rate_per_s = self.model.top_output_tokens_per_s * self.choices
        return self.counted(max(counted_output_tokens, -(-elapsed_ns * rate_per_s // NS_PER_S)))
