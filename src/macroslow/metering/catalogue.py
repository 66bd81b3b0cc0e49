"""What models cost: a table of prices, and the two questions asked of it.

Money is an integer of micro-dollars, rounded up, so that no sum of calls is charged below its true
cost. A price is given per million tokens; a call costs input, cached input and output tokens each
times their price. Prices are data (`catalogue.toml`); an operator's own entries replace or add to it.
No I/O here: the bytes of the file come in as an argument.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.errors import ConfigurationError, Problem

TOKENS_PER_PRICE: Final = 1_000_000
ENCODINGS: Final = frozenset({"o200k_base"})

_TEXTS: Final = frozenset({"provider", "upstream", "encoding"})
_COUNTS: Final = frozenset({"context_tokens", "max_output_tokens", "top_output_tokens_per_s"})
_PRICES: Final = frozenset({"input_usd_micros", "cached_input_usd_micros", "output_usd_micros"})
_CACHE_WRITES: Final = ("cache_write_5m_usd_micros", "cache_write_1h_usd_micros")
"""Prices that an entry may leave out: then writing into a cache costs what input does."""
_MAX_NUMBER: Final = 10**12


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """What one call used. `input_tokens` are all of them; the others say which of these cost otherwise.

    Read from a cache (less), written into one that lives five minutes or an hour (more); what is none
    of the three is fresh input.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_5m_input_tokens: int = 0
    cache_write_1h_input_tokens: int = 0

    @property
    def fresh_input_tokens(self) -> int:
        """Input that was neither read from a cache nor written into one."""
        cached = self.cached_input_tokens
        return (
            self.input_tokens - cached - self.cache_write_5m_input_tokens - self.cache_write_1h_input_tokens
        )


@dataclass(frozen=True, slots=True)
class Model:
    """One model that can be priced. Prices in micro-dollars per million tokens.

    `reasoning` models think in tokens that nobody sees, so what they wrote cannot be counted here.
    """

    name: str
    provider: str
    upstream: str
    encoding: str
    context_tokens: int
    max_output_tokens: int
    input_usd_micros: int
    cached_input_usd_micros: int
    cache_write_5m_usd_micros: int
    cache_write_1h_usd_micros: int
    output_usd_micros: int
    top_output_tokens_per_s: int
    aliases: tuple[str, ...] = ()
    reasoning: bool = False

    def price(self, used: TokenCounts) -> int:
        """Micro-dollars that `used` costs, rounded up."""
        parts = (
            used.fresh_input_tokens * self.input_usd_micros
            + used.cached_input_tokens * self.cached_input_usd_micros
            + used.cache_write_5m_input_tokens * self.cache_write_5m_usd_micros
            + used.cache_write_1h_input_tokens * self.cache_write_1h_usd_micros
            + used.output_tokens * self.output_usd_micros
        )
        return -(-parts // TOKENS_PER_PRICE)

    @property
    def dearest_input_usd_micros(self) -> int:
        """The most that an input token can cost: fresh, read from a cache or written into one."""
        return max(
            self.input_usd_micros,
            self.cached_input_usd_micros,
            self.cache_write_5m_usd_micros,
            self.cache_write_1h_usd_micros,
        )

    def estimate(self, input_tokens: int, output_tokens: int) -> int:
        """The most that a call can cost: all input at its dearest, every allowed output token written."""
        parts = input_tokens * self.dearest_input_usd_micros + output_tokens * self.output_usd_micros
        return -(-parts // TOKENS_PER_PRICE)

    def affordable_output_tokens(self, input_tokens: int, usd_micros: int) -> int:
        """The most output tokens whose estimate fits `usd_micros`; negative if not even the input does."""
        left = usd_micros * TOKENS_PER_PRICE - input_tokens * self.dearest_input_usd_micros
        return left // self.output_usd_micros if self.output_usd_micros else self.max_output_tokens


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models by name and alias. What is not in it cannot be priced and is not served."""

    models: Mapping[str, Model]
    _by_any_name: Mapping[str, Model] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = {alias: model for model in self.models.values() for alias in model.aliases}
        object.__setattr__(self, "_by_any_name", {**names, **self.models})

    def find(self, name: str) -> Model | None:
        """The model with this name or alias."""
        return self._by_any_name.get(name)

    def names(self) -> list[tuple[str, Model]]:
        """Every name and alias, sorted, each with its model."""
        return sorted(self._by_any_name.items())

    def with_models(self, entries: Mapping[str, object]) -> "Catalogue":
        """This catalogue with the operator's entries (as in the `models` table of the file) on top.

        Raises ConfigurationError that names every entry and member at fault.
        """
        return Catalogue({**self.models, **_models(entries)})


def parse_catalogue(toml: bytes) -> Catalogue:
    """The catalogue in a file like `catalogue.toml`. Raises ConfigurationError."""
    try:
        table = tomllib.loads(toml.decode())
    except ValueError as error:  # both not UTF-8 and not TOML
        raise ConfigurationError(f"the catalogue of models cannot be read: {error}") from error
    entries = table.pop("models", None)
    if table or not isinstance(entries, dict):
        raise ConfigurationError("a catalogue of models has one table, `models`")
    return Catalogue(_models(entries))


def _models(entries: Mapping[str, object]) -> dict[str, Model]:
    problems = [problem for name, entry in entries.items() for problem in _problems(name, entry)]
    if problems:
        raise ConfigurationError("the catalogue of models has mistakes", problems)
    return {name: _model(name, entry) for name, entry in entries.items()}


def _model(name: str, entry: Any) -> Model:  # `entry` has passed _problems
    writes = dict.fromkeys(_CACHE_WRITES, entry["input_usd_micros"])
    return Model(name=name, **{**writes, **entry, "aliases": tuple(entry.get("aliases", ()))})


def _problems(name: str, entry: object) -> list[Problem]:
    """Everything wrong with one entry."""
    if not isinstance(entry, dict):
        return [Problem("is not a table", field=f"models.{name}")]
    required = _TEXTS | _COUNTS | _PRICES
    wrong = dict.fromkeys(sorted(required - entry.keys()), "is missing")
    for key, value in entry.items():
        if message := _wrong(key, value):
            wrong[key] = message
    return [Problem(message, field=f"models.{name}.{key}") for key, message in wrong.items()]


def _wrong(key: str, value: object) -> str:
    """What is wrong with one member, or nothing."""
    if key == "encoding":
        return (
            ""
            if isinstance(value, str) and value in ENCODINGS
            else f"is not one of {', '.join(sorted(ENCODINGS))}"
        )
    if key in _TEXTS:
        return "" if isinstance(value, str) and value else "is not a name"
    if key in _COUNTS or key in _PRICES or key in _CACHE_WRITES:
        least = 1 if key in _COUNTS else 0
        good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MAX_NUMBER
        return "" if good else f"is not a whole number from {least} to {_MAX_NUMBER}"
    if key == "reasoning":
        return "" if isinstance(value, bool) else "is not true or false"
    if key == "aliases":
        good = isinstance(value, list) and all(isinstance(alias, str) and alias for alias in value)
        return "" if good else "is not a list of names"
    return "is not known here"
