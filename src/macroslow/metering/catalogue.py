"""The models that can be priced, under every name that they have, and the limits of their providers.

Money is an integer of micro-dollars, rounded up. Prices, windows, image rules and limits are data
(`catalogue.toml`); an operator's own entries replace or add to it. What is not in it has no price and
is not served. No I/O here: the bytes of the file come in as an argument.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
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

    `fallbacks` are of a name, not of its model: what else may answer those who asked by that name. A name
    without any has those of the name that it stands for, and at last those of its model's own.
    Raises ConfigurationError if a name stands for none, or for itself by a detour, or falls back on its
    own model, twice on the same, or on none.
    """

    models: Mapping[str, Model]
    image_rules: Mapping[str, ImageRule] = field(default_factory=dict)
    limits: Mapping[str, LimitSets] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _chains: Mapping[str, tuple[Model, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        own = {alias: model for model in self.models.values() for alias in model.aliases} | {**self.models}
        named = {name: own.get(_end(name, self.renamed)) for name in self.renamed}
        found = own | {name: model for name, model in named.items() if model is not None}
        wrong = [_leads_nowhere(name, self.renamed, found) for name, model in named.items() if model is None]
        for name, others in self.fallbacks.items():
            wrong += _fall_back_problems(name, others, found) if name not in named or named[name] else ()
        if wrong:
            raise ConfigurationError("names in the catalogue of models lead nowhere", wrong)
        chains = {
            name: (model, *(found[other] for other in self._fallbacks_of(name, model)))
            for name, model in found.items()
        }
        object.__setattr__(self, "_chains", chains)

    def _fallbacks_of(self, name: str, model: Model) -> tuple[str, ...]:
        while name not in self.fallbacks and name in self.renamed:
            name = self.renamed[name]
        return self.fallbacks.get(name, self.fallbacks.get(model.name, ()))

    def find(self, name: str) -> Model | None:
        """The model with this name or alias."""
        chain = self._chains.get(name)
        return None if chain is None else chain[0]

    def chain(self, name: str) -> tuple[Model, ...]:
        """The model with this name or alias, then its fall-backs in their order; empty if there is none."""
        return self._chains.get(name, ())

    def names(self) -> list[tuple[str, Model]]:
        """Every name and alias, sorted, each with its model."""
        return sorted((name, chain[0]) for name, chain in self._chains.items())

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
        """This catalogue with the operator's names for models, and what follows some names that fail.

        What a request falls back on are the models listed for the name that it used; theirs are not
        looked at, so two models may stand in for each other. Raises ConfigurationError.
        """
        return replace(self, renamed={**self.renamed, **renamed}, fallbacks={**self.fallbacks, **fallbacks})


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


def _leads_nowhere(name: str, renamed: Mapping[str, str], found: Mapping[str, Model]) -> Problem:
    target = renamed[name]
    field = f"models.{name}.alias_of"
    if not _end(name, renamed):
        return Problem(f"goes round in a circle by {target!r}", "name a model that is no alias", field=field)
    if target in renamed:
        return Problem(f"leads on to {target!r}, which is no model", f"mend {target!r}", field=field)
    return Problem(f"names {target!r}, which is no model", meant(target, found), field=field)


def _fall_back_problems(name: str, others: tuple[str, ...], found: Mapping[str, Model]) -> list[Problem]:
    field = f"models.{name}.fallbacks"
    if name not in found:
        return [Problem(f"{name!r} is no model, so nothing follows it", meant(name, found), field=field)]
    wrong = []
    seen = {found[name].name}
    for other in others:
        model = found.get(other)
        if model is None:
            wrong.append(Problem(f"names {other!r}, which is no model", meant(other, found), field=field))
        elif model.name in seen:
            wrong.append(Problem(f"comes back to {model.name!r}", f"leave {other!r} out", field=field))
        else:
            seen.add(model.name)
    return wrong


def meant(name: str, names: Iterable[str]) -> str:
    """The repair for a name that is none of `names`."""
    alike = get_close_matches(name, names, n=1, cutoff=0.75)
    asked = f'did you mean "{alike[0]}"? else ' if alike else ""
    return f"{asked}give {name!r} input_usd and output_usd in [models], or name another"
