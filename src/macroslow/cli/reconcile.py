"""`macroslow usage reconcile`: did the provider count more than went through here?"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from macroslow.bootstrap.models.catalogue import complete_catalogue
from macroslow.bootstrap.models.providers import reported
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._operator import ask_with
from macroslow.cli._places import secret_sources
from macroslow.cli.console.columns import columns, usd
from macroslow.cli.console.errors import CANNOT_DECIDE, CHECKED_IS_BAD
from macroslow.cli.console.output import emit, json_option
from macroslow.errors import ConfigurationError, UpstreamError, UpstreamRefusedError
from macroslow.metering.ledger import DailyUsage
from macroslow.secretstore.resolve import resolve
from macroslow.secretstore.secret import Secret
from macroslow.services.spending import reconcile_usage
from macroslow.services.spending.provider_reports import Span
from macroslow.services.spending.report_usage import require_days
from macroslow.settings import Settings

DAYS: Final = 7  # that are compared unless told otherwise
LAG: Final = "today is compared too: providers count within minutes to hours, so look again tomorrow"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One provider: what was found, and why it says nothing or nothing could be."""

    provider: str
    found: reconcile_usage.Reconciliation | None
    error: str = ""

    @property
    def exit_code(self) -> int:
        """As every command has it."""
        if self.found is None or self.found.agrees is None:
            return CANNOT_DECIDE
        return 0 if self.found.agrees else CHECKED_IS_BAD


@click.command()
@click.option("--provider", "only", metavar="NAME", help="One provider  [default: all with a usage_key]")
@click.option("--from", "first_day", metavar="DAY", help="First day (UTC)  [default: a week ago]")
@click.option("--to", "last_day", metavar="DAY", help="Last day, inclusive  [default: today]")
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="ID",
    help="Only this project (Anthropic: workspace) of the provider's. Repeatable.",
)
@click.option(
    "--tolerance",
    "tolerance_per_mille",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    metavar="N",
    help="Thousandths by which the provider may count more.",
)
@config_option
@json_option
def reconcile(
    only: str | None,
    first_day: str | None,
    last_day: str | None,
    projects: tuple[str, ...],
    tolerance_per_mille: int,
    *,
    config_file: Path | None,
    as_json: bool,
) -> int:
    """Compare the ledger with the provider's own usage and cost reports.

    Exit code 1 if the provider counted more: somebody spends around the gateway, with its key or
    another of the same account. 2 if a provider could not be asked, or counted nothing of what is booked.
    """
    settings = settings_of(config_file)
    span, today = _span(first_day, last_day), _day(0)
    outcomes = [
        _compare(settings, name, secret, span, projects, tolerance_per_mille)
        for name, secret in _asked(settings, only).items()
    ]
    notes = [LAG] if span.last_day >= today else []
    if as_json:
        emit(_object(outcomes, span, notes))
    else:
        for outcome in outcomes:
            _print(outcome, span)
        for note in notes:
            click.echo(f"note: {note}")
    codes = {outcome.exit_code for outcome in outcomes}
    return next(code for code in (CHECKED_IS_BAD, CANNOT_DECIDE, 0) if code in codes)


def _span(first_day: str | None, last_day: str | None) -> Span:
    span = Span(first_day or _day(DAYS), last_day or _day(0))
    require_days(span.first_day, span.last_day)
    return span


def _day(days_ago: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=days_ago):%Y-%m-%d}"


def _asked(settings: Settings, only: str | None) -> dict[str, Secret]:
    """The administrators' keys of the providers to ask, by the provider's name."""
    wanted = [one for one in settings.usage_secrets() if only in (None, one.setting.split(".")[1])]
    if not wanted:
        raise click.UsageError(_nobody(settings, only))
    secrets = asyncio.run(resolve(wanted, secret_sources(settings)))
    return {setting.split(".")[1]: secret for setting, secret in secrets.items()}


