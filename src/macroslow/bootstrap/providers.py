"""The providers of models: every key an account of its own, with what its provider allows it."""

from collections.abc import Mapping

from macroslow.adapters.model_api import ModelAPI
from macroslow.limits.admission import AccountQuota, Charge, Pace, Quota, Window
from macroslow.metering.catalogue import Catalogue, Model
from macroslow.secretstore.secret import Secret
from macroslow.settings import Settings
from macroslow.settings.upstream import ProviderAccount, ProviderLimits

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
            )
            for account in provider.accounts(name)
        }
        for name, provider in settings.providers.items()
    }


def lines(settings: Settings, catalogue: Catalogue) -> dict[tuple[str, str], tuple[AccountQuota, ...]]:
    """What each account may use of each model that its provider serves."""
    return {
        (model.provider, model.name): tuple(
            AccountQuota(account.label, _quota(account, catalogue, model))
            for account in settings.providers[model.provider].accounts(model.provider)
        )
        for model in catalogue.models.values()
        if model.provider in settings.providers
    }


def _quota(account: ProviderAccount, catalogue: Catalogue, model: Model) -> Quota:
    """The numbers of the configuration, then those of the named tier; what is in neither is learned."""
    limits = account.limits
    tier = None if limits.tier is None else catalogue.limits_of(limits.tier, model.name)
    return Quota(
        rpm=limits.rpm or (tier.rpm if tier else None),
        tpm=limits.tpm or (tier.tpm if tier else None),
        rpd=limits.rpd or (tier.rpd if tier else None),
        concurrent=limits.concurrency,
        window=None if limits.window is None else _WINDOWS[limits.window],
        charge=None if limits.charge is None else Charge(limits.charge),
        pace=None if limits.pace is None else Pace(limits.pace),
    )
