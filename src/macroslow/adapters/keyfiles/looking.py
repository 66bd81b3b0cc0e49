"""What a start would refuse of the keys that sign, as far as files tell; nothing is made or changed."""

import os
from pathlib import Path

from macroslow.adapters.keyfiles import private_files, signer_files
from macroslow.adapters.keyfiles.place import Place, cannot_be_made, find, is_to_leave, lies_inside


def look(state: Path, place: Place) -> Path:
    """Where a start will have the folder of keys that sign. ConfigurationError as `ensure`'s."""
    keys = state / "keys"
    if not keys.exists() and not keys.is_symlink():
        return keys if place.base is None else _usable(place.base)
    private_files.check_folder(keys)
    if not lies_inside(state):
        folder = find(keys, place)
        private_files.check_folder(folder)
        return folder.parent
    private_files.check_folder(keys / signer_files.FOLDER)
    return _usable(place.base) if place.base is not None and is_to_leave(keys, place) else keys


def _usable(base: Path) -> Path:
    """The folder `base`, if it is closed to others or can be made."""
    if base.exists():
        private_files.check_folder(base)
        return base
    above = next(path for path in base.parents if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise cannot_be_made(base, f"{above} is no folder that we can write into")
    return base
