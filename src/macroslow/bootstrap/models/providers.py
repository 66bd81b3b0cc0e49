"""The providers of models: every key an account of its own, with what its provider allows it."""

from collections.abc import Mapping, Sequence

from macroslow.adapters.model_api import ModelAPI, UsageAPI
from macroslow.limits.admission import AccountQuota, Charge, Pace, Quota, Window
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.limit_sets import LimitSet, LimitSets
from macroslow.metering.models import Model
from macroslow.secretstore.secret import Secret
from macroslow.services.spending.provider_reports import Reported, Span, report_of
from macroslow.settings import Settings
from macroslow.settings.upstream import ProviderLimits

_WINDOWS = {"bucket": Window.BUCKET, "minute": Window.SLIDING}


def open_accounts(settings: Settings, secrets: Mapping[str, Secret]) -> dict[str, dict[str, ModelAPI]]:
    """The accounts of every provider by their label; each belongs to the loop that first uses it."""
    return {
        name: {
            account.label: ModelAPI(
                name,
                provider.base_url,
                secrets.get(account.setting),
                dialect=provider.kind,
                account=account.label,
                auth=provider.auth or "",
                emulator=provider.emulator,
                key_name="" if account.key is None else str(account.key),
            )
            for account in provider.accounts(name)
        }
        for name, provider in settings.providers.items()
    }


def tiers(settings: Settings, catalogue: Catalogue) -> dict[str, LimitSets]:
    """The named limits of each provider that has some. ConfigurationError for a name that is none."""
    named = {name: provider.limits.tier for name, provider in settings.providers.items()}
    return {name: catalogue.limit_set(tier) for name, tier in named.items() if tier is not None}


def has_daily_limits(settings: Settings) -> bool:
    """Whether an account may have a limit of requests a day."""
    accounts = [one for name, p in settings.providers.items() for one in p.accounts(name)]
    return any(account.limits.rpd or account.limits.tier for account in accounts)


def lines(settings: Settings, catalogue: Catalogue) -> dict[tuple[str, str], tuple[AccountQuota, ...]]:
    """What each account may use of each model that its provider serves."""
    return {
        (model.provider, model.name): tuple(
            AccountQuota(account.label, _quota(account.limits, catalogue, model))
            for account in settings.providers[model.provider].accounts(model.provider)
        )
        for model in catalogue.models.values()
        if model.provider in settings.providers
    }


def _quota(limits: ProviderLimits, catalogue: Catalogue, model: Model) -> Quota:
    """The numbers of the configuration, then those of the named tier; what is in neither is learned."""
    tier = LimitSet()
    if limits.tier is not None:
        tier = catalogue.limit_set(limits.tier).of(model.family, model.operations[0])
    return Quota(
        rpm=limits.rpm or tier.requests_per_minute,
        tpm=limits.tpm or tier.tokens_per_minute,
        rpd=limits.rpd or tier.requests_per_day,
        concurrent=limits.concurrency,
        window=None if limits.window is None else _WINDOWS[limits.window],
        charge=None if limits.charge is None else Charge(limits.charge),
        pace=None if limits.pace is None else Pace(limits.pace),
    )


async def reported(
    settings: Settings, name: str, secret: Secret, span: Span, projects: Sequence[str]
) -> Reported:
    """What the provider `name` counted. Raises as `report_of`, and ConfigurationError for its address."""
    provider = settings.providers[name]
    setting = "usage_url" if provider.usage_url else "base_url"
    base_url = provider.usage_url or provider.base_url
    api = UsageAPI(name, base_url, secret, dialect=provider.kind, setting=setting)
    try:
        return await report_of(provider.kind, api, span, projects)
    finally:
        await api.close()
