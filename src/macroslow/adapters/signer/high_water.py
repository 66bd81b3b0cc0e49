"""The high-water mark: the last tree head that was signed, noted outside the state folder.

One small file for each key of a log, named by the key's fingerprint, written durably before a signature
leaves. A backup of the state folder that is put back does not bring it back: so a log that has lost what was
signed is known for what it is. A mark never sinks, also where several processes sign one log; who compares
and writes has the `turn`. It notes which state folder signed last, and a fork ends it: no copy of the old
folder signs any more.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from macroslow import durable_files
from macroslow.crypto import strict_json
from macroslow.errors import ConfigurationError, VerificationError
from macroslow.ports import NS_PER_S, Clock
from macroslow.tlog import tree
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.note import MAX_SIZE
from macroslow.tlog.ports import Mark, TreeHead
from macroslow.tlog.tree import HASH_BYTES

_MAX_BYTES: Final = 16 * 1024  # a path has 4096 at most, and escapes
_NOTED: Final = ("signed_from", "signed_at", "forked_to", "forked_at")
_OFF: Final = "no high-water mark: a restored backup goes unnoticed"


class HighWaterMarks:
    """The marks in `folder`, made if it is not there; None, or one that cannot be written: none are kept.

    `state` and `clock` are of who writes: which folder signed last, and when, is noted. Who is only `reading`
    makes no folder, and tries none.
    """

    def __init__(
        self,
        folder: Path | None,
        state: Path | None = None,
        clock: Clock | None = None,
        *,
        reading: bool = False,
    ) -> None:
        self._folder = folder
        self._state = "" if state is None else str(state)
        self._clock = clock
        self.note = _OFF if folder is None else "" if reading else _unwritable(folder)
        """Why none are kept, in a sentence; empty if they are."""

    def read(self, key: LogPublicKey) -> TreeHead | None:
        """What was signed last under `key`; see `mark`."""
        mark = self.mark(key)
        return None if mark is None else mark.head

    def mark(self, key: LogPublicKey) -> Mark | None:
        """The mark of `key`, None if there is none; ConfigurationError for a file that is no mark."""
        found = self._find(key)
        return replace(found, signed_from="") if found and found.signed_from == self._state else found

    def names(self) -> frozenset[str]:
        """Every name of a log that has a mark here, or was forked to. ConfigurationError as `mark`."""
        if self._folder is None or not self._folder.is_dir():
            return frozenset()
        files = [path for path in self._folder.iterdir() if "." not in path.name]
        return frozenset(name for path in files for name in self._named(path) if name)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else reads or writes marks meanwhile. OSError if that cannot be had."""
        if self._folder is None or self.note:
            yield
            return
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def write(self, key: LogPublicKey, head: TreeHead) -> None:
        """Note `head`, durable on return, unless more is noted. For who has the turn.

        OSError if it cannot be: then nothing may be signed. VerificationError if a fork has ended the log.
        """
        if self._folder is None or self.note:
            return
        known = self._find(key)
        if known is not None and known.forked_to:
            raise VerificationError(f"this log was declared forked: it is {known.forked_to} now")
        if known is None or known.head.size < head.size:
            path = self._path(self._folder, key)
            _write(Mark(head, str(path), self._state, self._now()), key.origin)

    def end(self, key: LogPublicKey, successor: str) -> None:
        """Note durably that the log goes on as `successor`, so that nothing is signed under `key` any more.

        For who has the turn. OSError if it cannot be.
        """
        if self._folder is None or self.note:
            return
        empty = Mark(TreeHead(0, tree.EMPTY_ROOT), str(self._path(self._folder, key)))
        known = self._find(key) or empty
        _write(replace(known, forked_to=successor, forked_at=self._now()), key.origin)

    def _find(self, key: LogPublicKey) -> Mark | None:
        if self._folder is None:
            return None
        found = self._load(self._path(self._folder, key))
        return None if found is None else found[0]

    def _named(self, path: Path) -> tuple[str, ...]:
        found = self._load(path)
        return () if found is None else (found[1], found[0].forked_to)

    def _load(self, path: Path) -> tuple[Mark, str] | None:
        """The mark in `path`, and the name of its log; None if there is none."""
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
            return _parse(raw, path)
        except ValueError as error:
            raise _damaged(path, str(error)) from None

    def _now(self) -> str:
        if self._clock is None:
            return ""
        return datetime.fromtimestamp(self._clock.now_ns() // NS_PER_S, UTC).isoformat()

    def _path(self, folder: Path, key: LogPublicKey) -> Path:
        return folder / key.fingerprint.replace("-", "")


def _parse(raw: bytes, path: Path) -> tuple[Mark, str]:
    match strict_json.parse(raw, limit_bytes=_MAX_BYTES, max_depth=1):
        case {"macroslow_high_water": 1, "size": int(size), "root": str(root), **more} if (
            type(size) is int and 0 <= size <= MAX_SIZE  # JSON's true is an int to Python
        ):
            head = TreeHead(size, bytes.fromhex(root))
        case _:
            raise ValueError("its members are others")
    if len(head.root) != HASH_BYTES:
        raise ValueError("its root is no hash")
    noted = {name: str(more.get(name, "")) for name in _NOTED}  # a mark may have none of them
    return Mark(head, str(path), **noted), str(more.get("log", ""))


def _damaged(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the log's high-water mark {path} is not readable: {why}",
        fix=f"see who changed it. Without it a restored backup is not noticed: mv {path} {path}.bad",
    )


def _write(mark: Mark, origin: str) -> None:
    members: dict[str, object] = {"macroslow_high_water": 1, "log": origin}
    members |= {"size": mark.head.size, "root": mark.head.root.hex()}
    members |= {name: value for name in _NOTED if (value := getattr(mark, name))}
    durable_files.replace(Path(mark.path), orjson.dumps(members) + b"\n")


def _unwritable(folder: Path) -> str:
    """Why nothing can be written into `folder`, which is made; empty if it can."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        probe.unlink()
    except OSError as error:
        return f"{_OFF} ({folder}: {error.strerror}; set [log] high_water)"
    return ""
