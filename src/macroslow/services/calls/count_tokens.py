"""How many tokens a request would take in, by our own count: nothing is sent, and nothing is owed."""

from dataclasses import dataclass

from macroslow.authn.principal import Principal
from macroslow.inference import CHAT_COMPLETIONS, COUNT_TOKENS, MESSAGES
from macroslow.inference.operation import ModelRequest, Operation
from macroslow.metering import fit
from macroslow.metering.count import Counted
from macroslow.metering.models import Model
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
        return (await self._count(MESSAGES, request, len(body), principal))[1].tokens

    async def of_chat(self, body: bytes, principal: Principal) -> tuple[Model, Counted]:
        """The model that would answer `body`, a request of the Chat Completions API, and what it takes in.

        Raises InvalidModelRequestError and NotFoundError as the call itself would.
        """
        request = await self.quote.parse(CHAT_COMPLETIONS.parse, body, principal.name)
        return await self._count(CHAT_COMPLETIONS, request, len(body), principal)

    async def _count(
        self, operation: Operation, request: ModelRequest, size_bytes: int, principal: Principal
    ) -> tuple[Model, Counted]:
        model = self.quote.chain(operation, request)[0]
        fit.require_size(model, self.quote.limits(operation, model), size_bytes)
        return model, await self.quote.count(request, model, size_bytes, principal.name)
