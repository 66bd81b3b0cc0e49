"""Keys that sign are kept from the process that serves, where they lie outside of all that it works in."""

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

from macroslow.adapters import keyfiles, sandbox
from macroslow.adapters.statefolder import StateFolder
from macroslow.bootstrap.signing.places import keys_place, marks_folder
from macroslow.bootstrap.upstreams.boxes import box_profiles
from macroslow.errors import ConfigurationError
from macroslow.secretstore.reference import Scheme
from macroslow.settings import FILE_NAME, Settings
from macroslow.workflow.sandbox import Sandbox


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
        base = keyfiles.look(folder.path, keys_place(settings, folder))
        return _said(_inside(folder, base) or _hindrance(settings, _hidden(settings, folder, base)))
    except (ConfigurationError, OSError):
        return ""  # no start comes so far: see `start_problems`


def _confine(settings: Settings, folder: StateFolder, base: Path) -> str:
    hidden = _hidden(settings, folder, base)
    why = _inside(folder, base) or _hindrance(settings, hidden)
    return why or sandbox.confine(hidden, [*_needed(settings)])


def _hindrance(settings: Settings, hidden: list[Path]) -> str:
    """Why `hidden` cannot be denied, with what leads to the folder that is in the way."""
    if why := sandbox.hindrance(hidden, []):
        return why
    for needed, use in _needed(settings).items():
        if why := sandbox.hindrance(hidden, [needed]):
            return f"{why}; that is {use} (fix: [log] keys = a folder neither inside nor around it)"
    return ""


def _inside(folder: StateFolder, base: Path) -> str:
    if not base.resolve().is_relative_to(folder.path.resolve()):
        return ""
    return "they lie in the state folder (fix: [log] keys = a folder outside of it)"


def _said(why: str) -> str:
    return (
        f"nothing keeps the signing keys from the serving process, which could read them: {why}"
        if why
        else ""
    )


def _hidden(settings: Settings, folder: StateFolder, base: Path) -> list[Path]:
    """The keys of this gateway and its neighbours, and the marks unless they lie where it works."""
    marks = marks_folder(settings, folder)
    if marks is None or sandbox.hindrance([marks], [*_needed(settings)]):
        return [base]
    return [base, marks]


def _needed(settings: Settings) -> dict[Path, str]:
    """Where this process makes files, or reads such as may be replaced meanwhile; and what leads there."""
    near = settings.source.folder
    found = {near: f"the folder of {settings.source.file or FILE_NAME}"}
    found[settings.state_folder] = "the state folder, [state] folder"
    found[Path(tempfile.gettempdir())] = "the folder for temporary files, TMPDIR"
    files: dict[Path, str] = {}
    if (tls := settings.server.tls) is not None:
        files |= {tls.certificate: "server.tls.certificate", tls.key: "server.tls.key"}
    wanted = [one for one in settings.secrets() if one.reference.scheme is Scheme.FILE]
    files |= {Path(one.reference.name): one.setting for one in wanted}
    for file, setting in files.items():
        found.setdefault((near / file).parent, f"the folder of the file that {setting} names")
    return found
