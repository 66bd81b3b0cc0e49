"""`macroslow run`: a document on this machine, the same way as POST /execute, as the local operator."""

import base64
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._operator import ask_with
from macroslow.cli.console.columns import usd
from macroslow.cli.console.errors import CHECKED_IS_BAD
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.terminal import harmless
from macroslow.cli.documents._reading import read_document
from macroslow.settings import FILE_NAME


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--inputs",
    "inputs_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON object.",
)
@click.option(
    "--allow", multiple=True, metavar="URI", help="What it may use, such as api://openai. Repeatable."
)
@config_option
@json_option
def run(
    file: Path, inputs_file: Path | None, allow: tuple[str, ...], *, config_file: Path | None, as_json: bool
) -> int:
    """Run the MAML document FILE and show what it did.

    With a configuration: by the running server, or on its state. Without one: on temporary state
    that is gone afterwards, without providers, unsigned documents allowed. A document gets no
    outside right that --allow does not name. Exit code 1 if the document fails.
    """
    asked = {
        "document": base64.b64encode(read_document(file)).decode(),
        "inputs": None if inputs_file is None else _inputs(inputs_file),
        "allow": [*allow],
    }
    if config_file is None and not Path(FILE_NAME).is_file():
        with tempfile.TemporaryDirectory(prefix="macroslow-run-") as folder:
            settings = settings_of(
                None,
                # What is signed is gone with the folder: nothing outside it is to remember that.
                {"state.folder": folder, "documents.signatures": "optional", "log.high_water": "off"},
            )
            answer = ask_with(settings, "run", **asked)
    else:
        answer = ask_with(settings_of(config_file), "run", **asked)
    if as_json:
        emit(answer)
    else:
        _show(answer)
    return 0 if answer["status"] == "success" else CHECKED_IS_BAD


def _inputs(path: Path) -> Mapping[str, object]:
    try:
        value = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise click.UsageError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError(f"{path} is not a JSON object.")
    return value


def _show(answer: Mapping[str, Any]) -> None:
    for output in answer["outputs"]:
        click.echo(harmless(output["stdout"]), nl=False)
        click.echo(harmless(output["stderr"], err=True), nl=False, err=True)
    if answer["result"] is not None:
        click.echo(harmless(orjson.dumps(answer["result"], option=orjson.OPT_INDENT_2).decode()))
    for warning in answer["warnings"]:
        click.echo(harmless(f"warning: {warning['message']}", err=True), err=True)
    if answer["error"]:
        click.echo(harmless(f"failed: {answer['error']}", err=True), err=True)
    used, box = answer["usage"], answer["sandbox"]
    click.echo(
        f"{answer['status']} in {answer['execution_time']}, {usd(used['usd_micros'])},"
        f" sandbox {box['backend']} ({box['level']})",
        err=True,
    )
