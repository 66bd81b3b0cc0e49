"""Models that the operator prices: new ones, and those of the catalogue at other prices.

A model that the catalogue has keeps all that the operator does not say: how it is counted, its window,
its rule for images. Prices for caches and long prompts that are not given keep the share that they have
of the catalogue's input and output, rounded up.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from macroslow.errors import Problem
from macroslow.inference import ALL_OPERATIONS
from macroslow.inference.dialect import Dialect
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.images import ImageRule
from macroslow.metering.models import LongPrompts, Model
from macroslow.metering.money import micros_up
from macroslow.metering.prices import GIVEN, Prices
from macroslow.settings.model import Settings
from macroslow.settings.upstream import Model as ModelSettings

CONTEXT_TOKENS: Final = 128_000
MAX_OUTPUT_TOKENS: Final = 16_384
TOP_OUTPUT_TOKENS_PER_S: Final = 500
OPERATIONS: Final[Mapping[Dialect, tuple[str, ...]]] = {
    dialect: tuple(operation.name for operation in ALL_OPERATIONS if operation.dialect is dialect)
    for dialect in Dialect
}
"""What a provider of each dialect serves."""


def rule_problems(settings: Settings, rules: Mapping[str, ImageRule]) -> list[Problem]:
    """One for each `image_rule` that the catalogue does not have."""
    return [
        Problem(f"is not one of {', '.join(sorted(rules))}", field=f"models.{name}.image_rule")
        for name, model in settings.models.items()
        if model.image_rule is not None and model.image_rule not in rules
    ]


def with_priced(packaged: Catalogue, settings: Settings) -> Catalogue:
    """`packaged` with every model that the operator gives prices. ConfigurationError for mistakes."""
    known: dict[str, Model] = {}
    new: dict[str, object] = {}
    for name, said in settings.models.items():
        if not said.is_priced:
            continue
        model = packaged.find(name)
        kind = _kind(settings, name)
        if model is None:
            new[name] = _entry(name, said, kind or Dialect.OPENAI)
        else:
            known[name] = _overlaid(_named(model, name), said, kind, packaged.image_rules)
    whole = packaged.with_models(new)
    return replace(whole, models={**whole.models, **known})


def _kind(settings: Settings, name: str) -> Dialect | None:
    """The API of the provider that lists the name."""
    return next((one.kind for one in settings.providers.values() if name in (one.models or ())), None)


def _entry(name: str, said: ModelSettings, kind: Dialect) -> dict[str, object]:
    """A model that the catalogue does not have, as an entry of it."""
    given: dict[str, object] = {
        "cached_input_usd_micros": said.cached_input_usd,
        "cache_write_5m_usd_micros": said.cache_write_5m_usd,
        "cache_write_1h_usd_micros": said.cache_write_1h_usd,
    }
    prices = {member: micros_up(usd) for member, usd in given.items() if isinstance(usd, Decimal)}
    optional = {
        "counting": said.counting,
        "images": said.image_rule,
        "reasoning": said.reasoning,
        "operations": None if said.operations is None else list(said.operations),
    }
    return {
        "provider": kind,
        "upstream": name,
        "encoding": said.encoding or "o200k_base",
        "context_tokens": said.context_tokens or CONTEXT_TOKENS,
        "max_output_tokens": said.max_output_tokens or MAX_OUTPUT_TOKENS,
        "input_usd_micros": micros_up(said.input_usd or Decimal(0)),
        "output_usd_micros": micros_up(said.output_usd or Decimal(0)),
        "top_output_tokens_per_s": TOP_OUTPUT_TOKENS_PER_S,
        "operations": list(OPERATIONS[kind]),
        **prices,
        **{member: value for member, value in optional.items() if value is not None},
    }


def _named(model: Model, name: str) -> Model:
    """The model under this name; under an alias of it, one of its own that is asked for by that alias."""
    return model if name == model.name else replace(model, name=name, upstream=name, aliases=())


def _overlaid(
    model: Model, said: ModelSettings, kind: Dialect | None, rules: Mapping[str, ImageRule]
) -> Model:
    long = model.long_prompts
    prices = _prices(model.prices, said, model.prices)
    changed: dict[str, object] = {
        "prices": prices,
        "long_prompts": None
        if long is None
        else LongPrompts(long.above_tokens, _at_least(_prices(long.prices, said, model.prices), prices)),
        "verified": True,  # the operator's own prices
    }
    if said.encoding not in {None, model.encoding}:
        changed |= {"encoding": said.encoding, "counting": "estimate", "tokens_per_1000_counted": 1000}
    if said.context_tokens is not None:
        changed |= {"context_tokens": said.context_tokens, "max_input_tokens": said.context_tokens}
    if said.image_rule is not None:
        changed["images"] = rules[said.image_rule]
    if said.operations is None and kind is not None and not set(model.operations) & {*OPERATIONS[kind]}:
        changed["operations"] = OPERATIONS[kind]  # a provider that serves it in another API than its maker
    for member in ("max_output_tokens", "reasoning", "counting", "operations"):
        if getattr(said, member) is not None:
            changed[member] = getattr(said, member)
    return replace(model, **changed)  # type: ignore[arg-type] # each member as its setting is


def _prices(listed: Prices, said: ModelSettings, usual: Prices) -> Prices:
    """`listed` at the operator's prices: what he does not give keeps its share of the `usual` ones."""
    own_input, own_output = micros_up(said.input_usd or Decimal(0)), micros_up(said.output_usd or Decimal(0))
    short = listed is usual

    def of(given: Decimal | None, price: int, usual_price: int, own_price: int) -> int:
        if given is not None and short:
            return micros_up(given)
        return -(-price * own_price // usual_price) if usual_price else own_price

    usual_input = usual.input_usd_micros
    return Prices(
        of(said.input_usd, listed.input_usd_micros, usual_input, own_input),
        of(said.cached_input_usd, listed.cached_input_usd_micros, usual_input, own_input),
        of(said.cache_write_5m_usd, listed.cache_write_5m_usd_micros, usual_input, own_input),
        of(said.cache_write_1h_usd, listed.cache_write_1h_usd_micros, usual_input, own_input),
        of(said.output_usd, listed.output_usd_micros, usual.output_usd_micros, own_output),
    )


def _at_least(prices: Prices, least: Prices) -> Prices:
    """No price of a long prompt is below the usual one."""
    return Prices(**{name: max(getattr(prices, name), getattr(least, name)) for name in GIVEN})
