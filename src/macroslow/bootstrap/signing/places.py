"""Where keys that sign and high-water marks lie: as the configuration says, else at home."""

import os
from pathlib import Path
from typing import Final

from macroslow.adapters.keyfiles import INSIDE, Place
from macroslow.adapters.statefolder import StateFolder
from macroslow.errors import ConfigurationError
from macroslow.settings import Settings

OFF: Final = "off"
IN_STATE: Final = "state"


def marks_folder(settings: Settings, folder: StateFolder) -> Path | None:
    """The folder of high-water marks; None where none are to be kept."""
    named = settings.log.high_water
    if named == OFF:
        return None
    chosen = at_home("high-water") if named is None else (settings.source.folder / named).absolute()
    if chosen is not None and _is_within(chosen, folder):
        raise ConfigurationError(
            f"the log's high-water mark would lie in the state folder {folder.path}, and be restored with it",
            fix="name a folder elsewhere: [log] high_water",
        )
    return chosen


def keys_place(settings: Settings, folder: StateFolder) -> Place:
    """Where keys that sign belong.

    Without the operator's word new ones are made at home, where that is on the disk of the state folder: what
    can be lost without it would end the log. State that has no mark outside has no keys there either.
    """
    named = settings.log.keys
    if named == IN_STATE:
        return Place(None, binding=True)
    if named is None:
        home = at_home("signer")
        outside = settings.log.high_water != OFF and home is not None and _is_beside(home, folder)
        return Place(home) if outside else INSIDE
    chosen = (settings.source.folder / named).absolute()
    if _is_within(chosen, folder):
        raise ConfigurationError(
            f"[log] keys names a folder outside the state folder, and {chosen} lies in it",
            fix=f'name a folder elsewhere, or write keys = "{IN_STATE}"',
        )
    return Place(chosen, binding=True)


def signer_socket(named: str) -> Path:
    """Where another user's signer listens, from [log] signer."""
    return Path(named.removeprefix("unix:"))


def at_home(name: str) -> Path | None:
    """Where this user's gateways keep things of that name, beside their state; None for nobody's home."""
    try:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:  # nobody's home
        return None
    return Path(base).absolute() / "macroslow" / name


def _is_within(path: Path, folder: StateFolder) -> bool:
    return path.resolve().is_relative_to(folder.path.resolve())


def _is_beside(path: Path, folder: StateFolder) -> bool:
    """Whether `path`, outside the folder, can be made on the same file system."""
    made, state = _made(path), _made(folder.path.absolute())
    usable = made.is_dir() and os.access(made, os.W_OK | os.X_OK)
    return usable and not _is_within(path, folder) and made.stat().st_dev == state.stat().st_dev


def _made(path: Path) -> Path:
    """The path, or the nearest folder above it that there is."""
    return next(each for each in (path, *path.parents) if each.exists())
