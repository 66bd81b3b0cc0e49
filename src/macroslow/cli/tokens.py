"""`macroslow tokens`: what a text or a request has in tokens and costs, before it is sent. Offline."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click

from macroslow.adapters.packaged import counters
from macroslow.bootstrap.models.catalogue import complete_catalogue
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._files import read_whole
from macroslow.cli.console.columns import usd
from macroslow.cli.console.output import emit, json_option
from macroslow.errors import BadRequestError, NotFoundError
from macroslow.inference import ALL_OPERATIONS
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.count import Counted, count_prompt
from macroslow.metering.models import Model
from macroslow.metering.prices import TokenCounts
from macroslow.metering.prompts import Prompt
from macroslow.services.calls.unserved import nearest

TEXT: Final = "text"
MAX_FILE_BYTES: Final = 64 * 1024 * 1024  # more than any window takes; it is read as a whole
OPERATIONS: Final = {operation.name: operation for operation in ALL_OPERATIONS}


@click.group()
def tokens() -> None:
    """Count tokens, offline."""


@dataclass(frozen=True, slots=True)
class Count:
    """What is found. Money: the count at the price of fresh input, and what is held for the most of it."""

    model: str
    tokens: int
    exact: bool
    most_tokens: int
    input_usd_micros: int
    most_input_usd_micros: int
    max_input_tokens: int
    share: float
    verified: bool
    retires: str


@tokens.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--model", "model_name", metavar="NAME", help="Count as this model; else as a request's own.")
@click.option(
    "--operation",
    type=click.Choice([TEXT, *OPERATIONS]),
    default=TEXT,
    show_default=True,
    help="What FILE is: a text, or the JSON body of a request.",
)
@config_option
@json_option
def count(
    file: Path, model_name: str | None, operation: str, *, config_file: Path | None, as_json: bool
) -> None:
    """Show the tokens of FILE ("-": standard input) as a model counts them, and what they cost as input.

    Without a configuration the models are those that come with the program. An estimate is what
    to expect; money is held for the largest number that the provider could report.
    """
    prompt, named, member = _prompt(read_whole(file, MAX_FILE_BYTES), operation)
    wanted = model_name or named
    if not wanted:
        raise click.UsageError("name a model with --model")
    model = _model(complete_catalogue(settings_of(config_file)), wanted)
    found = _count(wanted, model, count_prompt(prompt, model, counters(), member))
    if as_json:
        emit(asdict(found))
    else:
        _print(found)


def _prompt(content: bytes, operation: str) -> tuple[Prompt, str, str]:
    """What is counted, the model that it names if it is a request, and the member that it is in."""
    if operation != TEXT:
        request = OPERATIONS[operation].parse(content)
        return request.prompt, request.model, request.prompt_member
    try:
        return Prompt((content.decode(),), 0), "", TEXT
    except UnicodeDecodeError as error:
        raise BadRequestError(
            f"the text is not UTF-8 at byte {error.start}", fix="save it as UTF-8"
        ) from error


def _model(catalogue: Catalogue, name: str) -> Model:
    model = catalogue.find(name)
    if model is None:
        meant = nearest(name, [known for known, _ in catalogue.names()])
        fix = "give its prices in the configuration, as [models]"
        raise NotFoundError(
            f"there is no model {name!r} with a price",
            fix=f'did you mean "{meant}"? else {fix}' if meant else fix,
        )
    return model


def _count(name: str, model: Model, counted: Counted) -> Count:
    fresh = TokenCounts(counted.tokens, 0)
    return Count(
        model=name,
        tokens=counted.tokens,
        exact=model.counting == "exact",
        most_tokens=counted.most_tokens,
        input_usd_micros=model.price(fresh),
        most_input_usd_micros=model.estimate(counted.most_tokens, 0),
        max_input_tokens=model.max_input_tokens,
        share=round(counted.tokens / model.max_input_tokens, 4),
        verified=model.verified,
        retires=model.retires,
    )


def _print(found: Count) -> None:
    kind = "exact" if found.exact else "an estimate"
    click.echo(f"{found.tokens:,} tokens with {found.model} ({kind}; at most {found.most_tokens:,})")
    click.echo(f"{usd(found.input_usd_micros)} as input; {usd(found.most_input_usd_micros)} is held for it")
    click.echo(f"{found.share:.2%} of the {found.max_input_tokens:,} tokens that one request may bring")
    if not found.verified:
        click.echo("its prices were found in one place only: check them with your provider")
    if found.retires:
        click.echo(f"the provider stops serving it on {found.retires}")
