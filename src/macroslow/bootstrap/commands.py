"""The operator's verbs as commands call them: by the running server, or on the state itself."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any, Final

from macroslow import control
from macroslow.adapters import statefolder
from macroslow.bootstrap.machine import clock
from macroslow.bootstrap.priced import micros
from macroslow.errors import MacroslowError, StateLockedError
from macroslow.ports import DAY_NS, NS_PER_S
from macroslow.settings import Settings

MAKES_STATE: Final = frozenset({"keys.create", "keys.adopt", "signers.trust", "jwt.mint", "run"})
CHECKS_TOKENS: Final = "jwt.explain"
START_WAIT_S: Final = 30.0  # how long a server that holds the folder may take until it takes commands
LOOK_EVERY_S: Final = 0.1

Alone = Callable[[Settings, str, Mapping[str, object]], Coroutine[Any, Any, object]]
"""Performs one verb on the state folder itself."""


class NoStateError(MacroslowError):
    """A command asked about state that is not there: it cannot decide."""

    code = "no-state"
    title = "No state"


def first_key(settings: Settings) -> Mapping[str, object]:
    """Make the first client key of a new gateway, as [keys] says; return it as `keys.create` does."""
    arguments = {"principal": "me", "note": "made by macroslow init", **key_defaults(settings)}
    made = administer(settings, "keys.create", arguments)
    assert isinstance(made, Mapping)  # noqa: S101 (the verb's own shape)
    return made


def key_defaults(settings: Settings) -> dict[str, object]:
    """What [keys] says of every new key, as arguments of `keys.create`."""
    wanted = settings.keys
    days = wanted.expires_days
    said = {
        "budget_usd_micros": _micros(wanted.budget_usd),
        "day_usd_micros": _micros(wanted.budget_day_usd),
        "month_usd_micros": _micros(wanted.budget_month_usd),
        "requests_per_minute": wanted.requests_per_minute,
        "scopes": None if wanted.scopes is None else [*wanted.scopes],
        "expires_ns": None if days is None else clock.now_ns() + days * DAY_NS,
    }
    return {name: value for name, value in said.items() if value is not None}


def _micros(usd: Decimal | None) -> int | None:
    return None if usd is None else micros(usd)


def administer(settings: Settings, verb: str, arguments: Mapping[str, object]) -> object:
    """Perform one verb: by the running server if there is one, else on the state folder itself.

    Only the verbs that begin something make a state folder. Any other would answer from an empty one
    that it made on the spot: a log that is found sound because it is new proves nothing.
    """
    return _administer(settings, verb, arguments, _perform)


def administer_gateway(settings: Settings, verb: str, arguments: Mapping[str, object]) -> object:
    """As `administer`, for verbs that need providers and a sandbox: those of a server, or our own."""
    return _administer(settings, verb, arguments, _perform_whole)


def _administer(settings: Settings, verb: str, arguments: Mapping[str, object], alone: Alone) -> object:
    """By the running server, or `alone`. One that is about to serve, or to end, is waited for."""
    _require_state(settings, verb)
    path = statefolder.prepare(settings.state_folder).control_socket
    ends_ns = clock.monotonic_ns() + int(START_WAIT_S * NS_PER_S)
    while True:
        if control.is_alive(path):
            return control.call(path, verb, arguments)
        try:
            return asyncio.run(alone(settings, verb, arguments))
        except StateLockedError as error:
            if clock.monotonic_ns() >= ends_ns:
                raise StateLockedError(
                    f"{error.detail}, which takes no commands yet", fix="wait until it serves, or see its log"
                ) from None
        time.sleep(LOOK_EVERY_S)


def _require_state(settings: Settings, verb: str) -> None:
    if verb not in MAKES_STATE and not statefolder.StateFolder(settings.state_folder).has_keys:
        raise NoStateError(
            f"there is no gateway's state in {settings.state_folder}",
            fix="go where macroslow.toml is, or name it with --config; `macroslow init` begins a new one",
        )


async def _perform(settings: Settings, verb: str, arguments: Mapping[str, object]) -> object:
    from macroslow.bootstrap.core import open_core  # here: most calls find a server and need no core

    async with open_core(settings) as core:
        if verb != CHECKS_TOKENS:
            return await core.administration().perform(verb, arguments)
        from macroslow.bootstrap.issuers import issuers_of  # here: it brings an HTTP client

        async with issuers_of(core) as tokens:
            return await core.administration(tokens=tokens).perform(verb, arguments)


async def _perform_whole(settings: Settings, verb: str, arguments: Mapping[str, object]) -> object:
    from macroslow.bootstrap.gateway import open_gateway  # here: for the same reason

    async with open_gateway(settings) as gateway:
        return await gateway.administration.perform(verb, arguments)
