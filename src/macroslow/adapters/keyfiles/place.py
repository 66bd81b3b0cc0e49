"""Where the keys that sign lie: in the state folder, or in a folder outside of it that is named in it.

    keys/signer/        here, or, where there is no such folder,
    keys/signer.json    {"macroslow_signer_keys": 1, "folder": "/…/BASE/<32 hex digits>"}

Outside, the process that serves can deny itself the folder, and still use all of its state. Keys are moved
there by a copy: as long as `keys/signer` has its name it is in force, whatever is named beside it, so that
whoever is cut off begins again; then it is overwritten and removed.
"""

import shutil
from pathlib import Path
from typing import Final

import orjson

from macroslow import durable_files
from macroslow.adapters.keyfiles import private_files, signer_files
from macroslow.crypto import strict_json
from macroslow.errors import ConfigurationError
from macroslow.ports import Entropy
from macroslow.values import value

RECORD: Final = "signer.json"
_OLD: Final = f"{signer_files.FOLDER}.old"
_ID_BYTES: Final = 16


@value
class Place:
    """Where keys that sign belong: in a folder of their own in `base`; None: in the state folder.

    `binding` is the operator's word: keys that lie elsewhere are moved, or refused. Without it that is said
    of new ones only.
    """

    base: Path | None
    binding: bool = False


INSIDE: Final = Place(None)


def signer_folder(state: Path) -> Path:
    """The folder of keys that sign, as this state folder has it. ConfigurationError for a damaged record."""
    keys = state / "keys"
    inside = keys / signer_files.FOLDER
    if inside.exists() or inside.is_symlink() or not (keys / RECORD).exists():
        return inside
    return _recorded(keys)


def has_signer(keys: Path) -> bool:
    """Whether keys that sign lie in `keys`, or are named there."""
    return any((keys / name).exists() for name in (signer_files.FOLDER, RECORD))


def create_signer(keys: Path, origin: str, entropy: Entropy, place: Place) -> None:
    """Make the keys that sign of the new folder `keys`, named there first."""
    if place.base is None:
        signer_files.create(keys / signer_files.FOLDER, origin, entropy)
        return
    folder = _name_folder(keys, place.base, entropy)
    signer_files.create(folder, origin, entropy)
    durable_files.sync_folder(folder.parent)


def make_signer(folder: Path, origin: str, entropy: Entropy) -> None:
    """Make the keys that sign in `folder`, which belongs to no state folder, if it is not there."""
    if folder.exists() or folder.is_symlink():
        return
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)  # a creation that was cut off
    signer_files.create(fresh, origin, entropy)
    fresh.rename(folder)
    durable_files.sync_folder(folder.parent)


def discard(keys: Path) -> None:
    """Remove `keys`, whose making was cut off, and the keys that it names outside: nobody used them."""
    if (keys / RECORD).exists():
        shutil.rmtree(_recorded(keys), ignore_errors=True)
    shutil.rmtree(keys)


def settle(keys: Path, entropy: Entropy, place: Place) -> None:
    """Have the keys that sign of `keys` where they belong, after whatever was cut off.

    ConfigurationError, with the command that mends it, where they are not to be found or lie elsewhere.
    """
    if lies_inside(keys.parent):
        if place.binding and place.base is None:
            (keys / RECORD).unlink(missing_ok=True)
        elif place.base is not None and is_to_leave(keys, place):
            _move_out(keys, entropy, place.base)
    else:
        folder = find(keys, place)
        if folder != _recorded(keys):
            durable_files.replace(keys / RECORD, _record(folder))
        _destroy(keys / _OLD)


def lies_inside(state: Path) -> bool:
    """Whether keys that sign lie in the state folder: that is in force, whatever is named beside it."""
    inside = state / "keys" / signer_files.FOLDER
    return inside.exists() or inside.is_symlink()


