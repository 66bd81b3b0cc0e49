"""`macroslow emulator`: a stand-in for the provider, until Ctrl-C or SIGTERM.

It prints one line, its address, when it listens, and ends with exit code 0. Where it cannot listen it
ends with 78, as `macroslow serve` does: the address is configuration, wherever it was given.
"""

import asyncio
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from uvicorn.loops.auto import auto_loop_factory

from macroslow.adapters.dotenv import EnvironmentSource, FileSource
from macroslow.cli.console.output import emit, json_option
from macroslow.emulator import (
    AcceptedKeys,
    Emulator,
    create_emulator,
    parse_faults,
    parse_latency,
    parse_limits,
    running,
)
from macroslow.emulator.faults import HELP
from macroslow.emulator.keys import ADMIN_PREFIXES, ADMIN_TEST_PREFIX, ANY_PREFIX, TEST_PREFIX
from macroslow.errors import ConfigurationError
from macroslow.secretstore.ports import SecretSource
from macroslow.secretstore.reference import Scheme, parse_reference
from macroslow.secretstore.resolve import read

_ADDRESS: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]]+)):(?P<port>\d{1,5})")


class _Parsed(click.ParamType[Any]):
    """An option whose text goes through `parse`; what that refuses is a usage error."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ConfigurationError as error:
            self.fail(f"{error.detail}; {error.fix}" if error.fix else error.detail, param, ctx)


def _address(text: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65_535:
        raise ConfigurationError(
            "an address is HOST:PORT or [IPV6]:PORT", fix="write 127.0.0.1:8001 or [::1]:8001"
        )
    return match["v6"] or match["host"], int(match["port"])


_LIMITS_HELP: Final = {
    "rpm=N, tpm=N": "requests, tokens a minute",
    "itpm=N, otpm=N": "input, output tokens a minute, as Anthropic limits them",
    "rpd=N": "requests a day",
    "algorithm=bucket": "refilled evenly, as OpenAI's refusals compute; the default",
    "algorithm=fixed": "calendar minutes of the provider's clock",
    "algorithm=sliding": "no 60 seconds hold more",
    "algorithm=second": "bucket, and at most rpm/60 requests in any second",
    "charge=used": "a call takes its input and the tokens of its answer; the default",
    "charge=max_tokens": "a call takes its input and the most that it allows",
    "skew_ms=N": "the provider's clock is that far ahead, or behind (-N)",
    "lag_ms=N": "its headers tell the state of that long ago",
    "…;KEY:rpm=N": f"other numbers for one key: {TEST_PREFIX}…, or 8 digits of its SHA-256",
}


class _Command(click.Command):
    """A command whose help ends in what its two small languages know, a line each."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for flag, lines in (("--limits", _LIMITS_HELP), ("--faults", HELP)):
            with formatter.section(f"{flag}, several with commas between"):
                formatter.write_dl(list(lines.items()))
        formatter.write_paragraph()
        formatter.write_text("@N: befalls every Nth request that passes the limits.")


@click.command("emulator", cls=_Command)
@click.option(
    "--listen",
    type=_Parsed("host:port", _address),
    default="127.0.0.1:8100",
    show_default=True,
    help="Address; port 0 picks a free one.",
)
@click.option(
    "--limits",
    type=_Parsed("spec", parse_limits),
    default="rpm=500,tpm=200000",
    show_default=True,
    help="Requests and tokens a minute for each key and model, and how they are enforced: see below. "
    "`none`: no limits.",
)
@click.option(
    "--faults",
    type=_Parsed("spec", parse_faults),
    default="",
    help="What goes wrong, and how often: see below.",
)
@click.option(
    "--latency",
    type=_Parsed("spec", parse_latency),
    default="first_ms=20,per_token_ms=1",
    show_default=True,
    help="Time to the first token, and for each token.",
)
@click.option(
    "--key",
    "references",
    multiple=True,
    metavar="REF",
    help=f"Accept just this key: env:NAME or file:PATH; repeatable.  [default: any key {TEST_PREFIX}…]",
)
@click.option("--any-key", is_flag=True, help=f"Accept any key that begins with {ANY_PREFIX}.")
@click.option(
    "--admin-key",
    "admin_references",
    multiple=True,
    metavar="REF",
    help=f"Accept just this key for reports of usage and costs.  [default: any key {ADMIN_TEST_PREFIX}…]",
)
@json_option
def emulator(
    listen: tuple[str, int],
    references: Sequence[str],
    admin_references: Sequence[str],
    any_key: bool,
    as_json: bool,
    **behaviour: Any,
) -> None:
    """Stand in for the providers' APIs on this machine: no key, no cost, no network.

    It answers chat completions, responses, embeddings, messages, models and reports of usage with real
    shapes, token counts, rate limits and errors. A message `Answer with exactly: TEXT` is answered by
    TEXT, `Answer with N words` by that many, `Call the tool NAME with {…}` by the call. Every answer has
    the header x-macroslow-emulator. GET /emulator/stats tells what it was asked.

    Beside OpenAI's and Anthropic's APIs it has the searches of Unsplash and Pixabay, at the same address
    without /v1.
    """
    if references and any_key:
        raise click.UsageError("--key and --any-key exclude each other.")
    usual = (ANY_PREFIX,) if any_key else (TEST_PREFIX,)
    of_admins = ADMIN_PREFIXES if any_key else (ADMIN_TEST_PREFIX,)
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        keys = runner.run(_accepted("--key", references, usual))
        admin_keys = runner.run(_accepted("--admin-key", admin_references, of_admins))
        served = create_emulator(keys=keys, admin_keys=admin_keys, **behaviour)
        runner.run(_serve(served, *listen, as_json=as_json))


async def _accepted(flag: str, references: Sequence[str], prefixes: tuple[str, ...]) -> AcceptedKeys:
    """The keys behind the references; without any, all with one of the prefixes."""
    if not references:
        return AcceptedKeys(prefixes=prefixes)
    sources: Mapping[Scheme, SecretSource] = {
        Scheme.ENV: EnvironmentSource(os.environ),
        Scheme.FILE: FileSource(Path()),
    }
    keys = []
    for reference in map(parse_reference, references):
        if reference.scheme not in sources:
            raise click.UsageError(f"{flag} takes env:NAME or file:PATH, not {reference.scheme}:.")
        keys.append((await read(reference, sources)).reveal())
    return AcceptedKeys.only(keys)


async def _serve(served: Emulator, host: str, port: int, *, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with running(served, host, port) as base_url:
            if as_json:
                emit({"base_url": base_url, "port": int(base_url.rpartition(":")[2].partition("/")[0])})
            else:
                click.echo(f"emulator on {base_url}")
            await stop.wait()
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}", fix="--listen with another HOST:PORT"
        ) from error
