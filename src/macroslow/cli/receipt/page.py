"""`macroslow receipt page`: the page that checks receipts offline in a browser, as a file to hand on."""

import hashlib
from importlib.resources import files
from pathlib import Path

import click

from macroslow.cli._files import write_new
from macroslow.cli.console.output import emit, json_option


@click.command()
@click.argument(
    "file", metavar="[FILE]", default="verify.html", type=click.Path(dir_okay=False, path_type=Path)
)
@json_option
def page(file: Path, *, as_json: bool) -> None:
    """Write the page that checks receipts in a browser to FILE (verify.html).

    It is one file that needs no network and no installation. Its SHA-256 is printed, for whoever gets the
    page from somebody else.
    """
    content = files("macroslow").joinpath("verifier", "verify.html").read_bytes()
    if not write_new(file, content.decode()):
        raise click.UsageError(f"{file} is there already and is not changed: name another file.")
    digest = hashlib.sha256(content).hexdigest()
    if as_json:
        emit({"file": file, "sha256": digest})
    else:
        click.echo(f"wrote {file}")
        click.echo(f"SHA-256 {digest}")
