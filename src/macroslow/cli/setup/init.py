"""`macroslow init`: a folder that a server can start from. It never overwrites a file."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from macroslow.adapters.dotenv import written
from macroslow.authn.api_keys import KEY_PREFIX
from macroslow.bootstrap.commands import first_key
from macroslow.cli._files import print_files, template, write_new
from macroslow.cli.console.ask import STDIN, at_terminal, from_stdin, without_echo
from macroslow.cli.console.output import emit, json_option
from macroslow.errors import ConfigurationError
from macroslow.secretstore.placeholder import fault
from macroslow.secretstore.reference import FORMS, parse_reference
from macroslow.secretstore.secret import Secret
from macroslow.settings import FILE_NAME, load
from macroslow.settings.profiles import NAMES, profile

VARIABLE: Final = "OPENAI_API_KEY"
_IGNORED: Final = (".env", ".macroslow/")


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """Where the provider's key will be found, and the key itself if it is to be written to `.env`."""

    reference: str = f"env:{VARIABLE}"
    secret: Secret | None = None
    found: bool = False


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False), metavar="[DIR]")
@click.option("--profile", "profile_name", type=click.Choice(NAMES), default=NAMES[0], show_default=True)
@click.option(
    "--provider-key",
    metavar="-|REF",
    help=f"- reads the provider's key from stdin; else a reference to it: {FORMS}.",
)
@json_option
def init(folder: Path, profile_name: str, provider_key: str | None, as_json: bool) -> None:
    """Write a configuration, ready to start.

    Makes macroslow.toml, .env, .env.template, .gitignore and .gitattributes in DIR, and asks for
    the provider's key without showing it. What is there already stays as it is.
    """
    key = _provider_key(provider_key, folder / ".env")
    folder.mkdir(parents=True, exist_ok=True)
    texts = _texts(profile_name, key)
    wrote = [name for name, text in texts.items() if write_new(folder / name, text)]
    kept = [name for name in texts if name not in wrote]
    if not as_json:
        print_files(folder, wrote, kept)
    unmet = profile(profile_name).unmet if FILE_NAME in wrote else ()
    client = _first_client(folder) if FILE_NAME in wrote and not unmet else {}
    notes = [*_notes(folder, key, kept, unmet)]
    if as_json:
        emit({"folder": folder, "wrote": wrote, "kept": kept, "client": client, "notes": notes})
    else:
        _print_next(notes, client)


def _print_next(notes: list[str], client: Mapping[str, str]) -> None:
    for note in notes:
        click.echo(f"\n{note}")
    if client:
        click.echo("\nFor your programs; the key is not shown again:")
    for name, value in client.items():
        click.echo(f"  export {name}={value}")


def _first_client(folder: Path) -> dict[str, str]:
    """Make the gateway's own keys and the first client key; return what a program's environment needs."""
    settings = load(folder / FILE_NAME, os.environ)
    made = first_key(settings)
    return {"OPENAI_BASE_URL": f"{settings.server.url}/v1", VARIABLE: str(made["key"])}


def _provider_key(option: str | None, dotenv: Path) -> ProviderKey:
    """Settle where the key comes from before anything is written."""
    if option == STDIN:
        if dotenv.exists():
            raise click.UsageError(
                f"{dotenv} is there already and is not changed: write {VARIABLE}=… into it."
            )
        return ProviderKey(secret=_not_a_client_key(from_stdin()), found=True)
    if option is not None:
        try:
            return ProviderKey(reference=str(parse_reference(option)), found=True)
        except ConfigurationError:
            raise click.UsageError(
                f"--provider-key is - or a reference ({FORMS}). A key itself is not taken from the command "
                "line, where other programs and the shell's history see it; consider it known."
            ) from None
    inherited = os.environ.get(VARIABLE, "")
    if inherited and not inherited.startswith(KEY_PREFIX) and not fault(inherited):
        return ProviderKey(found=True)
    if dotenv.exists() or not at_terminal():
        return ProviderKey(found=dotenv.exists())
    secret = without_echo("OpenAI API key (not shown; Enter to add it later): ")
    return ProviderKey(secret=secret and _not_a_client_key(secret), found=secret is not None)


def _not_a_client_key(secret: Secret) -> Secret:
    if secret.reveal().startswith(KEY_PREFIX):
        raise click.UsageError("That is a client key of a gateway, not a provider's key.")
    return secret


def _texts(profile_name: str, key: ProviderKey) -> dict[str, str]:
    """The files by name."""
    configuration = template("macroslow.toml").replace("@PROFILE@", profile_name)
    assignment = written(VARIABLE, key.secret or Secret(""))
    return {
        FILE_NAME: configuration.replace("@KEY@", key.reference),
        ".env": template("env").replace(f"{VARIABLE}=@SECRET@", assignment),
        ".env.template": template("env.template"),
        ".gitignore": template("gitignore"),
        ".gitattributes": template("gitattributes"),
    }


def _notes(folder: Path, key: ProviderKey, kept: list[str], unmet: tuple[str, ...]) -> Iterator[str]:
    """What the person has to know or do before a start."""
    if ".gitignore" in kept and (missing := _not_ignored(folder / ".gitignore")):
        yield f"Secrets are not ignored by Git yet. Add to {folder / '.gitignore'}: {'  '.join(missing)}"
    if unmet:
        yield (
            f"This profile cannot start in this version, which does not do: {', '.join(unmet)}. "
            f'To start today, write profile = "dunes" in {folder / FILE_NAME}.'
        )
    if not key.found:
        yield f"The provider's key is missing: write {VARIABLE}=… into {folder / '.env'}"
    if FILE_NAME in kept or unmet:
        yield "A key for your programs: macroslow keys create NAME --export"
    yield f"Next: {'' if folder == Path() else f'cd {folder} && '}macroslow config check && macroslow serve"


def _not_ignored(gitignore: Path) -> list[str]:
    lines = {line.strip().strip("/") for line in gitignore.read_text(encoding="utf-8").splitlines()}
    return [name for name in _IGNORED if name.strip("/") not in lines]
