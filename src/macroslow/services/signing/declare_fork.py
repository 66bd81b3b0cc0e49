"""Declare that the log was forked: it goes on under another name and another key, and says so.

For an operator whose log was lost or changed, and who has no newer backup. The tree goes on with the entries
that there are; the first one under the new name tells how many there were, how many had been signed, and why.
Nobody can take the new log for the old one: receipts of the old one stay what they are, under its key.

Cut off between two steps, the key to come stays staged, and the next start begins again with it.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from macroslow.authn.principal import THE_GATEWAY
from macroslow.errors import BadRequestError
from macroslow.ports import Clock
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append, StoreCheckpoint, TreeHead
from macroslow.tlog.succession import LogKeys
from macroslow.workflow.books import Books

_NUMBERED: Final = re.compile(r"(.+)\.([2-9]|[1-9][0-9]{1,5})")


class ForkingSigner(Protocol):
    """A signer that begins another log on the operator's own word."""

    @property
    def keys(self) -> LogKeys: ...

    @property
    def last(self) -> TreeHead: ...

    async def stage(self, origin: str) -> LogPublicKey: ...

    async def fork(self) -> None: ...

    async def checkpoint(self, size: int, root: bytes, proof: list[bytes]) -> bytes: ...


@dataclass(frozen=True, slots=True)
class DeclareFork:
    """One declaration, where nobody else writes the log."""

    books: Books
    signer: ForkingSigner
    clock: Clock

    async def __call__(self, reason: str, origin: str | None = None) -> LogPublicKey:
        """Return the new log's public key once it has signed the tree.

        `origin` names the new log, by default the old name with `.2`, `.3` and so on. BadRequestError for the
        old name, or one that notes cannot carry.
        """
        old, marked = self.signer.keys.current, self.signer.last
        new = await self._staged(old.origin, origin or next_origin(old.origin))
        fields = {
            "old_origin": old.origin,
            "old_fingerprint": old.fingerprint,
            "new_origin": new.origin,
            "new_fingerprint": new.fingerprint,
            "entries": (await self.books.head()).size,
            "marked_entries": marked.size,
            "marked_root": marked.root.hex(),
            "reason": reason,
        }
        await self.books.commit(Append(Event(EventType.LOG_FORKED, self.clock.now_ns(), THE_GATEWAY, fields)))
        await self.signer.fork()
        head = await self.books.head()
        note = await self.signer.checkpoint(head.size, head.root, [])
        await self.books.commit(StoreCheckpoint(head.size, note))
        return new

    async def _staged(self, old: str, origin: str) -> LogPublicKey:
        try:
            if origin == old:
                raise ValueError("it is the old name")
            return await self.signer.stage(origin)
        except ValueError as error:
            raise BadRequestError(
                f"the log cannot be named {origin!r}: {error}", fix="give another --origin"
            ) from None


def next_origin(origin: str) -> str:
    """The name of a log after a fork of `origin`."""
    numbered = _NUMBERED.fullmatch(origin)
    return f"{origin}.2" if numbered is None else f"{numbered[1]}.{int(numbered[2]) + 1}"
