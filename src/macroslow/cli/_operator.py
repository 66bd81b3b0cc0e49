"""Commands that ask the gateway for one of the operator's verbs, running or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from macroslow.bootstrap.commands import administer
from macroslow.cli._configured import settings_of
from macroslow.settings import Settings


def ask(config_file: Path | None, verb: str, **arguments: object) -> Mapping[str, Any]:
    """Perform a verb by the running server, or on the state folder if none runs."""
    return ask_with(settings_of(config_file), verb, **arguments)


def ask_with(settings: Settings, verb: str, **arguments: object) -> Mapping[str, Any]:
    """The same where the settings are read already."""
    outcome = administer(settings, verb, arguments)
    if not isinstance(outcome, Mapping):
        raise TypeError(f"the verb {verb} returned no object")
    return outcome
