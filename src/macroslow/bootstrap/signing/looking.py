"""What a start would refuse of what signs, looked at and asked beforehand; nothing is made or changed.

Whose state it is may look: to anybody else, root too, its files say nothing of his start. A signer that
is not there yet is waited for by a start, so that it is missed by who asks for it alone.
"""

import os
from collections.abc import Callable
from pathlib import Path

from macroslow.adapters import keyfiles
from macroslow.adapters.signer import HighWaterMarks, absent, reach
from macroslow.adapters.sqlite import entries_in
from macroslow.adapters.statefolder import StateFolder
from macroslow.bootstrap.signing.places import keys_place, marks_folder, signer_socket
from macroslow.bootstrap.state.stores import BOOKS_FILE
from macroslow.errors import ConfigurationError, Problem
from macroslow.services.signing.resume_signing import check_noted
from macroslow.settings import Settings
from macroslow.settings.origin import problem


def signing_problems(settings: Settings) -> list[Problem]:
    """What is wrong with the places of keys and marks, as far as files tell."""
    return _found(settings, _look, "log.keys")


def signer_problems(settings: Settings) -> list[Problem]:
    """What is wrong besides: a signer that does not answer; a key or a mark that the log does not fit."""
    return _found(settings, _ask, "state.folder")


def _found(settings: Settings, check: Callable[[Settings], None], field: str) -> list[Problem]:
    try:
        if _is_ours(settings.state_folder.absolute()):
            check(settings)
    except ConfigurationError as error:
        name = field if settings.log.signer is None else "log.signer"
        return [problem(tuple(name.split(".")), error.detail, error.fix, settings.source.origins)]
    except OSError as error:
        return [Problem(f"the keys that sign cannot be looked at: {error}")]
    return []


def _is_ours(state: Path) -> bool:
    made = next(path for path in (state, *state.parents) if path.exists())
    return made.stat().st_uid == os.geteuid()


def _look(settings: Settings) -> None:
    folder = StateFolder(settings.state_folder)
    if settings.log.signer is not None:
        keyfiles.check_without_signer(folder.path)
    else:
        marks_folder(settings, folder)
        keyfiles.look(folder.path, keys_place(settings, folder))


def _ask(settings: Settings) -> None:
    if settings.log.signer is not None:
        socket = signer_socket(settings.log.signer)
        channel = reach(socket)
        if channel is None:
            raise absent(socket)
        channel.close()
        return
    folder = StateFolder(settings.state_folder)
    if folder.has_keys:
        _hold_against_mark(settings, folder)


def _hold_against_mark(settings: Settings, folder: StateFolder) -> None:
    """Whether the log has what was signed. Books in a database are not asked: that is over a network."""
    signing = _signing_folder(settings, folder)
    key = None if signing is None else keyfiles.SignerFiles(signing).look(settings.log.origin)
    if key is None or settings.state.database is not None:
        return
    mark = HighWaterMarks(marks_folder(settings, folder), folder.path.absolute(), reading=True).mark(key)
    check_noted(mark, entries_in(folder.path / BOOKS_FILE))


def _signing_folder(settings: Settings, folder: StateFolder) -> Path | None:
    """Where the keys lie now, or will be found; None where they never had a folder of their own."""
    if keyfiles.lies_inside(folder.path):
        return keyfiles.signer_folder(folder.path)
    base = keyfiles.look(folder.path, keys_place(settings, folder))
    outside = base / keyfiles.signer_folder(folder.path).name
    return outside if outside.exists() else None
