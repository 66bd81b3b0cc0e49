"""The sections about providers and models: keys, limits, prices, and how calls wait and are repeated."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from macroslow.inference.dialect import Dialect
from macroslow.metering.models import Counting
from macroslow.secretstore.reference import Reference
from macroslow.settings.fields import (
    USD,
    BaseURL,
    Count,
    Name,
    SecretReference,
    Texts,
    check_plain_http,
    refuse,
)
from macroslow.settings.section import Section

Encoding = Literal["o200k_base", "cl100k_base"]
OperationName = Literal["chat.completions", "responses", "embeddings", "messages"]
Text = Annotated[str, Field(min_length=1)]

_OF_A_PRICED_MODEL: Final = (
    "input_usd",
    "output_usd",
    "cached_input_usd",
    "cache_write_5m_usd",
    "cache_write_1h_usd",
    "context_tokens",
    "max_output_tokens",
    "encoding",
    "reasoning",
    "operations",
    "counting",
    "image_rule",
)


class ProviderLimits(Section):
    """What the provider accepts of one key, for each model, where it is known beforehand.

    `window`, `charge` and `pace` say how the provider counts; None: learned from its answers. `tier`
    is a named set of the catalogue, which the numbers here replace one by one.
    """

    rpm: Count | None = None
    tpm: Count | None = None
    rpd: Count | None = None
    concurrency: Count | None = None
    window: Literal["bucket", "minute"] | None = None
    charge: Literal["used", "max_tokens"] | None = None
    pace: Literal["second", "minute"] | None = None
    tier: Name | None = None


class ProviderKey(Section):
    """One of several keys. Without limits of its own it has the provider's."""

    key: SecretReference
    limits: ProviderLimits | None = None


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """One key of a provider, as it is wired: `setting` names its secret in `Settings.secrets`.

    `label` is "openai", and for the second of several keys "openai#2"; `key` None: it needs none.
    """

    label: str
    setting: str
    key: Reference | None
    limits: ProviderLimits


class Provider(Section):
    """One model provider. Its keys are sent to `base_url` and nowhere else.

    `models` are exact names, or prefixes ending in `*`; without it the provider serves every
    model that no other provider names. `auth` is the header that carries the key, None: by kind.
    `usage_key` (an administrator's key with the provider) is for `usage reconcile` alone: no server
    reads it.
    """

    kind: Annotated[Dialect, Field(strict=False)] = Dialect.OPENAI
    base_url: BaseURL
    auth: Literal["bearer", "api-key", "x-api-key"] | None = None
    key: SecretReference | None = None
    keys: Annotated[tuple[ProviderKey, ...], Field(strict=False)] = ()
    usage_key: SecretReference | None = None
    usage_url: BaseURL | None = None
    emulator: bool = False
    plain_http: bool = False
    models: Texts | None = None
    limits: ProviderLimits = ProviderLimits()

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        check_plain_http(self.base_url, allowed=self.plain_http)
        if self.usage_url is not None:
            check_plain_http(self.usage_url, allowed=self.plain_http, member="usage_url")
        return self

    @model_validator(mode="after")
    def _one_way_to_name_keys(self) -> Self:
        if self.key is not None and self.keys:
            raise refuse("has both key and keys", "put the one key into keys too, and remove key")
        if len({one.key for one in self.keys}) != len(self.keys):
            raise refuse(
                "keys names the same key twice", "each key counts against limits of its own: name it once"
            )
        return self

    def accounts(self, name: str) -> tuple[ProviderAccount, ...]:
        """Its keys in their order, where the provider is called `name`; one without a key if it has none."""
        if not self.keys:
            return (ProviderAccount(name, f"providers.{name}.key", self.key, self.limits),)
        return tuple(
            ProviderAccount(
                name if number == 0 else f"{name}#{number + 1}",
                f"providers.{name}.keys[{number}].key",
                one.key,
                self.limits if one.limits is None else one.limits,
            )
            for number, one in enumerate(self.keys)
        )


class Model(Section):
    """A model that the catalogue does not have, another name for one, or what follows one that fails.

    Prices in US dollars for a million tokens: with both `input_usd` and `output_usd` the entry adds a
    model, or gives one of the catalogue other prices; with `alias_of` it is another name and nothing else
    but `fallbacks`; with neither, it gives `fallbacks` to a model that the catalogue has.
    """

    input_usd: USD | None = None
    output_usd: USD | None = None
    cached_input_usd: USD | None = None
    cache_write_5m_usd: USD | None = None
    cache_write_1h_usd: USD | None = None
    context_tokens: Count | None = None
    max_output_tokens: Count | None = None
    encoding: Encoding | None = None
    reasoning: bool | None = None
    operations: Annotated[tuple[OperationName, ...], Field(strict=False, min_length=1)] | None = None
    counting: Counting | None = None
    image_rule: Text | None = None
    alias_of: Text | None = None
    fallbacks: Texts = ()

    @property
    def is_priced(self) -> bool:
        """Whether the entry adds a model of its own, or prices one."""
        return self.input_usd is not None

    @model_validator(mode="after")
    def _is_one_of_three(self) -> Self:
        given = [name for name in _OF_A_PRICED_MODEL if getattr(self, name) is not None]
        if self.alias_of is not None and given:
            raise refuse(
                f"alias_of is another name for a model: {given[0]} is that model's own", f"remove {given[0]}"
            )
        if self.alias_of is None and not self.fallbacks and not given:
            raise refuse("says nothing of the model", "give input_usd and output_usd, alias_of, or fallbacks")
        if given and (self.input_usd is None or self.output_usd is None):
            missing = "input_usd" if self.input_usd is None else "output_usd"
            raise refuse(f"{missing} is not set, and has no default", f"add {missing} = …")
        return self


class Queue(Section):
    """Calls that a provider's limits have no room for wait here, so long and so many; others are refused."""

    max_wait_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    max_waiting: Annotated[int, Field(ge=0, le=1_000_000)] = 2000


class Upstream(Section):
    """How long one call may take in all, and how often it may be sent where repeating is safe."""

    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 600.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
