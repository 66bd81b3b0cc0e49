"""Secrets in files of their own, as container platforms mount them."""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from macroslow.errors import ConfigurationError
from macroslow.secretstore.reference import Reference
from macroslow.secretstore.secret import Secret

MAX_BYTES: Final = 64 * 1024  # one key, not a bundle


@dataclass(frozen=True, slots=True)
class FileSource:
    """`file:PATH`, relative to the folder of the configuration. One final line end is not part of it."""

    folder: Path

    async def read(self, reference: Reference) -> Secret:
        """Return the file's text; ConfigurationError if it cannot be read."""
        path = self.folder / reference.name
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
            text = raw.decode("utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error.strerror}", fix="check the path"
            ) from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path} is not UTF-8 text", fix="check the path") from None
        if len(raw) > MAX_BYTES:
            raise ConfigurationError(f"{path} is larger than {MAX_BYTES} bytes", fix="check the path")
        return Secret(text.removesuffix("\n").removesuffix("\r"))


def exposure(path: Path) -> str:
    """Who else can read or change the file, in words; "" if only its owner can, or if there is none."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    if mode & stat.S_IWOTH:
        return "every user of this machine can change it"
    if mode & stat.S_IROTH:
        return "every user of this machine can read it"
    if mode & stat.S_IRWXG:
        return "its group can read or change it"
    return ""
