"""Books on real files for these tests, and a sealer that is quick and checks what it is given."""

from pathlib import Path

from macroslow.adapters.sqlite import SqliteBooks
from macroslow.adapters.system import SystemClock, SystemEntropy
from macroslow.errors import DecryptionFailedError


class LabelSealer:
    """Binds to subject and purpose like the real one, and hides nothing."""

    def seal(self, plaintext: bytes, subject: str, *, purpose: str = "object") -> bytes:
        return f"{purpose}|{subject}|".encode() + plaintext

    def open(self, sealed: bytes, subject: str, *, purpose: str = "object") -> bytes:
        label = f"{purpose}|{subject}|".encode()
        if not sealed.startswith(label):
            raise DecryptionFailedError("another label")
        return sealed.removeprefix(label)


async def open_books(path: Path, *, commit_window_ns: int = 0) -> SqliteBooks:
    return await SqliteBooks.open(
        path,
        sealer=LabelSealer(),
        entropy=SystemEntropy(),
        clock=SystemClock(),
        commit_window_ns=commit_window_ns,
    )
