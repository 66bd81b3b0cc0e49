"""The members of a catalogue's tables: what each must be, and in which words it is said if it is not."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from macroslow.errors import Problem
from macroslow.metering.encodings import PUBLISHED
from macroslow.metering.limit_sets import CLASSES
from macroslow.metering.models import Counting

_MAX_NUMBER: Final = 10**12
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Member:
    """What a value must be: a test, and the words for failing it."""

    fits: Callable[[Any], bool]
    fault: str


Table = Mapping[str, Member]


def problems(where: str, table: object, required: Table, optional: Table) -> list[Problem]:
    """Everything wrong with the members of `table`, each under its dotted name."""
    if not isinstance(table, dict):
        return [Problem("is not a table", field=where)]
    known = {**required, **optional}
    wrong = dict.fromkeys(sorted(required.keys() - table.keys()), "is missing")
    for name, value in table.items():
        if name not in known:
            wrong[name] = "is not known here"
        elif not known[name].fits(value):
            wrong[name] = known[name].fault
    return [Problem(fault, field=f"{where}.{name}") for name, fault in wrong.items()]


def _number(least: int) -> Member:
    def fits(value: object) -> bool:
        return type(value) is int and least <= value <= _MAX_NUMBER

    return Member(fits, f"is not a whole number from {least} to {_MAX_NUMBER}")


def _one_of(*words: str) -> Member:
    return Member(
        lambda value: isinstance(value, str) and value in words, f"is not one of {', '.join(sorted(words))}"
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _list_of(fits: Callable[[Any], bool], what: str) -> Member:
    return Member(lambda value: isinstance(value, list) and all(map(fits, value)), f"is not a list of {what}")


NAME: Final = Member(_is_name, "is not a name")
NAMES: Final = _list_of(_is_name, "names")
COUNT: Final = _number(1)
AMOUNT: Final = _number(0)
FLAG: Final = Member(lambda value: isinstance(value, bool), "is not true or false")
TABLE: Final = Member(lambda value: isinstance(value, dict), "is not a table")

PRICES: Final[Table] = dict.fromkeys(("input_usd_micros", "output_usd_micros"), AMOUNT)
CACHE_PRICES: Final[Table] = dict.fromkeys(
    ("cached_input_usd_micros", "cache_write_5m_usd_micros", "cache_write_1h_usd_micros"), AMOUNT
)
"""Prices that an entry may leave out: then reading from a cache or writing into it costs what input does."""

MODEL: Final[Table] = {
    "provider": NAME,
    "upstream": NAME,
    "encoding": _one_of(*PUBLISHED),
    "context_tokens": COUNT,
    "max_output_tokens": AMOUNT,
    "top_output_tokens_per_s": AMOUNT,
    **PRICES,
}
MODEL_OPTIONS: Final[Table] = {
    **CACHE_PRICES,
    "counting": _one_of(*get_args(Counting)),
    "tokens_per_1000_counted": COUNT,
    "max_input_tokens": COUNT,
    "max_request_bytes": COUNT,
    "long_prompts": TABLE,
    "images": NAME,
    "operations": _list_of(
        lambda value: _is_name(value) and value in CLASSES, f"some of {', '.join(CLASSES)}"
    ),
    "aliases": NAMES,
    "snapshots": NAMES,
    "priceable": NAMES,
    "reasoning": FLAG,
    "verified": FLAG,
    "retires": Member(
        lambda value: isinstance(value, str) and _DAY.fullmatch(value) is not None,
        "is not a day such as 2026-01-31",
    ),
}
LONG_PROMPTS: Final[Table] = {"above_tokens": COUNT, **PRICES}

LIMITS: Final[Table] = {"source": NAME, "verified": FLAG, "models": TABLE}

IMAGE_RULES: Final[Mapping[str, Table]] = {
    "tiles": dict.fromkeys(("base_tokens", "tile_tokens", "fit_px", "short_side_px", "tile_px"), COUNT),
    "patches": dict.fromkeys(("patch_px", "max_patches", "tokens_per_1000_patches"), COUNT),
    "pixels": dict.fromkeys(("pixels_per_token", "max_edge_px", "most_tokens"), COUNT),
}
IMAGE_KIND: Final = _one_of(*IMAGE_RULES)
