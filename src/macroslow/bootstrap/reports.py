"""A provider's own report of what was used, asked for as the configuration says."""

from collections.abc import Sequence

from macroslow.adapters.model_api import UsageAPI
from macroslow.secretstore.secret import Secret
from macroslow.services.spending.provider_reports import Reported, Span, report_of
from macroslow.settings import Settings


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
