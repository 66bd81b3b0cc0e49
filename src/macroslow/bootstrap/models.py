"""Which model is priced how, and served by whom: the catalogue with what the operator says of it."""

from collections.abc import Mapping, Set
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from importlib import resources
from typing import Final

from macroslow.inference import ALL_OPERATIONS
from macroslow.inference.dialect import Dialect
from macroslow.metering.catalogue import Catalogue, parse_catalogue
from macroslow.metering.encodings import Counters, vocabulary_file
from macroslow.metering.models import Model
from macroslow.metering.money import MICROS_PER_USD
from macroslow.settings import Settings
from macroslow.settings.upstream import Model as ModelSettings

CONTEXT_TOKENS: Final = 128_000
MAX_OUTPUT_TOKENS: Final = 16_384
TOP_OUTPUT_TOKENS_PER_S: Final = 500
OPERATIONS: Final[Mapping[Dialect, tuple[str, ...]]] = {
    dialect: tuple(operation.name for operation in ALL_OPERATIONS if operation.dialect is dialect)
    for dialect in Dialect
}
"""What a provider of each dialect serves."""


def complete_catalogue(settings: Settings) -> Catalogue:
    """The packaged catalogue with the operator's models, names and fall-backs.

    Each model is given to the provider that serves it. Raises ConfigurationError.
    """
    packaged = parse_catalogue(_packaged("catalogue.toml"))
    priced = {name: _entry(settings, name, one) for name, one in settings.models.items() if one.is_priced}
    vendors = frozenset(model.provider for model in packaged.models.values())
    whole = packaged.with_models(priced)
    served = {
        name: replace(model, provider=_provider_of(settings, model, vendors))
        for name, model in whole.models.items()
    }
    return replace(whole, models=served).with_names(
        {name: one.alias_of for name, one in settings.models.items() if one.alias_of is not None},
        {name: one.fallbacks for name, one in settings.models.items() if one.fallbacks},
    )


def counters() -> Counters:
    """The counters of the packaged vocabularies, each loaded when it is first needed."""
    return Counters(lambda encoding: _packaged("vocabularies", vocabulary_file(encoding)))


def _packaged(*path: str) -> bytes:
    return resources.files("macroslow.metering").joinpath(*path).read_bytes()


def _entry(settings: Settings, name: str, model: ModelSettings) -> dict[str, object]:
    """An operator's model as an entry of the catalogue."""
    given: dict[str, object] = {
        "cached_input_usd_micros": model.cached_input_usd,
        "cache_write_5m_usd_micros": model.cache_write_5m_usd,
        "cache_write_1h_usd_micros": model.cache_write_1h_usd,
    }
    prices = {member: micros(usd) for member, usd in given.items() if isinstance(usd, Decimal)}
    optional = {
        "counting": model.counting,
        "images": model.image_rule,
        "reasoning": model.reasoning,
        "operations": None if model.operations is None else list(model.operations),
    }
    kind = next((p.kind for p in settings.providers.values() if name in (p.models or ())), Dialect.OPENAI)
    return {
        "provider": kind,
        "upstream": name,
        "encoding": model.encoding or "o200k_base",
        "context_tokens": model.context_tokens or CONTEXT_TOKENS,
        "max_output_tokens": model.max_output_tokens or MAX_OUTPUT_TOKENS,
        "input_usd_micros": micros(model.input_usd or Decimal(0)),
        "output_usd_micros": micros(model.output_usd or Decimal(0)),
        "top_output_tokens_per_s": TOP_OUTPUT_TOKENS_PER_S,
        "operations": list(OPERATIONS[kind]),
        **prices,
        **{member: value for member, value in optional.items() if value is not None},
    }


def _provider_of(settings: Settings, model: Model, vendors: Set[str]) -> str:
    """The provider that names the model, by its longest pattern; else the first that names none.

    Only a provider whose API has the model's operations can serve it; and one that is called as a
    vendor of models ("openai", "google") has that vendor's alone, unless it names others.
    """
    able = {
        name: provider
        for name, provider in settings.providers.items()
        if set(model.operations) & set(OPERATIONS[provider.kind])
    }
    named = [
        (len(pattern), name)
        for name, provider in able.items()
        for pattern in provider.models or ()
        if pattern == model.upstream or (pattern.endswith("*") and model.upstream.startswith(pattern[:-1]))
    ]
    if named:
        return max(named)[1]
    open_to_all = [name for name, provider in able.items() if provider.models is None]
    strangers = vendors - {model.provider} if model.provider in vendors else frozenset()
    return next((name for name in open_to_all if name not in strangers), "")


def micros(usd: Decimal) -> int:
    """Micro-dollars, rounded up."""
    return int((usd * MICROS_PER_USD).to_integral_value(ROUND_CEILING))
