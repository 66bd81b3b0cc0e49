"""Replies and bound ids, as a batch changes them."""

from macroslow.adapters.postgres._state import ReplyRow, Tables
from macroslow.adapters.postgres._subjects import SubjectKeys
from macroslow.crypto.rows import NONCE_BYTES
from macroslow.errors import ConflictError, NotFoundError
from macroslow.ports import Entropy
from macroslow.tlog.event import EventClass
from macroslow.workflow.replies import SALT_BYTES, BindId, ClaimReply, DropReply, PutReply, seal_reply


class Replies:
    """The `replies` and `bound_ids` of one batch."""

    def __init__(self, state: Tables, subjects: SubjectKeys, entropy: Entropy) -> None:
        self._state = state
        self._subjects = subjects
        self._entropy = entropy

    def claim(self, change: ClaimReply) -> None:
        """Take a key that is free or expired, and forget a few others that are expired."""
        replies = self._state.replies
        taken = replies.get((change.principal, change.key))
        if taken is not None and not _expired(taken, change.created_ns):
            raise ConflictError(f"the key {change.key} is taken", step="claim")
        for key in self._state.expired:
            found = replies.get(key)
            if found is not None and _expired(found, change.created_ns):
                replies.put(key, None)
        self._state.number(change.principal)
        replies.put((change.principal, change.key), ReplyRow(change))

    def put(self, change: PutReply) -> None:
        """Keep the answer, sealed by its principal's key."""
        key = (change.principal, change.key)
        claimed = self._state.replies.get(key)
        if claimed is None:
            raise NotFoundError(f"nothing was claimed under {change.key}")
        fresh = self._entropy.random(SALT_BYTES + NONCE_BYTES)
        subject_key = self._subjects.key(self._state, change.principal, EventClass.ACTIVITY)
        sealed = seal_reply(change, subject_key, salt=fresh[:SALT_BYTES], nonce=fresh[SALT_BYTES:])
        self._state.replies.put(key, ReplyRow(claimed.claim, sealed))

    def drop(self, change: DropReply) -> None:
        """Give a key back, if it is taken."""
        key = (change.principal, change.key)
        if self._state.replies.get(key) is not None:
            self._state.replies.put(key, None)

    def bind(self, change: BindId) -> None:
        """Bind an id to its principal, for good."""
        known = self._state.bound_ids.get(change.id)
        if known is not None and known.principal != change.principal:
            raise ConflictError(f"the id {change.id} is bound to another principal")
        for name in (change.principal, change.provider, change.account):
            self._state.number(name)
        self._state.bound_ids.put(change.id, change)


def _expired(row: ReplyRow, now_ns: int) -> bool:
    return row.claim.expires_ns <= now_ns
