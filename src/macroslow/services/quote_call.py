"""What a request may use at most: read, priced and bounded before anything is held or sent.

A request names a model; the model and its fall-backs are the chain that is tried for it. Each has its
own bounds, since each has its own price. A request without a maximum gets one: what the model and
the provider's limit have room for, and what the budget has room for where that is less. So every
call has a worst case, and that is what is reserved.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from macroslow.errors import InvalidModelRequestError, NotFoundError
from macroslow.inference.operation import ModelRequest, Operation
from macroslow.inference.ports import Provider
from macroslow.metering.bounds import Bounds
from macroslow.metering.catalogue import Catalogue, Model
from macroslow.metering.count import OFF_LOOP_BYTES, Counted, Counter, Counters, count_prompt
from macroslow.services.admission import Admission
from macroslow.workflow.books import Books
from macroslow.workflow.replies import BindId

LEAST_FILLED_OUTPUT_TOKENS: Final = 16  # with room for less than this, no bound is filled in

Accounts = Mapping[str, Provider]
"""One provider's accounts (keys) by their label."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has been read: what it asks, of which models in turn, and what it goes on from."""

    operation: Operation
    request: ModelRequest
    size_bytes: int
    models: tuple[Model, ...]
    continued: BindId | None


@dataclass(frozen=True, slots=True)
class Target:
    """One model that can answer: by whose accounts, within which bounds, and the bytes to send."""

    model: Model
    accounts: Accounts
    bounds: Bounds
    forwarded: bytes
    counter: Counter


@dataclass(frozen=True, slots=True)
class QuoteCall:
    """Its fields are everything that it touches. `providers` by the names that the catalogue uses."""

    providers: Mapping[str, Accounts]
    catalogue: Catalogue
    counters: Counters
    books: Books
    admission: Admission

    async def read(self, operation: Operation, body: bytes, principal: str) -> Asked:
        """Understand `body`. Raises InvalidModelRequestError or NotFoundError; nothing is changed."""
        if len(body) <= OFF_LOOP_BYTES:
            request = operation.parse(body)
        else:
            request = await asyncio.to_thread(operation.parse, body)
        models = self._chain(operation, request)
        continued = await self._continued(request, principal) if request.continues else None
        if continued is not None:  # only that provider knows what it goes on from
            models = tuple(model for model in models if model.provider == continued.provider)[:1]
            if not models:
                raise _no_such_answer()
        return Asked(operation, request, len(body), models, continued)

    async def target(self, asked: Asked, model: Model, room_usd_micros: int | None = None) -> Target:
        """The bounds of `asked` with `model`; of a request without a maximum, within `room_usd_micros`.

        Raises InvalidModelRequestError for what can never fit.
        """
        counted = await self._count(asked, model)
        request = asked.request
        if counted.tokens > model.context_tokens:
            raise InvalidModelRequestError(
                f"{request.prompt_member} has {counted.tokens} tokens, the model takes {model.context_tokens}",
                param=request.prompt_member,
            )
        output_tokens = self._output(asked, model, counted) if request.writes else 0
        if room_usd_micros is not None:
            affordable = model.affordable_output_tokens(counted.most_tokens, room_usd_micros)
            output_tokens = min(output_tokens, affordable // request.choices)
        return Target(
            model,
            self._accounts(asked, model),
            Bounds(model, counted, output_tokens * request.choices, request.choices),
            request.forwarded(model.upstream, output_tokens, reasoning=model.reasoning),
            self.counters[model.encoding],
        )

    async def _count(self, asked: Asked, model: Model) -> Counted:
        prompt = asked.request.prompt
        if asked.size_bytes <= OFF_LOOP_BYTES:
            counted = count_prompt(prompt, model, self.counters)
        else:
            counted = await asyncio.to_thread(count_prompt, prompt, model, self.counters)
        return counted if asked.continued is None else counted.plus(asked.continued.tokens)

    def _chain(self, operation: Operation, request: ModelRequest) -> tuple[Model, ...]:
        """The model and its fall-backs, as far as they serve this operation here."""
        named = self.catalogue.find(request.model)
        names = () if named is None else (named.name, *named.fallbacks)
        found = (self.catalogue.find(name) for name in names)
        models = tuple(model for model in found if model is not None and self._serves(model, operation))
        if named is None or not models or models[0].name != named.name:
            raise NotFoundError(
                f"there is no such model here, or none that has a price and a provider for {operation.name}",
                step="price",
                fix="GET /v1/models lists the models that are served",
            )
        return models

    def _serves(self, model: Model, operation: Operation) -> bool:
        accounts = self.providers.get(model.provider, {})
        speaks = any(account.dialect == operation.dialect for account in accounts.values())
        return speaks and operation.name in model.operations

    def _accounts(self, asked: Asked, model: Model) -> Accounts:
        accounts = self.providers[model.provider]
        if asked.continued is None or asked.continued.account not in accounts:
            return accounts
        return {asked.continued.account: accounts[asked.continued.account]}

    def _output(self, asked: Asked, model: Model, counted: Counted) -> int:
        """The output tokens for each choice: those asked for, or the most; refused if more was asked for."""
        request = asked.request
        most = model.max_output_tokens
        limit_tokens = self.admission.most_tokens(model.provider, model.name)
        if limit_tokens is not None:
            most = min(most, (limit_tokens - counted.tokens) // request.choices)
        wanted = request.max_output_tokens
        if wanted is None:
            most = min(most, model.context_tokens - counted.tokens)
        if most < (wanted or 1):
            raise InvalidModelRequestError(
                f"beside this prompt the model and the provider's limit allow {max(most, 0)} "
                f"output tokens a choice",
                param=request.bound_member or request.prompt_member,
            )
        return wanted or most

    async def _continued(self, request: ModelRequest, principal: str) -> BindId:
        """What the request goes on from, if it is its principal's own."""
        bound = await self.books.bound_id(request.continues)
        if bound is None or bound.principal != principal:
            raise _no_such_answer()
        return bound


def _no_such_answer() -> NotFoundError:
    # The same for another's id and for one that never was.
    return NotFoundError(
        "there is no answer of that id to go on from",
        step="price",
        fix="send an id that this key's principal got from here",
    )
