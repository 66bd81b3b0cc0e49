"""`macroslow run`: a document on this machine, the same way as POST /execute, as the local operator."""

import base64
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from macroslow.bootstrap.commands import administer_gateway
from macroslow.cli._columns import usd
from macroslow.cli._configured import config_option, settings_of
from macroslow.cli._errors import CHECKED_IS_BAD
from macroslow.cli._output import emit, json_option
from macroslow.errors import MissingRightError
from macroslow.settings import FILE_NAME, Settings


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
    raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    arguments = {
        "document": base64.b64encode(raw).decode(),
        "inputs": None if inputs_file is None else _inputs(inputs_file),
        "allow": [*allow],
    }
    if config_file is None and not Path(FILE_NAME).is_file():
        with tempfile.TemporaryDirectory(prefix="macroslow-run-") as folder:
            settings = settings_of(None, {"state.folder": folder, "documents.signatures": "optional"})
            answer = _run(settings, arguments)
    else:
        answer = _run(settings_of(config_file), arguments)
    if as_json:
        emit(answer)
    else:
        _show(answer)
    return 0 if answer["status"] == "success" else CHECKED_IS_BAD


def _run(settings: Settings, arguments: Mapping[str, object]) -> Mapping[str, Any]:
    try:
        return administer_gateway(settings, "run", arguments)
    except MissingRightError as error:
        granted = error.uri in arguments["allow"] or error.uri.startswith("gateway://")  # type: ignore[operator]
        fix = error.fix if granted or "caller" not in error.detail else f"allow it: --allow {error.uri}"
        raise MissingRightError(error.detail, uri=error.uri, fix=fix) from None


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
        click.echo(output["stdout"], nl=False)
        click.echo(output["stderr"], nl=False, err=True)
    if answer["result"] is not None:
        click.echo(orjson.dumps(answer["result"], option=orjson.OPT_INDENT_2))
    for warning in answer["warnings"]:
        click.echo(f"warning: {warning['message']}", err=True)
    if answer["error"]:
        click.echo(f"failed: {answer['error']}", err=True)
    used, box = answer["usage"], answer["sandbox"]
    click.echo(
        f"{answer['status']} in {answer['execution_time']}, {usd(used['usd_micros'])},"
        f" sandbox {box['backend']} ({box['level']})",
        err=True,
    )
