"""What a request may use at most: read, priced and bounded before anything is held or sent.

A request names a model; the model and its fall-backs are the chain that is tried for it. Each has its
own bounds, since each has its own price. A request without a maximum gets one: what the model and
the provider's limit have room for, and what the budget has room for where that is less. So every
call has a worst case, and that is what is reserved.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from macroslow.authn.own_key import OwnKey
from macroslow.errors import InvalidModelRequestError, NotFoundError
from macroslow.inference.operation import ModelRequest, Operation
from macroslow.inference.ports import Provider
from macroslow.metering import fit
from macroslow.metering.bounds import Bounds
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.count import OFF_LOOP_BYTES, Counted, count_prompt
from macroslow.metering.encodings import Counter, Counters
from macroslow.metering.limit_sets import LimitSet, LimitSets
from macroslow.metering.models import Model
from macroslow.metering.remembered import Remembered, RememberedCounters
from macroslow.secretstore.secret import Secret
from macroslow.services.calls.admission import Admission
from macroslow.services.calls.off_loop import OffLoop
from macroslow.services.calls.unserved import unserved
from macroslow.values import value
from macroslow.workflow.books import Books
from macroslow.workflow.replies import BindId

LEAST_FILLED_OUTPUT_TOKENS: Final = 16  # with room for less than this, no bound is filled in

NO_LIMITS: Final = LimitSet()
OWN: Final = "#own"  # follows the provider's name where a caller's own key pays
Accounts = Mapping[str, Provider]
"""One provider's accounts (keys) by their label."""


@value
class Asked:
    """A request that has been read: who asks what, of which models in turn, and what it goes on from."""

    principal: str
    operation: Operation
    request: ModelRequest
    size_bytes: int
    models: tuple[Model, ...]
    continued: BindId | None
    own_key: OwnKey | None = None


