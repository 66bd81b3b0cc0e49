"""The signer as an assembly gets it: a process of its own, or in this one for what is soon over."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from macroslow.adapters.signer import LocalSigner, SignerProcess
from macroslow.adapters.statefolder import StateFolder
from macroslow.bootstrap.signer_main import open_engine
from macroslow.errors import ConfigurationError
from macroslow.settings import Settings

OFF: Final = "off"
AnySigner = LocalSigner | SignerProcess


def start_signer() -> SignerProcess:
    """Start the signer's process; it is ready once `open_signer` returned."""
    return SignerProcess.start("macroslow.bootstrap.signer_main")


@asynccontextmanager
async def open_signer(
    settings: Settings, folder: StateFolder, process: SignerProcess | None
) -> AsyncIterator[AnySigner]:
    """Have the keys that sign opened, and made if there are none: by `process`, else here.

    ConfigurationError if they do not serve. The caller holds the folder, and closes the process.
    """
    marks = _marks(settings, folder)
    request = {
        "state": str(folder.path.absolute()),
        "origin": settings.log.origin,
        "new_origin": settings.log_origin,
        "marks": None if marks is None else str(marks),
    }
    if process is None:
        engine, note = await asyncio.to_thread(open_engine, request)
        yield LocalSigner(engine, note)
    else:
        await process.open(request)
        yield process


def _marks(settings: Settings, folder: StateFolder) -> Path | None:
    """The folder of high-water marks; None where none are to be kept."""
    named = settings.log.high_water
    if named == OFF:
        return None
    if named is not None:
        chosen = (settings.source.folder / named).absolute()
    else:
        try:
            base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        except RuntimeError:  # nobody's home
            return None
        chosen = Path(base).absolute() / "macroslow" / "high-water"
    if chosen.resolve().is_relative_to(folder.path.resolve()):
        raise ConfigurationError(
            f"the log's high-water mark would lie in the state folder {folder.path}, and be restored with it",
            fix="name a folder elsewhere: [log] high_water",
        )
    return chosen
