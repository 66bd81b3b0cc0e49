"""Whether the provider counted more than went through this gateway: somebody else uses its key.

The ledger is never below what the provider counts of the same calls: a call whose end is unknown is
charged in full. So more at the provider is spending around the gateway, the only sign of a stolen
key. Tokens are compared by model over the whole span (a call that begins before midnight is counted
on that day there, and here when it is settled), dollars over the whole span; the days say where to look.
A provider that counted nothing of what is booked was asked about something else, or too early: no verdict.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.metering.ledger import DailyUsage
from macroslow.services.spending.provider_reports import NO_TOKENS, Reported, Tokens

_SNAPSHOT: Final = re.compile(r"-(?:20\d\d-\d\d-\d\d|20\d{6})$")
PER_MILLE: Final = 1000


@dataclass(frozen=True, slots=True)
class DayOfModel:
    """One model on one day: what is booked here, and what the provider says."""

    day: str
    model: str
    booked: Tokens
    reported: Tokens


@dataclass(frozen=True, slots=True)
class Surplus:
    """One model of which the provider counted more tokens, over the whole span and on these days."""

    model: str
    booked: Tokens
    reported: Tokens
    days: tuple[DayOfModel, ...]


@dataclass(frozen=True, slots=True)
class DayOfMoney:
    """What one day cost by the ledger, and by the provider."""

    day: str
    booked_usd_micros: int
    reported_usd_micros: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What the comparison found. Amounts in micro-dollars over the whole span.

    `money_surplus` holds the days on which the provider charged more, if it did so over the whole span.
    """

    rows: tuple[DayOfModel, ...]
    surpluses: tuple[Surplus, ...]
    booked_usd_micros: int
    reported_usd_micros: int
    money_surplus: tuple[DayOfMoney, ...]

    @property
    def agrees(self) -> bool | None:
        """Whether the provider counted no more than is booked here, within the tolerance.

        None: money is booked, and it counted nothing at all, which says nothing.
        """
        if self.surpluses or self.money_surplus:
            return False
        counted = self.reported_usd_micros or any(row.reported != NO_TOKENS for row in self.rows)
        return True if counted or not self.booked_usd_micros else None


def reconcile(
    booked: Sequence[DailyUsage],
    reported: Reported,
    *,
    upstream_names: Mapping[str, str],
    tolerance_per_mille: int = 10,
) -> Reconciliation:
    """Compare the ledger's rows of a span with the provider's report of it.

    `upstream_names` gives the provider's name for a model of ours. A snapshot's date at the end of a
    name is not part of the comparison: providers bill `gpt-4o` as `gpt-4o-2024-08-06`.
    """
    rows = _rows(booked, reported, upstream_names)
    surpluses = [_surplus(model, of_model, tolerance_per_mille) for model, of_model in _by_model(rows)]
    booked_usd_micros = sum(one.usd_micros for one in booked)
    reported_usd_micros = sum(reported.usd_micros.values())
    costs_more = _exceeds(reported_usd_micros, booked_usd_micros, tolerance_per_mille)
    return Reconciliation(
        rows=rows,
        surpluses=tuple(one for one in surpluses if one is not None),
        booked_usd_micros=booked_usd_micros,
        reported_usd_micros=reported_usd_micros,
        money_surplus=tuple(_dearer_days(booked, reported, tolerance_per_mille)) if costs_more else (),
    )


def bare_name(model: str) -> str:
    """A provider's name of a model without the date of its snapshot."""
    return _SNAPSHOT.sub("", model)


def _rows(
    booked: Iterable[DailyUsage], reported: Reported, upstream_names: Mapping[str, str]
) -> tuple[DayOfModel, ...]:
    ours: dict[tuple[str, str], Tokens] = {}
    for one in booked:
        key = (one.day, bare_name(upstream_names.get(one.model, one.model)))
        ours[key] = ours.get(key, NO_TOKENS) + Tokens(one.input_tokens, one.output_tokens)
    theirs: dict[tuple[str, str], Tokens] = {}
    for (day, model), tokens in reported.tokens.items():
        key = (day, bare_name(model))
        theirs[key] = theirs.get(key, NO_TOKENS) + tokens
    keys = sorted(ours.keys() | theirs.keys())
    return tuple(DayOfModel(*key, ours.get(key, NO_TOKENS), theirs.get(key, NO_TOKENS)) for key in keys)


def _by_model(rows: Sequence[DayOfModel]) -> Iterable[tuple[str, list[DayOfModel]]]:
    return ((model, [row for row in rows if row.model == model]) for model in sorted({r.model for r in rows}))


def _surplus(model: str, rows: Sequence[DayOfModel], tolerance_per_mille: int) -> Surplus | None:
    booked = sum((row.booked for row in rows), NO_TOKENS)
    reported = sum((row.reported for row in rows), NO_TOKENS)
    if not _more(reported, booked, tolerance_per_mille):
        return None
    days = tuple(row for row in rows if _more(row.reported, row.booked, tolerance_per_mille))
    return Surplus(model, booked, reported, days)


def _dearer_days(
    booked: Sequence[DailyUsage], reported: Reported, tolerance_per_mille: int
) -> Iterable[DayOfMoney]:
    for day, usd_micros in sorted(reported.usd_micros.items()):
        ours = sum(one.usd_micros for one in booked if one.day == day)
        if _exceeds(usd_micros, ours, tolerance_per_mille):
            yield DayOfMoney(day, ours, usd_micros)


def _more(reported: Tokens, booked: Tokens, tolerance_per_mille: int) -> bool:
    """Whether one of both numbers is beyond the tolerance."""
    return _exceeds(reported.input_tokens, booked.input_tokens, tolerance_per_mille) or _exceeds(
        reported.output_tokens, booked.output_tokens, tolerance_per_mille
    )


def _exceeds(reported: int, booked: int, tolerance_per_mille: int) -> bool:
    return reported * PER_MILLE > booked * (PER_MILLE + tolerance_per_mille)
