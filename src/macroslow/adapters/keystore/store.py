"""`keystore:NAME`: all entries in one file, sealed as a whole, replaced in one step.

The plaintext is a JSON object of names to [text, nanoseconds since 1970]. It is sealed for one
subject and one purpose, so no other sealed file can take its place. Reading opens the file anew
each time: what `put` stored is seen at once, by every process.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from macroslow import durable_files
from macroslow.errors import ConfigurationError, DecryptionFailedError
from macroslow.secretstore.ports import Sealer
from macroslow.secretstore.reference import Reference, is_entry_name
from macroslow.secretstore.secret import Secret

SUBJECT: Final = "gateway"
PURPOSE: Final = "keystore"
MAX_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """What may be shown of one entry."""

    name: str
    stored_ns: int


def absent(reference: Reference) -> ConfigurationError:
    """What to say of an entry that is not there."""
    return ConfigurationError(
        f"{reference} is not in the keystore", fix=f"macroslow secrets set {reference.name}"
    )


@dataclass(frozen=True, slots=True)
class Keystore:
    """The sealed file at `path`. Needs no other lock than its own: `put` is safe beside a running server."""

    path: Path
    sealer: Sealer

    async def read(self, reference: Reference) -> Secret:
        """Return the entry's text; ConfigurationError if there is none."""
        found = self._open().get(reference.name)
        if found is None:
            raise absent(reference)
        return Secret(found[0])

    def entries(self) -> tuple[Entry, ...]:
        """All entries by name."""
        return tuple(Entry(name, stored_ns) for name, (_, stored_ns) in sorted(self._open().items()))

    def put(self, name: str, secret: Secret, *, stored_ns: int) -> None:
        """Create or replace one entry, durably. ValueError if `name` is no entry's name."""
        if not is_entry_name(name):
            raise ValueError("not the name of a keystore entry")
        with self._alone():
            entries = self._open()
            entries[name] = (secret.reveal(), stored_ns)
            plaintext = json.dumps(entries).encode()
            if len(plaintext) > MAX_BYTES // 2:
                raise ConfigurationError(f"{self.path} has no room for another secret")
            durable_files.replace(self.path, self.sealer.seal(plaintext, SUBJECT, purpose=PURPOSE))

    def _open(self) -> dict[str, tuple[str, int]]:
        try:
            with self.path.open("rb") as file:
                sealed = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be read: {error.strerror}") from None
        try:
            plaintext = self.sealer.open(sealed, SUBJECT, purpose=PURPOSE)
        except DecryptionFailedError:
            raise ConfigurationError(
                f"{self.path} does not open under this gateway's keys: it was altered, or belongs to another",
                fix="restore it from a copy, or move it away and set the secrets again",
            ) from None
        return {name: (text, stored_ns) for name, (text, stored_ns) in json.loads(plaintext).items()}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two `put`s at once must not lose an entry."""
        lock = self.path.with_suffix(".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