def is_to_leave(keys: Path, place: Place) -> bool:
    """Whether keys that lie inside are to be moved out."""
    return place.base is not None and (place.binding or (keys / RECORD).exists())


def _move_out(keys: Path, entropy: Entropy, base: Path) -> None:
    inside = keys / signer_files.FOLDER
    private_files.check_folder(inside)
    named = (keys / RECORD).exists()  # a move that was cut off
    folder = _recorded(keys) if named else _name_folder(keys, base, entropy)
    if not folder.exists():
        _copy(inside, folder)
    elif private_files.read(folder / signer_files.LOG) != private_files.read(inside / signer_files.LOG):
        raise ConfigurationError(
            f"keys that sign lie in {inside} and in {folder}, and they differ",
            fix="see which are the newer ones, and move the others away",
        )
    inside.rename(keys / _OLD)
    durable_files.sync_folder(keys)
    _destroy(keys / _OLD)


def _copy(inside: Path, folder: Path) -> None:
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)  # was cut off: what is inside is in force
    private_files.make_folder(fresh)
    for path in sorted(inside.iterdir()):
        durable_files.write_new(fresh / path.name, private_files.read(path))
    durable_files.sync_folder(fresh)
    fresh.rename(folder)
    durable_files.sync_folder(folder.parent)


def _destroy(folder: Path) -> None:
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in folder.iterdir():
        private_files.destroy(path)
    folder.rmdir()


def find(keys: Path, place: Place) -> Path:
    """The folder outside in which the keys lie: as is named there, or where the operator put it since.

    ConfigurationError, with the command that mends it, where it is not to be found or lies elsewhere.
    """
    if not (keys / RECORD).exists():
        raise ConfigurationError(
            f"the keys that sign are not in {keys / signer_files.FOLDER}",
            fix="restore that folder from its backup, or name the signer that has them: [log] signer",
        )
    folder = _recorded(keys)
    wanted = folder if place.base is None else place.base / folder.name
    if place.binding and wanted != folder and wanted.exists():  # a copy, or moved
        return wanted
    if not folder.exists():
        raise ConfigurationError(
            f"the keys that sign are not in {folder}, where they were",
            fix="restore that folder from its backup, or put it elsewhere and name its parent: [log] keys",
        )
    if place.binding and (wanted != folder or place.base is None):
        target = keys / signer_files.FOLDER if place.base is None else wanted
        raise ConfigurationError(
            f"the keys that sign lie in {folder}, and [log] keys says otherwise",
            fix=f"mv {folder} {target}, or name {folder.parent} as [log] keys",
        )
    return folder


def _name_folder(keys: Path, base: Path, entropy: Entropy) -> Path:
    """Name a new folder in `base`, which is made if need be; ConfigurationError if it cannot be."""
    folder = base / entropy.random(_ID_BYTES).hex()
    try:
        base.mkdir(mode=private_files.FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_be_made(base, error.strerror or str(error)) from None
    private_files.check_folder(base)
    durable_files.replace(keys / RECORD, _record(folder))
    return folder


def cannot_be_made(base: Path, why: str) -> ConfigurationError:
    """The refusal of a folder for folders of keys."""
    return ConfigurationError(
        f"the folder {base} of keys that sign cannot be made: {why}", fix="name another one: [log] keys"
    )


def _record(folder: Path) -> bytes:
    return orjson.dumps({"macroslow_signer_keys": 1, "folder": str(folder)}) + b"\n"


def _recorded(keys: Path) -> Path:
    raw = private_files.read(keys / RECORD)
    try:
        match strict_json.parse(raw, limit_bytes=private_files.MAX_FILE_BYTES, max_depth=1):
            case {"macroslow_signer_keys": 1, "folder": str(folder)} if Path(folder).is_absolute():
                return Path(folder)
            case _:
                raise ValueError("its members are others")
    except ValueError as error:
        raise ConfigurationError(
            f"{keys / RECORD} names no folder of keys that sign: {error}", fix=private_files.RESTORE
        ) from None
