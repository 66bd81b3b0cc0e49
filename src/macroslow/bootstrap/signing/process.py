"""The signer as an assembly gets it: a process of its own, another user's, or in this one if soon over."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from macroslow.adapters.keyfiles import (
    INSIDE,
    check_without_signer,
    ensure_sealing,
    lies_inside,
    signer_folder,
)
from macroslow.adapters.signer import LocalSigner, SignerProcess
from macroslow.adapters.statefolder import StateFolder
from macroslow.bootstrap.machine import entropy
from macroslow.bootstrap.signing.main import open_engine
from macroslow.bootstrap.signing.places import keys_place, marks_folder, signer_socket
from macroslow.settings import Settings

AnySigner = LocalSigner | SignerProcess
log: Final = logging.getLogger("macroslow.server")


async def start_signer(settings: Settings, *, waits: bool) -> SignerProcess:
    """Start the signer's process, or go to another user's, ready once `open_signer` returned.

    Who `waits` gives another user's time to start. ConfigurationError if it cannot be used.
    """
    if settings.log.signer is None:
        return SignerProcess.start("macroslow.bootstrap.signing.main")
    check_without_signer(settings.state_folder)  # at once: the signer may be long in coming
    return await SignerProcess.connect(signer_socket(settings.log.signer), waits=waits)


@asynccontextmanager
async def open_signer(
    settings: Settings, folder: StateFolder, process: SignerProcess | None, *, reading: bool
) -> AsyncIterator[AnySigner]:
    """Have the keys that sign opened, and made if there are none: by `process`, by another user, or here.

    ConfigurationError if they do not serve. The caller holds the folder, and closes the process. Who is only
    `reading` moves no keys to where they belong.
    """
    request: dict[str, object] = {
        "state": str(folder.path.absolute()),
        "origin": settings.log.origin,
        "new_origin": settings.log_origin,
    }
    async with AsyncExitStack() as stack:
        if settings.log.signer is not None:
            await asyncio.to_thread(ensure_sealing, folder.path, entropy)
            if process is None:
                process = await SignerProcess.connect(signer_socket(settings.log.signer))
                stack.push_async_callback(process.close)
        else:
            request |= _places(settings, folder, reading=reading)
        inside = folder.has_keys and lies_inside(folder.path)
        if process is None:
            engine, note = await asyncio.to_thread(open_engine, request)
            signer: AnySigner = LocalSigner(engine, note)
        else:
            await process.open(request)
            signer = process
        if inside and not lies_inside(folder.path):
            log.warning("moved the keys that sign to %s", signer_folder(folder.path))
        yield signer


def _places(settings: Settings, folder: StateFolder, *, reading: bool) -> dict[str, object]:
    """Where marks and keys belong, as `open_engine` is asked."""
    marks, place = marks_folder(settings, folder), keys_place(settings, folder)
    if reading and lies_inside(folder.path):
        place = INSIDE
    return {
        "marks": None if marks is None else str(marks),
        "keys": None if place.base is None else str(place.base),
        "binding": place.binding,
    }
