"""What a chat request may use at most: read, priced and bounded before anything is held or sent.

A request without a maximum gets one: what the model, the provider's limit and the budget have room
for. So every call has a worst case, and that is what is reserved.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from macroslow.errors import InvalidModelRequestError, NotFoundError
from macroslow.inference.chat import ChatRequest, parse_chat
from macroslow.inference.ports import Provider
from macroslow.metering.accounts import require_room
from macroslow.metering.bounds import Bounds
from macroslow.metering.catalogue import Catalogue, Model
from macroslow.metering.count import OFF_LOOP_BYTES, Counter
from macroslow.metering.ledger import Account
from macroslow.services.admission import Admission
from macroslow.workflow.books import Books

LEAST_FILLED_OUTPUT_TOKENS: Final = 16  # with room for less than this, no bound is filled in


@dataclass(frozen=True, slots=True)
class Quote:
    """A request that can be served: by whom, within which bounds, and the bytes to send."""

    request: ChatRequest
    provider: Provider
    bounds: Bounds
    forwarded: bytes


@dataclass(frozen=True, slots=True)
class QuoteCall:
    """Its fields are everything that it touches."""

    providers: Mapping[str, Provider]
    catalogue: Catalogue
    counter: Counter
    books: Books
    admission: Admission

    async def __call__(self, body: bytes, account_id: str) -> Quote:
        """The quote for `body`, to be paid by `account_id`. Nothing is changed by asking.

        Raises InvalidModelRequestError, NotFoundError, or BudgetExhaustedError where the budget has
        no room for any answer.
        """
        request, input_tokens = await self._understand(body)
        model, provider = self._route(request)
        if input_tokens > model.context_tokens:
            raise InvalidModelRequestError(
                f"the messages have {input_tokens} tokens, the model takes {model.context_tokens}",
                param="messages",
            )
        most = self._most_output(request, model, provider, input_tokens)
        asked = request.max_output_tokens
        output_tokens = asked or await self._affordable(request, model, account_id, input_tokens, most)
        return Quote(
            request,
            provider,
            Bounds(model, input_tokens, output_tokens * request.choices, request.choices),
            request.forwarded(model.upstream, output_tokens, reasoning=model.reasoning),
        )

    async def _understand(self, body: bytes) -> tuple[ChatRequest, int]:
        """The request and its input tokens; large ones are read in a thread."""
        if len(body) <= OFF_LOOP_BYTES:
            return self._read(body)
        return await asyncio.to_thread(self._read, body)

    def _read(self, body: bytes) -> tuple[ChatRequest, int]:
        request = parse_chat(body)
        return request, self.counter.prompt(request.prompt)

    def _route(self, request: ChatRequest) -> tuple[Model, Provider]:
        model = self.catalogue.find(request.model)
        provider = self.providers.get(model.provider) if model is not None else None
        if model is None or provider is None:
            raise NotFoundError(
                "there is no such model here, or none that has a price and a provider",
                step="price",
                fix="GET /v1/models lists the models that are served",
            )
        return model, provider

    def _most_output(self, request: ChatRequest, model: Model, provider: Provider, input_tokens: int) -> int:
        """The most output tokens for each choice by model and limit; refused if more was asked for."""
        most = model.max_output_tokens
        limit_tokens = self.admission.most_tokens(provider.name, model.name)
        if limit_tokens is not None:
            most = min(most, (limit_tokens - input_tokens) // request.choices)
        asked = request.max_output_tokens
        if asked is None:
            most = min(most, model.context_tokens - input_tokens)
        if most < (asked or 1):
            raise InvalidModelRequestError(
                f"beside these messages the model and the provider's limit allow {max(most, 0)} "
                f"output tokens a choice",
                param=request.bound_member or "messages",
            )
        return most

    async def _affordable(
        self, request: ChatRequest, model: Model, account_id: str, input_tokens: int, wanted: int
    ) -> int:
        """Output tokens for each choice that the budget has room for, at most `wanted`."""
        budget = await self._budget(account_id)
        if budget is None or budget.limit_usd_micros is None:
            return wanted
        room = budget.limit_usd_micros - budget.spent_usd_micros - budget.held_usd_micros
        affordable = model.affordable_output_tokens(input_tokens, room) // request.choices
        least = min(wanted, LEAST_FILLED_OUTPUT_TOKENS)
        if affordable < least:
            require_room(budget, model.estimate(input_tokens, least * request.choices))
        return min(wanted, affordable)

    async def _budget(self, account_id: str) -> Account | None:
        """The account itself or its nearest ancestor that has a limit: there a reservation must fit."""
        account = await self.books.account(account_id)
        while account is not None and account.limit_usd_micros is None and account.parent is not None:
            account = await self.books.account(account.parent)
        return account
