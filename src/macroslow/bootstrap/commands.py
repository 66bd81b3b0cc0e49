"""The operator's verbs as commands call them: by the running server, or on the state itself."""

import asyncio
import time
from collections.abc import Mapping

from macroslow import control
from macroslow.adapters import statefolder
from macroslow.bootstrap.machine import clock
from macroslow.bootstrap.state.waiting import LOOK_EVERY_S, START_WAIT_S, Deadline
from macroslow.errors import MacroslowError, StateLockedError
from macroslow.ports import Progress, unheard
from macroslow.settings import Settings


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
    return settings.keys.terms(clock.now_ns())


def administer(
    settings: Settings, verb: str, arguments: Mapping[str, object], progress: Progress = unheard
) -> object:
    """Perform one verb: by the running server if there is one, else on the state folder itself.

    A server that is about to serve, or to end, is waited for. NoStateError where there is no state, and the
    verb begins none or nothing is configured.
    """
    _require_state(settings, verb)
    path = statefolder.prepare(settings.state_folder).control_socket
    waiting = Deadline.after(START_WAIT_S)
    while True:
        if control.is_alive(path):
            return control.call(path, verb, arguments, progress)
        try:
            return asyncio.run(_perform(settings, verb, arguments, progress))
        except StateLockedError as error:
            if waiting.is_over:
                raise StateLockedError(
                    f"{error.detail}, which takes no commands yet", fix="wait until it serves, or see its log"
                ) from None
        time.sleep(LOOK_EVERY_S)


def _require_state(settings: Settings, verb: str) -> None:
    if statefolder.StateFolder(settings.state_folder).has_keys:
        return
    from macroslow.services.administration import VERBS  # here: most calls find state, and a server

    if not VERBS[verb].begins or not settings.source.describes_gateway:  # a key of no gateway opens nothing
        raise NoStateError(
            f"there is no gateway's state in {settings.state_folder}",
            fix="go where macroslow.toml is, or name it with --config; `macroslow init` begins a new one",
        )


async def _perform(
    settings: Settings, verb: str, arguments: Mapping[str, object], progress: Progress
) -> object:
    """Open as much of a gateway as the verb needs. Each is imported here: most calls find a server."""
    from macroslow.services.administration import VERBS, Needs

    reading = not VERBS[verb].changes
    match VERBS[verb].needs:
        case Needs.CORE:
            from macroslow.bootstrap.state.core import open_core

            async with open_core(settings, reading=reading) as core:
                return await core.administration().perform(verb, arguments, progress=progress)
        case Needs.ISSUERS:
            from macroslow.bootstrap.outside.issuers import issuers_of
            from macroslow.bootstrap.state.core import open_core

            async with open_core(settings, reading=reading) as core, issuers_of(core) as tokens:
                return await core.administration(tokens=tokens).perform(verb, arguments, progress=progress)
        case Needs.GATEWAY:
            from macroslow.bootstrap.gateway import open_gateway

            async with open_gateway(settings, waits=False) as gateway:
                return await gateway.administration.perform(verb, arguments, progress=progress)