def _nobody(settings: Settings, only: str | None) -> str:
    """Why nobody can be asked."""
    names = ", ".join(settings.providers) or "none"
    if only is not None and only not in settings.providers:
        return f"There is no provider {only}: the configuration has {names}."
    who = "No provider has a usage_key" if only is None else f"Provider {only} has no usage_key"
    where = f"[providers.{only or 'NAME'}]"
    return f"{who}: write a reference to an administrator's key of the provider's into {where}."


def _refused(settings: Settings, name: str, error: UpstreamError) -> str:
    """What the provider said; of a key that it does not take, which one that is."""
    if not isinstance(error, UpstreamRefusedError) or error.status not in (401, 403):
        return error.detail if error.reason == error.detail else f"{error.detail}: {error.reason}"
    reference = settings.providers[name].usage_key
    return (
        f"the provider did not accept {reference}, which providers.{name}.usage_key names: it must be an "
        "administrator's key of the account, as one for calls cannot read its usage"
    )


def _compare(
    settings: Settings, name: str, secret: Secret, span: Span, projects: Sequence[str], per_mille: int
) -> Comparison:
    booked = ask_with(settings, "usage.days", provider=name, first_day=span.first_day, last_day=span.last_day)
    try:
        theirs = asyncio.run(reported(settings, name, secret, span, projects))
    except UpstreamError as error:
        return Comparison(name, None, _refused(settings, name, error))
    except ConfigurationError as error:
        return Comparison(name, None, error.detail)
    found = reconcile_usage.reconcile(
        [DailyUsage(**row) for row in booked["rows"]],
        theirs,
        upstream_names=_upstream_names(settings),
        tolerance_per_mille=per_mille,
    )
    return Comparison(name, found, _nothing(found, name, projects) if found.agrees is None else "")


def _nothing(found: reconcile_usage.Reconciliation, name: str, projects: Sequence[str]) -> str:
    """What to look at where the provider counted nothing of what is booked."""
    account = f"the account of providers.{name}.usage_key"
    asked = f"--project {', '.join(projects)} of {account}" if projects else account
    return (
        f"the provider counted nothing, though {usd(found.booked_usd_micros)} is booked: is {asked} the one "
        "that is called? What was called just now may be counted later"
    )


def _upstream_names(settings: Settings) -> dict[str, str]:
    models = complete_catalogue(settings).models
    return {name: model.upstream for name, model in models.items()}


def _print(outcome: Comparison, span: Span) -> None:
    found = outcome.found
    if found is None or found.agrees is None:
        click.echo(f"CANNOT DECIDE  {outcome.provider}: {outcome.error}")
        return
    verdict = "AGREES" if found.agrees else "MORE THERE"
    click.echo(
        f"{verdict}  {outcome.provider}, {span.first_day} to {span.last_day}: "
        f"booked {usd(found.booked_usd_micros)}, the provider says {usd(found.reported_usd_micros)}"
    )
    rows = [
        {
            "day": day.day,
            "model": one.model,
            "in": day.reported.input_tokens - day.booked.input_tokens,
            "out": day.reported.output_tokens - day.booked.output_tokens,
        }
        for one in found.surpluses
        for day in one.days
    ]
    if rows:
        columns(rows, {"day": "DAY", "model": "MODEL", "in": "TOKENS IN MORE", "out": "TOKENS OUT MORE"})
    if found.money_surplus:
        days = [
            {"day": one.day, "more": usd(one.reported_usd_micros - one.booked_usd_micros)}
            for one in found.money_surplus
        ]
        columns(days, {"day": "DAY", "more": "DOLLARS MORE"})
    if not found.agrees:
        click.echo("Somebody spends around this gateway: replace the provider's key if nobody should.")


def _object(outcomes: Sequence[Comparison], span: Span, notes: Sequence[str]) -> dict[str, Any]:
    told = [
        {
            "provider": one.provider,
            "error": one.error or None,
            **({"agrees": one.found.agrees, **asdict(one.found)} if one.found else {}),
        }
        for one in outcomes
    ]
    return {"from": span.first_day, "to": span.last_day, "providers": told, "notes": [*notes]}
