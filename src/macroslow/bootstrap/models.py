"""Which model is priced how, served by whom, and within which of the provider's limits."""

from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import Final

from macroslow.limits.admission import Quota, per_minute
from macroslow.limits.gcra import Limit
from macroslow.metering.catalogue import Catalogue
from macroslow.settings import Settings

BURST_MARGIN: Final = 32  # a thirty-second of a minute: almost two seconds between here and there


def complete_catalogue(settings: Settings, catalogue: Catalogue) -> Catalogue:
    """The catalogue with the operator's models, each model given to the provider that serves it."""
    added = {
        name: {
            "provider": "openai",
            "upstream": name,
            "encoding": model.encoding or "o200k_base",
            "context_tokens": model.context_tokens or 128_000,
            "max_output_tokens": model.max_output_tokens or 16_384,
            "input_usd_micros": micros(model.input_usd),
            "cached_input_usd_micros": micros(
                model.input_usd if model.cached_input_usd is None else model.cached_input_usd
            ),
            "output_usd_micros": micros(model.output_usd),
            "top_output_tokens_per_s": 500,
        }
        for name, model in settings.models.items()
    }
    whole = catalogue.with_models(added)
    return Catalogue(
        {name: replace(m, provider=_provider_of(settings, m.upstream)) for name, m in whole.models.items()}
    )


def _provider_of(settings: Settings, model: str) -> str:
    """The provider that names the model, by its longest pattern; else the first that names none."""
    named = [
        (len(pattern), name)
        for name, provider in settings.providers.items()
        for pattern in provider.models or ()
        if pattern == model or (pattern.endswith("*") and model.startswith(pattern[:-1]))
    ]
    open_to_all = [name for name, provider in settings.providers.items() if provider.models is None]
    return max(named)[1] if named else next(iter(open_to_all), "")


def micros(usd: Decimal) -> int:
    """Micro-dollars, rounded up."""
    return int((usd * 1_000_000).to_integral_value(ROUND_CEILING))


def quotas(settings: Settings, catalogue: Catalogue) -> dict[tuple[str, str], Quota]:
    """The configured limits of each model at its provider."""
    found = {}
    for model in catalogue.models.values():
        if model.provider in settings.providers:
            limits = settings.providers[model.provider].limits
            found[model.provider, model.name] = Quota(
                requests=_limit("requests per minute", limits.rpm),
                tokens=_limit("tokens per minute", limits.tpm),
                concurrent=limits.concurrency,
            )
    return found


def _limit(name: str, count: int | None) -> Limit | None:
    """The rate itself, with a burst a little below it.

    A call arrives at the provider a moment after it was let in here, so the provider's account of a
    burst runs behind ours by what a minute's rate gives in that moment.
    """
    return None if count is None else per_minute(name, count, max(1, count - -(-count // BURST_MARGIN)))
