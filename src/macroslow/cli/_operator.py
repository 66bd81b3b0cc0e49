"""Commands that ask the gateway for one of the operator's verbs, running or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from macroslow.bootstrap.commands import administer
from macroslow.cli._configured import settings_of


def ask(config_file: Path | None, verb: str, **arguments: object) -> Mapping[str, Any]:
    """Perform a verb by the running server, or on the state folder if none runs."""
    outcome = administer(settings_of(config_file), verb, arguments)
    if not isinstance(outcome, Mapping):
        raise TypeError(f"the verb {verb} returned no object")
    return outcome
