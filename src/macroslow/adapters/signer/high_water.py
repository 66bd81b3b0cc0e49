"""The high-water mark: the last tree head that was signed, noted outside the state folder.

One small file for each key of a log, named by the key's fingerprint, written durably before a signature
leaves. A backup of the state folder that is put back does not bring it back: so a log that has lost what was
signed is known for what it is. A mark never sinks, also where several processes sign one log.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from macroslow.crypto import strict_json
from macroslow.errors import ConfigurationError
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.note import MAX_SIZE
from macroslow.tlog.ports import TreeHead
from macroslow.tlog.tree import HASH_BYTES

_MAX_BYTES: Final = 4096
_OFF: Final = "no high-water mark is kept: a restored backup of the log would not be noticed"


class HighWaterMarks:
    """The marks in `folder`, made if it is not there; None, or one that cannot be written: none are kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.note = _OFF if folder is None else _unwritable(folder)
        """Why none are kept, in a sentence; empty if they are."""

    def read(self, key: LogPublicKey) -> TreeHead | None:
        """The mark of `key`, None if there is none; ConfigurationError for a file that is no mark."""
        if self._folder is None:
            return None
        path = self._path(self._folder, key)
        try:
            with path.open("rb") as file:
                raw = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            if self.note:  # where none can be written, none was
                return None
            raise _damaged(path, error.strerror or "it cannot be read") from None
        try:
            return _parse(raw)
        except ValueError as error:
            raise _damaged(path, str(error)) from None

    def write(self, key: LogPublicKey, head: TreeHead) -> None:
        """Note `head`, durable on return. OSError if it cannot be: then nothing may be signed."""
        if self._folder is None or self.note:
            return
        with _held(self._folder) as folder:
            known = self.read(key)
            if known is None or known.size < head.size:
                _write(self._path(self._folder, key), key.origin, head)
                os.fsync(folder)

    def _path(self, folder: Path, key: LogPublicKey) -> Path:
        return folder / key.fingerprint.replace("-", "")


def _parse(raw: bytes) -> TreeHead:
    match strict_json.parse(raw, limit_bytes=_MAX_BYTES, max_depth=1):
        case {"macroslow_high_water": 1, "size": int(size), "root": str(root)} if 0 <= size <= MAX_SIZE:
            head = TreeHead(size, bytes.fromhex(root))
        case _:
            raise ValueError("its members are others")
    if len(head.root) != HASH_BYTES:
        raise ValueError("its root is no hash")
    return head


def _damaged(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the log's high-water mark {path} is not readable: {why}",
        fix=f"see who changed it. Without it a restored backup is not noticed: mv {path} {path}.bad",
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


@contextmanager
def _held(folder: Path) -> Iterator[int]:
    """The folder's descriptor, locked against others who write marks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _write(path: Path, origin: str, head: TreeHead) -> None:
    members = {"macroslow_high_water": 1, "log": origin, "size": head.size, "root": head.root.hex()}
    fresh = path.with_name(f"{path.name}.new")
    with open(fresh, "wb", opener=_private) as file:
        file.write(orjson.dumps(members) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _unwritable(folder: Path) -> str:
    """Why nothing can be written into `folder`, which is made; empty if it can."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        probe.unlink()
    except OSError as error:
        return f"{_OFF} ({folder}: {error.strerror}; name another folder: [log] high_water)"
    return ""
