"""Which model is priced how, and served by whom: the catalogue with what the operator says of it."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import product

from macroslow.adapters import packaged
from macroslow.bootstrap.models.priced import OPERATIONS, rule_problems, with_priced
from macroslow.errors import ConfigurationError, Problem
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.models import Model
from macroslow.settings.model import Settings
from macroslow.settings.origin import dotted, nearest, remark


def complete_catalogue(settings: Settings) -> Catalogue:
    """The packaged catalogue with the operator's models, names and fall-backs.

    Each model is given to the provider that serves it. Raises ConfigurationError with every mistake in
    [models] and in the names of [providers.NAME.limits], each with its place.
    """
    try:
        return _complete(settings)
    except ConfigurationError as error:
        raise ConfigurationError(error.detail, _placed(error.problems, settings), fix=error.fix) from None


def _complete(settings: Settings) -> Catalogue:
    known = packaged.catalogue()
    if wrong := [*rule_problems(settings, known.image_rules), *_tier_problems(settings, known)]:
        raise ConfigurationError("names of the catalogue are wrong", wrong)
    vendors = frozenset(model.provider for model in known.models.values())
    whole = with_priced(known, settings)
    served = {
        name: replace(model, provider=_provider_of(settings, model, vendors))
        for name, model in whole.models.items()
    }
    return replace(whole, models=served).with_names(
        {name: one.alias_of for name, one in settings.models.items() if one.alias_of is not None},
        {name: one.fallbacks for name, one in settings.models.items() if one.fallbacks},
    )


def names_in_vain(settings: Settings, catalogue: Catalogue) -> Iterator[str]:
    """One line for each listed name that no start refuses and no call can use.

    That is a name or pattern in a provider's `models` that no model answers to, and a fall-back in
    another API than the model has that it follows.
    """
    yield from _listed_in_vain(settings, catalogue)
    for name in settings.models:
        chain = catalogue.chain(name)
        for first, other in product(chain[:1], chain[1:]):
            if not {*first.operations} & {*other.operations}:
                path = ("models", name, "fallbacks")
                why = f"{other.name} is asked for in another API than {first.name}, and never follows it"
                yield remark(path, why, "", settings.source.origins)


def _listed_in_vain(settings: Settings, catalogue: Catalogue) -> Iterator[str]:
    for name, provider in settings.providers.items():
        served = [model for model in catalogue.models.values() if model.provider == name]
        for number, pattern in enumerate(provider.models or ()):
            if any(_rank(pattern, model) for model in served):
                continue
            path = ("providers", name, "models", f"[{number}]")
            why = _why_nothing(pattern, name, catalogue)
            yield remark(path, why, "", settings.source.origins)


def _why_nothing(pattern: str, provider: str, catalogue: Catalogue) -> str:
    model = catalogue.find(pattern)
    if model is None:
        return f'"{pattern}" serves nothing: no model of that name has a price (see [models])'
    if model.provider not in {"", provider}:
        return f'"{pattern}" serves nothing: {model.name} is served by {model.provider}'
    if pattern in catalogue.renamed:
        return f'"{pattern}" serves nothing: it is another name here for {model.name}, so list that'
    return f'"{pattern}" serves nothing: {model.name} is asked for in another API than this provider has'


def _tier_problems(settings: Settings, catalogue: Catalogue) -> list[Problem]:
    found = []
    for name, provider in settings.providers.items():
        keys = {f"keys.[{number}].limits": one.limits for number, one in enumerate(provider.keys)}
        for where, limits in {"limits": provider.limits, **keys}.items():
            if limits is not None and limits.tier not in {None, *catalogue.limits}:
                known = ", ".join(sorted(catalogue.limits))
                why = f"there is no set of limits {limits.tier!r}"
                found.append(Problem(why, f"choose one of: {known}", field=f"providers.{name}.{where}.tier"))
    return found


def _placed(problems: Sequence[Problem], settings: Settings) -> list[Problem]:
    """The same with file and line, their fields as TOML writes them."""
    origins = settings.source.origins
    paths = {".".join(path): path for path in origins}
    placed = []
    for problem in problems:
        field = problem.field
        while field and field not in paths:
            field = field.rpartition(".")[0]
        path = paths.get(field, ())
        origin = nearest(path, origins)
        named = dotted(path) + problem.field[len(field) :]
        placed.append(replace(problem, field=named, line=origin.line, file=origin.place))
    return sorted(placed, key=lambda one: (one.file, one.line or 0))


def _provider_of(settings: Settings, model: Model, vendors: Set[str]) -> str:
    """The provider that names the model best; else the first that names none.

    Only a provider whose API has the model's operations can serve it; and one that is called as a
    vendor of models ("openai", "google") has that vendor's alone, unless it names others.
    """
    able = {
        name: provider
        for name, provider in settings.providers.items()
        if set(model.operations) & set(OPERATIONS[provider.kind])
    }
    named = [
        (rank, name)
        for name, provider in able.items()
        for pattern in provider.models or ()
        if (rank := _rank(pattern, model))
    ]
    if named:
        return max(named)[1]
    open_to_all = [name for name, provider in able.items() if provider.models is None]
    strangers = vendors - {model.provider} if model.provider in vendors else frozenset()
    return next((name for name in open_to_all if name not in strangers), "")


def _rank(pattern: str, model: Model) -> tuple[int, int] | None:
    """How well a name or pattern names the model: its own name, another of its names, the longest prefix."""
    if pattern in {model.name, model.upstream}:
        return (3, 0)
    if pattern in model.aliases:
        return (2, 0)
    if not pattern.endswith("*"):
        return None
    names = (model.name, model.upstream, *model.aliases)
    return (1, len(pattern)) if any(name.startswith(pattern[:-1]) for name in names) else None
