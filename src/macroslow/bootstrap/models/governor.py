"""The governor: paid calls of models, and all that keeps their limits and budgets."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from macroslow.adapters.packaged import counters
from macroslow.bootstrap.machine import clock, entropy
from macroslow.bootstrap.models.catalogue import complete_catalogue
from macroslow.bootstrap.models.providers import has_daily_limits, lines, open_accounts, tiers
from macroslow.bootstrap.state.core import Core
from macroslow.bootstrap.state.stores import open_rates
from macroslow.errors import BudgetExhaustedError
from macroslow.limits.ports import RateStore
from macroslow.metering.catalogue import Catalogue
from macroslow.ports import FreshNames
from macroslow.secretstore.secret import Secret
from macroslow.services.calls.admission import Admission
from macroslow.services.calls.answer_once import AnswerOnce
from macroslow.services.calls.call_model import NAME_BYTES, CallModel
from macroslow.services.calls.count_tokens import CountTokens
from macroslow.services.calls.list_models import ListModels
from macroslow.services.calls.off_loop import OffLoop
from macroslow.services.calls.quote_call import QuoteCall
from macroslow.services.calls.reach_provider import ReachProvider
from macroslow.services.calls.seed_admission import SeedAdmission
from macroslow.services.calls.settle_call import Report, SettleCall
from macroslow.settings import Settings


@dataclass(frozen=True, slots=True)
class Governor:
    """The use cases that spend money with providers.

    `watchers` hear of every call that is over, `refusals` of every one that a budget refused.
    """

    call_model: CallModel
    list_models: ListModels
    count_tokens: CountTokens
    answer_once: AnswerOnce
    admission: Admission
    watchers: list[Callable[[Report], None]]
    refusals: list[Callable[[BudgetExhaustedError], None]]


@asynccontextmanager
async def open_governor(core: Core, secrets: Mapping[str, Secret]) -> AsyncIterator[Governor]:
    """Wire the use cases; at the end wait for what they have under way. ConfigurationError."""
    settings = core.settings
    catalogue, counted = complete_catalogue(settings), counters()
    async with AsyncExitStack() as stack:
        providers = open_accounts(settings, secrets)
        for accounts in providers.values():
            for account in accounts.values():
                stack.push_async_callback(account.close)
        rates = await stack.enter_async_context(open_rates(secrets))
        admission = _admission(settings, catalogue, rates)
        stack.push_async_callback(admission.close)
        await SeedAdmission(core.books, admission, clock)(daily=has_daily_limits(settings))
        off_loop = OffLoop()
        stack.push_async_callback(off_loop.close)
        limits = tiers(settings, catalogue)
        listed = [name for one in settings.providers.values() for name in one.models or ()]
        quote = QuoteCall(providers, catalogue, counted, core.books, admission, off_loop, limits, listed)
        watchers: list[Callable[[Report], None]] = []
        refusals: list[Callable[[BudgetExhaustedError], None]] = []
        settle = SettleCall(core.books, admission, clock, off_loop, watchers)
        reach = ReachProvider(
            core.books,
            admission,
            settle,
            clock,
            entropy,
            deadline_s=settings.upstream.deadline_s,
            attempts=settings.upstream.attempts,
            max_wait_s=settings.queue.max_wait_s,
            traced=settings.telemetry.traceparent_to_providers,
        )
        call_model = CallModel(
            quote,
            reach,
            settle,
            clock,
            FreshNames(entropy, NAME_BYTES),
            owner=core.owner,
            rules=settings.budget_rules,
            enforced=not settings.observes,
            refusals=refusals,
        )
        stack.push_async_callback(call_model.close)
        once = AnswerOnce(core.books, clock)
        stack.push_async_callback(once.close)
        yield Governor(
            call_model=call_model,
            list_models=ListModels(providers, catalogue),
            count_tokens=CountTokens(quote),
            answer_once=once,
            admission=admission,
            watchers=watchers,
            refusals=refusals,
        )


def _admission(settings: Settings, catalogue: Catalogue, rates: RateStore | None) -> Admission:
    """The lines before the providers, counted in `rates` where several processes share them."""
    return Admission(
        lines(settings, catalogue),
        clock,
        entropy,
        store=rates,
        max_wait_s=settings.queue.max_wait_s,
        max_waiting=settings.queue.max_waiting,
        observe=settings.observes,
    )
