"""The models that can be priced, under every name that they have, and the limits of their providers.

Money is an integer of micro-dollars, rounded up. Prices, windows, image rules and limits are data
(`catalogue.toml`); an operator's own entries replace or add to it. What is not in it has no price and
is not served. No I/O here: the bytes of the file come in as an argument.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from macroslow.errors import ConfigurationError, Problem
from macroslow.metering import _entries
from macroslow.metering.images import ImageRule
from macroslow.metering.limit_sets import LimitSets
from macroslow.metering.models import Model

_TABLES: Final = frozenset({"models", "image_rules", "limits"})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models by name. `renamed` are the operator's names for them, which go before a model's own.

    Raises ConfigurationError if a name stands for none, or for itself by a detour, or if a model falls
    back on itself, twice on the same, or on none.
    """

    models: Mapping[str, Model]
    image_rules: Mapping[str, ImageRule] = field(default_factory=dict)
    limits: Mapping[str, LimitSets] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    _by_any_name: Mapping[str, Model] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        own = {alias: model for model in self.models.values() for alias in model.aliases} | {**self.models}
        named = {name: own.get(_end(name, self.renamed)) for name in self.renamed}
        wrong = [
            Problem("stands for no model, or goes round in a circle", field=f"aliases.{name}")
            for name, model in named.items()
            if model is None
        ]
        by_any_name = own | {name: model for name, model in named.items() if model is not None}
        wrong += [
            problem for model in self.models.values() for problem in _fall_back_problems(model, by_any_name)
        ]
        if wrong:
            raise ConfigurationError("names in the catalogue of models lead nowhere", wrong)
        object.__setattr__(self, "_by_any_name", by_any_name)

    def find(self, name: str) -> Model | None:
        """The model with this name or alias."""
        return self._by_any_name.get(name)

    def names(self) -> list[tuple[str, Model]]:
        """Every name and alias, sorted, each with its model."""
        return sorted(self._by_any_name.items())

    def encodings(self) -> frozenset[str]:
        """The encodings in which its models are counted."""
        return frozenset(model.encoding for model in self.models.values())

    def limit_set(self, name: str) -> LimitSets:
        """A named set of limits. Raises ConfigurationError that lists those there are."""
        if name not in self.limits:
            known = ", ".join(sorted(self.limits)) or "none"
            raise ConfigurationError(f"there is no set of limits {name!r}", fix=f"choose one of: {known}")
        return self.limits[name]

    def with_models(self, entries: Mapping[str, object]) -> "Catalogue":
        """This catalogue with the operator's entries (as in the `models` table of the file) on top.

        Raises ConfigurationError that names every entry and member at fault.
        """
        return replace(self, models={**self.models, **_entries.models(entries, self.image_rules)})

    def with_names(self, renamed: Mapping[str, str], fallbacks: Mapping[str, tuple[str, ...]]) -> "Catalogue":
        """This catalogue with the operator's names for models, and the fall-backs of some (by any name).

        What a request falls back on are the models listed for the one that it named; theirs are not
        looked at, so two models may stand in for each other. Raises ConfigurationError.
        """
        named = replace(self, renamed={**self.renamed, **renamed})
        changed = dict(self.models)
        for name, chain in fallbacks.items():
            model = named.find(name)
            if model is None:
                raise ConfigurationError(
                    "names in the catalogue of models lead nowhere",
                    [Problem("is no model", field=f"fallbacks.{name}")],
                )
            changed[model.name] = replace(model, fallbacks=tuple(chain))
        return replace(named, models=changed)


def parse_catalogue(toml: bytes) -> Catalogue:
    """The catalogue in a file like `catalogue.toml`. Raises ConfigurationError."""
    try:
        tables = tomllib.loads(toml.decode())
    except ValueError as error:  # both not UTF-8 and not TOML
        raise ConfigurationError(f"the catalogue of models cannot be read: {error}") from error
    if "models" not in tables or not all(
        name in _TABLES and isinstance(table, dict) for name, table in tables.items()
    ):
        raise ConfigurationError(
            "a catalogue of models has a table `models`, and beside it only `image_rules` and `limits`"
        )
    rules = _entries.image_rules(tables.get("image_rules", {}))
    limits = _entries.limit_sets(tables.get("limits", {}))
    return Catalogue(_entries.models(tables["models"], rules), rules, limits)


def _end(name: str, renamed: Mapping[str, str]) -> str:
    """Where a name leads in the end; empty if it never ends."""
    seen = set()
    while name in renamed and name not in seen:
        seen.add(name)
        name = renamed[name]
    return "" if name in seen else name


def _fall_back_problems(model: Model, by_any_name: Mapping[str, Model]) -> list[Problem]:
    found = []
    seen = {model.name}
    for name in model.fallbacks:
        other = by_any_name.get(name)
        if other is None:
            found.append(
                Problem(f"names {name!r}, which is no model", field=f"models.{model.name}.fallbacks")
            )
        elif other.name in seen:
            found.append(Problem(f"comes back to {other.name!r}", field=f"models.{model.name}.fallbacks"))
        else:
            seen.add(other.name)
    return found
