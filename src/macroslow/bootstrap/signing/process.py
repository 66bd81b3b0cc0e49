"""The signer as an assembly gets it: a process of its own, another user's, or in this one if soon over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from macroslow.adapters.keyfiles import ensure_sealing
from macroslow.adapters.signer import LocalSigner, SignerProcess
from macroslow.adapters.statefolder import StateFolder
from macroslow.bootstrap.machine import entropy
from macroslow.bootstrap.signing.main import open_engine
from macroslow.bootstrap.signing.places import keys_place, marks_folder
from macroslow.settings import Settings

AnySigner = LocalSigner | SignerProcess


def start_signer(settings: Settings) -> SignerProcess | None:
    """Start the signer's process, ready once `open_signer` returned; None where another user's is used."""
    if settings.log.signer is not None:
        return None
    return SignerProcess.start("macroslow.bootstrap.signing.main")


@asynccontextmanager
async def open_signer(
    settings: Settings, folder: StateFolder, process: SignerProcess | None
) -> AsyncIterator[AnySigner]:
    """Have the keys that sign opened, and made if there are none: by another user, by `process`, or here.

    ConfigurationError if they do not serve. The caller holds the folder, and closes the process.
    """
    request: dict[str, object] = {
        "state": str(folder.path.absolute()),
        "origin": settings.log.origin,
        "new_origin": settings.log_origin,
    }
    if settings.log.signer is not None:
        await asyncio.to_thread(ensure_sealing, folder.path, entropy)
        other = await SignerProcess.connect(Path(settings.log.signer.removeprefix("unix:")))
        try:
            await other.open(request)
            yield other
        finally:
            await other.close()
        return
    marks, place = marks_folder(settings, folder), keys_place(settings, folder)
    request |= {"marks": None if marks is None else str(marks)}
    request |= {"keys": None if place.base is None else str(place.base), "binding": place.binding}
    if process is None:
        engine, note = await asyncio.to_thread(open_engine, request)
        yield LocalSigner(engine, note)
    else:
        await process.open(request)
        yield process
