"""How many tokens a message would take in, by our own count: nothing is sent, and nothing is owed."""

import asyncio
from dataclasses import dataclass

from macroslow.inference import COUNT_TOKENS, MESSAGES
from macroslow.metering.count import OFF_LOOP_BYTES, count_prompt
from macroslow.services.quote_call import QuoteCall


@dataclass(frozen=True, slots=True)
class CountTokens:
    """Its fields are everything that it touches."""

    quote: QuoteCall

    async def __call__(self, body: bytes) -> int:
        """The likely input tokens of `body`, a request of the Messages API without its bounds.

        Raises InvalidModelRequestError and NotFoundError as the call itself would.
        """
        if len(body) <= OFF_LOOP_BYTES:
            return self._count(body)
        return await asyncio.to_thread(self._count, body)

    def _count(self, body: bytes) -> int:
        request = COUNT_TOKENS.parse(body)
        model = self.quote.chain(MESSAGES, request)[0]
        return count_prompt(request.prompt, model, self.quote.counters, request.prompt_member).tokens
