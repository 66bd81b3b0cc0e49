"""How many tokens a message would take in, by our own count: nothing is sent, and nothing is owed."""

from dataclasses import dataclass

from macroslow.authn.principal import Principal
from macroslow.inference import COUNT_TOKENS, MESSAGES
from macroslow.metering import fit
from macroslow.services.calls.quote_call import QuoteCall


@dataclass(frozen=True, slots=True)
class CountTokens:
    """Its fields are everything that it touches."""

    quote: QuoteCall

    async def __call__(self, body: bytes, principal: Principal) -> int:
        """The likely input tokens of `body`, a request of the Messages API without its bounds.

        Raises InvalidModelRequestError and NotFoundError as the call itself would.
        """
        request = await self.quote.parse(COUNT_TOKENS.parse, body, principal.name)
        model = self.quote.chain(MESSAGES, request)[0]
        fit.require_size(model, self.quote.limits(MESSAGES, model), len(body))
        return (await self.quote.count(request, model, len(body), principal.name)).tokens
