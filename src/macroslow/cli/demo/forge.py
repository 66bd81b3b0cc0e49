"""The forger: the operator with root and every key of the gateway, at work on a copy of its state.

He does it well: the altered entry opens under its subject's own key, and all hashes above it are
made anew. What he cannot make is what others keep.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from macroslow.adapters import keyfiles
from macroslow.adapters.sqlite import key_name
from macroslow.adapters.system import SystemEntropy
from macroslow.crypto import rows
from macroslow.crypto.quad import Quad
from macroslow.tlog.canonical import parse_event
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import CLASSES, Event, EventType
from macroslow.tlog.leaf import SALT_BYTES, leaf_hash, open_payload, parse_leaf, seal_event
from macroslow.tlog.tree import Edge

BOOKS: Final = "books.sqlite"
SUBJECTS: Final = "subjects.sqlite"
LOG_KEY: Final = Path("keys", "signer", "log.json")
_PURPOSE: Final = "subject-key"  # what subjects' keys are sealed for
_ENTROPY: Final = SystemEntropy()


def edit_entry(state: Path, index: int, **changed: object) -> None:
    """Change fields of entry `index`, seal it again and hash the tree again."""
    keys = keyfiles.load(state)
    with _database(state) as database:
        leaf, payload, subject = database.execute(
            "SELECT e.leaf, e.payload, s.name FROM entries e JOIN names s ON s.n = e.subject WHERE e.n = ?",
            (index,),
        ).fetchone()
        wrapped = _wrapped_key(state, subject, parse_leaf(leaf).type)
        subject_key = Quad(keys.quad_roots, _ENTROPY).open(wrapped, subject, purpose=_PURPOSE)
        event = parse_event(open_payload(leaf, payload, subject_key)[0])
        forged = seal_event(
            Event(event.type, event.time_ns, event.subject, {**event.fields, **changed}),
            subject_key,
            salt=_ENTROPY.random(SALT_BYTES),
            nonce=_ENTROPY.random(rows.NONCE_BYTES),
        )
        database.execute(
            "UPDATE entries SET leaf = ?, payload = ? WHERE n = ?", (forged.leaf, forged.payload, index)
        )
        _hash_again(database)


def _wrapped_key(state: Path, subject: str, event_type: int) -> bytes:
    """The key of the subject's events of this class, as it is stored."""
    with closing(sqlite3.connect(state / SUBJECTS)) as database:
        name = key_name(subject, CLASSES[EventType(event_type)])
        (wrapped,) = database.execute("SELECT wrapped FROM keys WHERE name = ?", (name,)).fetchone()
        return bytes(wrapped)


def sign_again(state: Path) -> None:
    """Put one new checkpoint, signed by the log key in the folder, in the place of all that there were."""
    key = LogPrivateKey.from_json((state / LOG_KEY).read_text())
    with _database(state) as database:
        head = _hash_again(database).head()
        note = key.sign_checkpoint(head.size, head.root, time_s=int(time.time()))
        database.execute("DELETE FROM checkpoints")
        database.execute("INSERT INTO checkpoints VALUES (?, ?)", (head.size, note))


def change_log_key(state: Path, log_origin: str) -> None:
    """Put a fresh key of the same name in the place of the log's key."""
    (state / LOG_KEY).write_text(LogPrivateKey.generate(log_origin, _ENTROPY).to_json())


def _hash_again(database: sqlite3.Connection) -> Edge:
    """Rebuild every tile from the entries; return the tree's edge."""
    edge = Edge()
    for (leaf,) in database.execute("SELECT leaf FROM entries ORDER BY n").fetchall():
        for tile in edge.append(leaf_hash(leaf)):
            database.execute(
                "UPDATE tiles SET hashes = ?, root = ? WHERE level = ? AND number = ?",
                (tile.data, tile.root, tile.level, tile.index),
            )
    return edge


@contextmanager
def _database(state: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(state / BOOKS)) as database, database:
        yield database
