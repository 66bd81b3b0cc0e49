"""Replies kept for idempotency keys and ids bound to principals, as the writer changes them.

A key may be claimed, answered, dropped and claimed again within one batch, so what is written is where
it ended. Each claim has two of those deleted that expired longest ago: the table shrinks as it is used,
and no commit deletes many.
"""

import sqlite3
from typing import Final

from macroslow.adapters.sqlite._names import Names
from macroslow.adapters.sqlite._stage import OF_BATCH, Cache, Row, Stage
from macroslow.adapters.sqlite._statements import (
    DELETE_EXPIRED_REPLIES,
    DELETE_REPLY,
    PUT_BOUND_ID,
    PUT_REPLY,
)
from macroslow.adapters.sqlite._subjects import Subjects
from macroslow.crypto.rows import NONCE_BYTES
from macroslow.errors import ConflictError, NotFoundError
from macroslow.ports import Entropy
from macroslow.tlog.event import EventClass
from macroslow.workflow.replies import SALT_BYTES, BindId, ClaimReply, DropReply, PutReply, seal_reply

_CLAIM: Final = "SELECT request_sha256, created_ns, expires_ns FROM replies WHERE principal = ? AND key = ?"
_OWNER: Final = "SELECT p.name FROM bound_ids b JOIN names p ON p.n = b.principal WHERE b.id = ?"
_NONE: Final[Row] = ()

_Name = tuple[str, str]
"""Principal and key."""


class Replies:
    """The `replies` and `bound_ids` tables, for the writer. It remembers nothing beyond a batch."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        stage: Stage,
        names: Names,
        subjects: Subjects,
        entropy: Entropy,
    ) -> None:
        self._connection = connection
        self._stage = stage
        self._names = names
        self._subjects = subjects
        self._entropy = entropy
        self._claims = Cache[_Name, Row](stage, OF_BATCH)  # sha256, created, expires[, sealed]; or _NONE
        self._owners = Cache[str, str](stage, OF_BATCH)
        self._touched: set[_Name] = set()

    def claim(self, change: ClaimReply) -> None:
        name = (change.principal, change.key)
        known = self._find(name)
        if known and known[2] > change.created_ns:
            raise ConflictError(f"the idempotency key {change.key} is taken", step="idempotency")
        self._names.number(change.principal)
        self._put(name, (change.request_sha256, change.created_ns, change.expires_ns))
        self._stage.write(DELETE_EXPIRED_REPLIES, (change.created_ns,))

    def put(self, change: PutReply) -> None:
        name = (change.principal, change.key)
        known = self._find(name)
        if not known:
            raise NotFoundError(f"nobody claimed the idempotency key {change.key}", step="idempotency")
        fresh = self._entropy.random(SALT_BYTES + NONCE_BYTES)
        key = self._subjects.key(change.principal, EventClass.ACTIVITY)
        sealed = seal_reply(change, key, salt=fresh[:SALT_BYTES], nonce=fresh[SALT_BYTES:])
        self._put(name, (*known[:3], sealed))

    def drop(self, change: DropReply) -> None:
        name = (change.principal, change.key)
        if self._find(name):
            self._put(name, _NONE)

    def bind(self, change: BindId) -> None:
        owner = self._owners.get(change.id)
        if owner is None:
            row = self._connection.execute(_OWNER, (change.id,)).fetchone()
            owner = row[0] if row else change.principal
        if owner != change.principal:
            raise ConflictError(f"the id {change.id} belongs to somebody else")
        self._owners.put(change.id, owner)
        number = self._names.number
        names = (change.kind, change.principal, change.provider, change.account)
        row = (change.id, *map(number, names), change.created_ns, change.tokens)
        self._stage.write(PUT_BOUND_ID, row)

    def flush(self) -> None:
        """Have the replies written that the batch changed."""
        for name in self._touched:
            claim = self._claims.get(name)
            if claim is None:  # its list was refused
                continue
            principal, key = self._names.number(name[0]), name[1]
            if claim:
                sealed = claim[3] if len(claim) > 3 else None
                self._stage.rows(PUT_REPLY).append((principal, key, *claim[:3], sealed))
            else:
                self._stage.rows(DELETE_REPLY).append((principal, key))
        self._touched.clear()

    def reload(self) -> None:
        self._touched.clear()
        self._claims.clear()
        self._owners.clear()

    def _put(self, name: _Name, claim: Row) -> None:
        self._claims.put(name, claim)
        self._touched.add(name)

    def _find(self, name: _Name) -> Row:
        claim = self._claims.get(name)
        if claim is None:
            principal = self._names.known(name[0])
            claim = self._connection.execute(_CLAIM, (principal, name[1])).fetchone() or _NONE
        return claim