@value
class Target:
    """One model that can answer: by whose accounts, within which bounds, and the bytes to send."""

    model: Model
    accounts: Accounts
    bounds: Bounds
    forwarded: bytes
    counter: Counter

    def written(self, counted_tokens: int) -> int:
        """What the model makes of `counted_tokens` of its text, which `counter` may count as another's."""
        if self.model.counting == "exact":
            return counted_tokens
        return -(-counted_tokens * self.model.tokens_per_1000_counted // 1000)


@dataclass(frozen=True, slots=True)
class QuoteCall:
    """Its fields are everything that it touches. `providers` by the names that the catalogue uses.

    `tiers` are the named limits of a provider that the operator chose one for; `listed` are the names and
    patterns that the operator gave the providers, whether or not they have a price.
    """

    providers: Mapping[str, Accounts]
    catalogue: Catalogue
    counters: Counters
    books: Books
    admission: Admission
    off_loop: OffLoop
    tiers: Mapping[str, LimitSets] = field(default_factory=dict)
    listed: Sequence[str] = ()
    remembered: Remembered = field(default_factory=Remembered)
    _chains: dict[tuple[str, str], tuple[Model, ...]] = field(default_factory=dict, init=False, repr=False)

    async def read(
        self, operation: Operation, body: bytes, principal: str, own_key: OwnKey | None = None
    ) -> Asked:
        """Understand `body`. Raises InvalidModelRequestError or NotFoundError; nothing is changed.

        With a caller's own key only the models of that key's provider are asked.
        """
        request = await self.parse(operation.parse, body, principal)
        models = self.chain(operation, request)
        if own_key is not None:
            models = _of_provider(models, own_key.provider)
        continued = await self._continued(request, principal) if request.continues else None
        if continued is not None:  # only that provider knows it, and only that model counts it so
            kind = f"{operation.name}/{models[0].name}"
            if (continued.kind, continued.provider) != (kind, models[0].provider):
                raise InvalidModelRequestError(
                    "only the model that gave an answer goes on from it: others count its tokens otherwise",
                    param="model",
                    fix="name the model of the answer before",
                )
            models = models[:1]
        return Asked(principal, operation, request, len(body), models, continued, own_key)

    async def parse(self, read: Callable[[bytes], ModelRequest], body: bytes, principal: str) -> ModelRequest:
        """`body` as `read` understands it, of no model yet. Raises InvalidModelRequestError."""
        if len(body) <= OFF_LOOP_BYTES:
            return read(body)
        return await self.off_loop(principal, read, body)

    async def target(self, asked: Asked, model: Model, room_usd_micros: int | None = None) -> Target:
        """The bounds of `asked` with `model`; of a request without a maximum, within `room_usd_micros`.

        Raises InvalidModelRequestError for what can never fit.
        """
        request, limits = asked.request, self.limits(asked.operation, model)
        fit.require_size(model, limits, asked.size_bytes)
        counted = await self.count(request, model, asked.size_bytes, asked.principal)
        if asked.continued is not None:
            counted = counted.plus(asked.continued.tokens)
        fit.require_input(model, limits, counted, request.prompt_member)
        output_tokens = 0
        if request.writes:
            output_tokens = fit.output_tokens(
                model,
                limits,
                counted,
                asked=request.max_output_tokens,
                choices=request.choices,
                param=request.bound_member or request.prompt_member,
            )
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

    async def count(self, request: ModelRequest, model: Model, size_bytes: int, principal: str) -> Counted:
        """The input of `request`, which came in `size_bytes`, without what it goes on from."""
        counters = RememberedCounters(self.counters, self.remembered, principal)
        # The first call that needs a vocabulary loads it: most gateways use one of them, and some none.
        if size_bytes <= OFF_LOOP_BYTES and model.encoding in self.counters:
            return count_prompt(request.prompt, model, counters, request.prompt_member)
        asked = (request.prompt, model, counters, request.prompt_member)
        return await self.off_loop(principal, count_prompt, *asked)

    def chain(self, operation: Operation, request: ModelRequest) -> tuple[Model, ...]:
        """The model and its fall-backs, if they serve this operation; ModelNotFoundError if it does not."""
        asked = operation.name, request.model
        models = self._chains.get(asked)
        if models is None:  # kept: as many as the catalogue has names
            models = self._chains[asked] = self._serving(operation, request.model)
        return models

    def _serving(self, operation: Operation, name: str) -> tuple[Model, ...]:
        found = self.catalogue.chain(name)
        models = tuple([model for model in found if self._serves(model, operation)])
        if not models or models[0] is not found[0]:
            raise unserved(name, operation, self.catalogue, self._serves, self.listed)
        return models

    def _serves(self, model: Model, operation: Operation) -> bool:
        accounts = self.providers.get(model.provider, {})
        speaks = any(account.dialect == operation.dialect for account in accounts.values())
        return speaks and operation.name in model.operations

    def _accounts(self, asked: Asked, model: Model) -> Accounts:
        accounts = self.providers[model.provider]
        if asked.own_key is not None:
            return _own_account(accounts, asked.own_key, asked.operation)
        if asked.continued is None or asked.continued.account not in accounts:
            return accounts
        return {asked.continued.account: accounts[asked.continued.account]}

    def limits(self, operation: Operation, model: Model) -> LimitSet:
        """What the provider's tier and what is known of its limits leave of what the model can do."""
        tier = self.tiers.get(model.provider)
        limits = NO_LIMITS if tier is None else tier.of(model.family, operation.name)
        most_tokens = self.admission.most_tokens(model.provider, model.name)
        return limits if most_tokens is None else replace(limits, tokens_per_minute=most_tokens)

    async def _continued(self, request: ModelRequest, principal: str) -> BindId:
        """What the request goes on from, if it is its principal's own."""
        bound = await self.books.bound_id(request.continues)
        if bound is None or bound.principal != principal:
            raise _no_such_answer()
        return bound


def _of_provider(models: Sequence[Model], provider: str) -> tuple[Model, ...]:
    """The models that a caller's own key can pay for. A key never goes to another provider than its own."""
    served = tuple(model for model in models if model.provider == provider)
    if not served:
        raise InvalidModelRequestError(
            f"the key in x-api-key is for the provider {provider}, which does not serve this model",
            param="model",
            fix=f"name a model of {provider}, or send no provider's key along",
        )
    return served


def _own_account(accounts: Accounts, own_key: OwnKey, operation: Operation) -> Accounts:
    """The provider asked with the caller's own key: an account that no other call uses."""
    spoken = next(each for each in accounts.values() if each.dialect == operation.dialect)
    label = f"{own_key.provider}{OWN}"
    return {label: spoken.with_key(Secret(own_key.reveal()), label)}


def _no_such_answer() -> NotFoundError:
    # The same for another's id and for one that never was.
    return NotFoundError(
        "there is no answer of that id to go on from",
        step="price",
        fix="send an id that this key's principal got from here",
    )
