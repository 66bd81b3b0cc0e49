"""`macroslow serve`: the gateway."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from macroslow.bootstrap.edges.stdio import claim_pipes, serve_stdio
from macroslow.cli._configured import KEY_VARIABLE, config_option, require_configured, settings_of
from macroslow.cli.console.logging import log_to_stderr
from macroslow.cli.console.output import json_option
from macroslow.control import RemoteError
from macroslow.errors import CredentialError
from macroslow.settings import Settings
from macroslow.stdio.relay import Relay


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 chooses one.")
@click.option(
    "--conformance",
    is_flag=True,
    help="Serve what the MCP conformance suites call: on loopback, without configuration, keeping nothing.",
)
@click.option(
    "--stdio",
    is_flag=True,
    help="Serve one MCP client on stdin and stdout, by the gateway of this state or one of its own.",
)
@config_option
@json_option
def serve(
    listen: str | None, config_file: Path | None, *, conformance: bool, stdio: bool, as_json: bool
) -> None:
    """Serve until Ctrl-C or SIGTERM; running requests may end first.

    Prints one line when it is ready. With --stdio it ends with its client, who is the holder of the key in
    MACROSLOW_API_KEY, or this machine's own user.
    """
    if stdio:
        if listen is not None or conformance or as_json:
            raise click.UsageError("--stdio listens nowhere, and says nothing of its own")
        relay = claim_pipes()  # before anything could print
        settings = settings_of(config_file)
        require_configured(settings.source.describes_gateway)
        log_to_stderr(settings.server.log_level, settings.server.log_format)
        _serve_holder(settings, relay, os.environ.pop(KEY_VARIABLE, None))
        return

    from macroslow.cli._serving import serve_clients, serve_suites  # here: all of the gateway is behind it

    def load(given: Mapping[str, object]) -> Settings:
        return settings_of(config_file, {"server.listen": listen, **given})

    (serve_suites if conformance else serve_clients)(load, as_json=as_json)


def _serve_holder(settings: Settings, relay: Relay, key: str | None) -> None:
    """CredentialError that names the variable for a key that is none."""
    if key == "":
        raise CredentialError(
            f"{KEY_VARIABLE} is empty, which is what a client makes of an unset ${{…}}",
            fix="set it to a client key, or remove it to act as this machine's own user",
        )
    try:
        serve_stdio(settings, relay, key)
    except RemoteError as error:
        if error.remote_code != CredentialError.code:
            raise
        raise CredentialError(f"{error.detail}: {KEY_VARIABLE}", fix=error.fix) from None
