"""The sections about money: what a new key gets, who may spend how much in a day, and who is told."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from macroslow.authz.scopes import KNOWN, is_known
from macroslow.metering.budgets import EACH, BudgetRule, Period, Scope
from macroslow.metering.money import micros_down
from macroslow.ports import DAY_NS
from macroslow.settings.fields import USD, Count, SecretReference, Texts, WebhookURL, refuse
from macroslow.settings.section import Section


def _scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(is_known, value)):
        raise refuse("not a scope", f"choose among {KNOWN}")
    return value


class Keys(Section):
    """What a new client key gets unless told otherwise. None: no bound. Days and months are UTC's."""

    budget_usd: USD | None = None
    budget_day_usd: USD | None = None
    budget_month_usd: USD | None = None
    requests_per_minute: Count | None = None
    expires_days: Count | None = None
    scopes: Annotated[Texts, AfterValidator(_scopes)] | None = None

    def terms(self, now_ns: int) -> dict[str, object]:
        """What is said here, as the terms of a key that is made at `now_ns` (ns since 1970)."""
        days = self.expires_days
        said = {
            "budget_usd_micros": _micros(self.budget_usd),
            "day_usd_micros": _micros(self.budget_day_usd),
            "month_usd_micros": _micros(self.budget_month_usd),
            "requests_per_minute": self.requests_per_minute,
            "scopes": None if self.scopes is None else [*self.scopes],
            "expires_ns": None if days is None else now_ns + days * DAY_NS,
        }
        return {name: value for name, value in said.items() if value is not None}


def _micros(usd: Decimal | None) -> int | None:
    return None if usd is None else micros_down(usd)


class BudgetSection(Section):
    """One bound on what is spent by all calls that it counts together. Days and months are UTC's.

    `name` is a key's id, a principal, a team or a tag; `*` bounds each of them by itself.
    """

    scope: Annotated[Literal["key", "principal", "team", "tag", "all"], Field(alias="for")]
    name: Annotated[str, Field(min_length=1, max_length=200)] = EACH
    period: Literal["day", "month", "total"]
    usd: USD

    @model_validator(mode="after")
    def _all_has_no_name(self) -> Self:
        if self.scope == "all" and self.name != EACH:
            raise refuse('a budget for "all" has no name', "remove name")
        return self

    @property
    def rule(self) -> BudgetRule:
        """The same in micro-dollars."""
        return BudgetRule(Scope(self.scope), self.name, Period(self.period), micros_down(self.usd))


class Webhook(Section):
    """One receiver of alerts. What it gets is signed with `secret` (Standard Webhooks)."""

    url: WebhookURL
    secret: SecretReference


def _ascending(value: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(value)))


class Alerts(Section):
    """When somebody is told: at these shares of each budget, and where an hour costs so many usual ones.

    `sudden_rise` 0: never for that.
    """

    at_percent: Annotated[
        tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(strict=False), AfterValidator(_ascending)
    ] = (50, 80, 100)
    sudden_rise: Annotated[float, Field(ge=0, le=10_000)] = 4.0
    webhooks: Annotated[tuple[Webhook, ...], Field(strict=False, max_length=16)] = ()

    @model_validator(mode="after")
    def _a_rise_is_more(self) -> Self:
        if 0 < self.sudden_rise <= 1:
            raise refuse("a sudden rise of 1 or less is no rise", "write how many usual hours, or 0 for none")
        return self
