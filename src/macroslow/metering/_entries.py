"""Tables of a catalogue, checked and made into values. Every mistake is found, not the first alone."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

from macroslow.errors import ConfigurationError, Problem
from macroslow.metering import _members
from macroslow.metering.images import ImageRule, Patches, Pixels, Tiles
from macroslow.metering.limit_sets import CLASSES, LimitSet, LimitSets, OperationClass
from macroslow.metering.models import LongPrompts, Model
from macroslow.metering.prices import GIVEN, Prices

_RULES: Final[Mapping[str, Callable[..., ImageRule]]] = {"tiles": Tiles, "patches": Patches, "pixels": Pixels}
_LISTS: Final = ("operations", "aliases")
_LIMITS: Final = {field.name: _members.COUNT for field in fields(LimitSet)}


def image_rules(tables: Mapping[str, object]) -> dict[str, ImageRule]:
    """The rules of `[image_rules.NAME]`. Raises ConfigurationError."""
    _require([problem for name, table in tables.items() for problem in _rule_problems(name, table)])
    return {name: _rule(table) for name, table in tables.items()}


def limit_sets(tables: Mapping[str, Any]) -> dict[str, LimitSets]:
    """The sets of `[limits.SET]`, with `[limits.SET.models.FAMILY.CLASS]`. Raises ConfigurationError."""
    _require([problem for name, table in tables.items() for problem in _set_problems(name, table)])
    return {
        name: LimitSets(name, table["source"], table["verified"], _by_model(table["models"]))
        for name, table in tables.items()
    }


def models(tables: Mapping[str, object], rules: Mapping[str, ImageRule]) -> dict[str, Model]:
    """The models of `[models.NAME]`, and one for each of their snapshots. Raises ConfigurationError."""
    _require([problem for name, table in tables.items() for problem in _model_problems(name, table, rules)])
    return {model.name: model for name, table in tables.items() for model in _family(name, table, rules)}


def _require(problems: list[Problem]) -> None:
    if problems:
        raise ConfigurationError("the catalogue of models has mistakes", problems)


def _rule(table: Any) -> ImageRule:  # `table` has passed _rule_problems
    return _RULES[table["kind"]](**{key: value for key, value in table.items() if key != "kind"})


def _rule_problems(name: str, table: object) -> list[Problem]:
    where = f"image_rules.{name}"
    kind = table.get("kind") if isinstance(table, dict) else None
    if not _members.IMAGE_KIND.fits(kind):
        return [Problem(_members.IMAGE_KIND.fault, field=f"{where}.kind")]
    return _members.problems(where, table, _members.IMAGE_RULES[str(kind)], {"kind": _members.NAME})


def _by_model(table: Any) -> dict[str, dict[OperationClass, LimitSet]]:  # has passed _set_problems
    return {
        family: {of_class: LimitSet(**limits) for of_class, limits in classes.items()}
        for family, classes in table.items()
    }


def _set_problems(name: str, table: Any) -> list[Problem]:
    where = f"limits.{name}"
    found = _members.problems(where, table, _members.LIMITS, {})
    classes: _members.Table = dict.fromkeys(map(str, CLASSES.values()), _members.TABLE)
    for family, by_class in table["models"].items() if not found else ():
        at = f"{where}.models.{family}"
        wrong = _members.problems(at, by_class, {}, classes)
        for of_class, limits in by_class.items() if not wrong else ():
            wrong += _members.problems(f"{at}.{of_class}", limits, {}, _LIMITS)
        found += wrong
    return found


def _family(name: str, table: Any, rules: Mapping[str, ImageRule]) -> list[Model]:
    """The model itself, and its dated snapshots: the same in all but their names."""
    given = {
        key: value for key, value in table.items() if key not in (*_members.PRICES, *_members.CACHE_PRICES)
    }
    given |= {key: tuple(table[key]) for key in _LISTS if key in table}
    given |= {
        "prices": _prices(table),
        "images": rules.get(table.get("images", "")),
        "long_prompts": _long_prompts(table.get("long_prompts")),
        "counting": table.get("counting", "estimate"),
        "max_input_tokens": table.get("max_input_tokens", table["context_tokens"]),
        "priceable": frozenset(table.get("priceable", ())),
    }
    dated = given.pop("snapshots", ())
    alone = {**given, "aliases": ()}
    return [
        Model(name=name, family=name, **given),
        *(Model(**{**alone, "name": one, "family": name, "upstream": one}) for one in dated),
    ]


def _prices(table: Mapping[str, int]) -> Prices:
    whole = {**dict.fromkeys(_members.CACHE_PRICES, table["input_usd_micros"]), **table}
    return Prices(**{price: whole[price] for price in GIVEN})


def _long_prompts(table: Mapping[str, int] | None) -> LongPrompts | None:
    return None if table is None else LongPrompts(table["above_tokens"], _prices(table))


def _model_problems(name: str, table: object, rules: Mapping[str, ImageRule]) -> list[Problem]:
    where = f"models.{name}"
    found = _members.problems(where, table, _members.MODEL, _members.MODEL_OPTIONS)
    if found or not isinstance(table, dict):
        return found
    if table.get("images", "") not in {"", *rules}:
        found.append(Problem(f"is not one of {', '.join(sorted(rules))}", field=f"{where}.images"))
    if "long_prompts" in table:
        found += _long_prompt_problems(f"{where}.long_prompts", table["long_prompts"], table)
    return found


def _long_prompt_problems(where: str, table: Any, model: Mapping[str, int]) -> list[Problem]:
    found = _members.problems(where, table, _members.LONG_PROMPTS, _members.CACHE_PRICES)
    if found:
        return found
    long, short = _prices(table), _prices(model)
    return [
        Problem("is below the price of shorter prompts", field=f"{where}.{price}")
        for price in GIVEN
        if getattr(long, price) < getattr(short, price)
    ]
