"""Commands that ask the gateway for one of the operator's verbs, running or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from macroslow.bootstrap.commands import administer, administer_gateway
from macroslow.cli._configured import settings_of
from macroslow.settings import Settings


def ask(config_file: Path | None, verb: str, **arguments: object) -> Mapping[str, Any]:
    """Perform a verb by the running server, or on the state folder if none runs."""
    return _object(verb, administer(settings_of(config_file), verb, arguments))


def ask_gateway(settings: Settings, verb: str, **arguments: object) -> Mapping[str, Any]:
    """The same for a verb that needs providers and a sandbox, which are opened if no server runs."""
    return _object(verb, administer_gateway(settings, verb, arguments))


def _object(verb: str, outcome: object) -> Mapping[str, Any]:
    if not isinstance(outcome, Mapping):
        raise TypeError(f"the verb {verb} returned no object")
    return outcome
