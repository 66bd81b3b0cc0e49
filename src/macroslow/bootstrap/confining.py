"""Keys that sign are kept from the process that serves, where they lie outside of all that it works in."""

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Final

from macroslow.adapters import keyfiles, sandbox
from macroslow.adapters.statefolder import StateFolder
from macroslow.bootstrap.signing.places import keys_place, marks_folder
from macroslow.bootstrap.upstreams.boxes import box_profiles
from macroslow.errors import ConfigurationError
from macroslow.secretstore.reference import Scheme
from macroslow.settings import Settings
from macroslow.workflow.sandbox import Sandbox

IN_STATE: Final = "they lie in the state folder ([log] keys names another place)"


class Walls:
    """The sandbox of code blocks, and what the serving process denies itself.

    Sandboxes are tried once this process is confined: the trial begins threads, and a sandbox that needs no
    launcher is to be within.
    """

    def __init__(self, settings: Settings) -> None:
        """Start what starts sandboxes; nothing is waited for. ConfigurationError for mounts of programs."""
        self._settings = settings
        self.launcher = _launcher(settings)
        self._choosing: asyncio.Task[Sandbox] | None = None
        self.note = ""
        """Why this process is not confined; empty if it is, or was not to be."""

    async def close_in(self, folder: StateFolder) -> None:
        """Confine this process, and begin to look which sandbox works."""
        self.note = confine(self._settings, folder)
        self._begin()

    async def box(self) -> Sandbox:
        """The strongest sandbox that works."""
        return await self._begin()

    async def close(self) -> None:
        """End the sandbox, and what started it."""
        if self._choosing is not None:
            self._choosing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await self._choosing).close()
        if self.launcher is not None:
            await self.launcher.close()

    def _begin(self) -> "asyncio.Task[Sandbox]":
        if self._choosing is None:
            preferred = self._settings.sandbox.backend
            choosing = sandbox.choose(preferred=preferred, launcher=self.launcher)
            self._choosing = asyncio.create_task(choosing)
        return self._choosing


def _launcher(settings: Settings) -> sandbox.ZygoteLauncher | None:
    """What starts zygotes of level *full*; None where there can be or may be none."""
    profiles = box_profiles(settings)
    if sys.platform != "linux" or settings.sandbox.backend not in {"auto", sandbox.NATIVE}:
        return None
    return sandbox.ZygoteLauncher.open({sandbox.NATIVE: sandbox.profile_of(sandbox.NATIVE), **profiles})


def confine(settings: Settings, folder: StateFolder) -> str:
    """Deny this process the keys that sign, and their marks, for good; why it did not work, in a sentence.

    For a process of the gateway alone, with one thread, once the keys were made. Empty where it worked, or
    where another user has the keys.
    """
    if settings.log.signer is not None:
        return ""
    return _said(_confine(settings, folder, keyfiles.signer_folder(folder.path).parent))


def expected(settings: Settings) -> str:
    """What `confine` would say, as far as can be told before a start; nothing is denied or made."""
    if settings.log.signer is not None:
        return ""
    folder = StateFolder(settings.state_folder)
    try:
        if folder.has_keys:
            base = keyfiles.signer_folder(folder.path).parent
        else:
            base = keys_place(settings, folder).base or folder.path
        return _said(
            _inside(folder, base) or sandbox.hindrance(_hidden(settings, folder, base), _needed(settings))
        )
    except (ConfigurationError, OSError) as error:
        return _said(str(error))


def _confine(settings: Settings, folder: StateFolder, base: Path) -> str:
    inside = _inside(folder, base)
    return inside or sandbox.confine(_hidden(settings, folder, base), _needed(settings))


def _inside(folder: StateFolder, base: Path) -> str:
    return IN_STATE if base.resolve().is_relative_to(folder.path.resolve()) else ""


def _said(why: str) -> str:
    return f"nothing keeps the keys that sign from the serving process: {why}" if why else ""


def _hidden(settings: Settings, folder: StateFolder, base: Path) -> list[Path]:
    """The keys of this gateway and its neighbours, and the marks unless they lie where it works."""
    marks = marks_folder(settings, folder)
    if marks is None or sandbox.hindrance([marks], _needed(settings)):
        return [base]
    return [base, marks]


def _needed(settings: Settings) -> list[Path]:
    """Where this process makes files, or reads such as may be replaced while it runs."""
    tls = settings.server.tls
    files = [] if tls is None else [tls.certificate, tls.key]
    references = [wanted.reference for wanted in settings.secrets()]
    files += [Path(one.name) for one in references if one.scheme is Scheme.FILE]
    near = [settings.source.folder, settings.state_folder, Path(tempfile.gettempdir())]
    return [*near, *((settings.source.folder / file).parent for file in files)]
