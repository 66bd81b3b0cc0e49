"""The outermost frame: every way for a command to end becomes an exit code and a message.

0 good · 1 the thing checked is bad · 2 usage, or cannot decide · 78 bad configuration.
130 and 141 are what a shell reports for Ctrl-C and for a reader of our output that went away.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import click

from macroslow import __version__
from macroslow.cli._group import LazyGroup
from macroslow.cli._table import COMMANDS
from macroslow.cli.console.errors import CANNOT_DECIDE, exit_code, report, report_usage
from macroslow.errors import MacroslowError

INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
_HELP: Final = """The security gateway between AI agents and the services they spend money and trust on."""

_macroslow = click.version_option(__version__, "--version", message="%(prog)s %(version)s")(
    LazyGroup(
        COMMANDS,
        name="macroslow",
        help=_HELP,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
)


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. A command returns its code, or None for 0."""
    try:
        code = _invoke(list(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered goes nowhere, so that closing at exit does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return code


def _invoke(arguments: list[str]) -> int:
    # Not click's own main(): it ends a closed pipe with 1, which here means a verdict.
    try:
        with _macroslow.make_context("macroslow", arguments) as context:
            outcome = _macroslow.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, EOFError, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        report_usage(error)
        return CANNOT_DECIDE
    except MacroslowError as error:
        report(error)
        return exit_code(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        click.echo(f"macroslow: {error}", err=True)
        return CANNOT_DECIDE
    except Exception:  # noqa: BLE001 (the outermost handler: a defect must not look like a verdict)
        traceback.print_exc()
        return CANNOT_DECIDE
    return outcome if isinstance(outcome, int) else 0
