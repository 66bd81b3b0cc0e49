"""Declare that the log was forked: it goes on under another name and another key, and says so.

For an operator whose log was lost or changed, and who has no newer backup. The tree goes on with the entries
that there are; the first one under the new name tells how many there were, how many had been signed, and why.
Nobody can take the new log for the old one: receipts of the old one stay what they are, under its key.

The old key's mark is ended first, so that no copy of the old state folder signs any more. No name is given
out twice. Cut off between two steps, the key to come stays staged, and the next declaration takes it up.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from macroslow.authn.principal import THE_GATEWAY
from macroslow.errors import BadRequestError, ConfigurationError, VerificationError
from macroslow.ports import Clock
from macroslow.services.signing.resume_signing import resume_signing
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append, Mark, StoreCheckpoint, TreeHead
from macroslow.tlog.succession import LogKeys
from macroslow.values import value
from macroslow.workflow.books import Books

_NUMBERED: Final = re.compile(r"(.+)\.([2-9]|[1-9][0-9]{1,5})")


class ForkingSigner(Protocol):
    """A signer that begins another log on the operator's own word."""

    @property
    def keys(self) -> LogKeys: ...

    @property
    def last(self) -> TreeHead: ...

    @property
    def mark(self) -> Mark | None: ...

    @property
    def staged(self) -> LogPublicKey | None: ...

    @property
    def names(self) -> Collection[str]:
        """Every name of a log that was given out, that of the staged key left out."""
        ...

    async def adopt(self, signed_note: bytes, proof: Sequence[bytes]) -> None: ...

    async def stage(self, origin: str) -> LogPublicKey: ...

    async def fork(self) -> None: ...

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes: ...


@value
class ForkPlan:
    """What a fork would begin: a log named `origin` over so many entries of the one under the key `old`.

    `trouble` is why that one cannot go on; empty where it can, and there is nothing to declare.
    """

    old: LogPublicKey
    origin: str
    entries: int
    trouble: str


@dataclass(frozen=True, slots=True)
class DeclareFork:
    """One declaration, where nobody else writes the log."""

    books: Books
    signer: ForkingSigner
    clock: Clock

    async def plan(self, origin: str | None = None) -> ForkPlan:
        """What a declaration would do; nothing is declared. BadRequestError as there."""
        size = (await self.books.head()).size
        return ForkPlan(self.signer.keys.current, self._name(origin), size, await self._trouble())

    async def __call__(self, reason: str, origin: str | None = None) -> LogPublicKey:
        """Return the new log's public key once it has signed the tree.

        `origin` names the new log, by default the old name with the next free number of `.2`, `.3` and so on.
        BadRequestError for a name that was given out, or that notes cannot carry.
        """
        old, marked = self.signer.keys.current, self.signer.last
        new = await self._stage(self._name(origin))
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

    def _name(self, origin: str | None) -> str:
        staged, names = self.signer.staged, self.signer.names
        if origin is None and staged is not None and staged.origin not in names:
            return staged.origin  # of a declaration that was cut off
        chosen = origin or next_origin(self.signer.keys.current.origin, names)
        if chosen in names:
            raise _refused(chosen, "that name was given out already")
        return chosen

    async def _stage(self, origin: str) -> LogPublicKey:
        try:
            return await self.signer.stage(origin)
        except ValueError as error:
            raise _refused(origin, str(error)) from None

    async def _trouble(self) -> str:
        try:
            check_declared(self.signer.keys.current, self.signer.staged)
            await resume_signing(self.books, self.signer)
        except (ConfigurationError, VerificationError) as error:
            return error.detail
        return ""


def check_declared(current: LogPublicKey, staged: LogPublicKey | None) -> None:
    """ConfigurationError where a declaration was cut off: `staged` is of another log."""
    if staged is not None and staged.origin != current.origin:
        raise ConfigurationError(
            f"the fork of the log to {staged.origin!r} was declared and not completed",
            fix="macroslow audit fork --reason TEXT, once more",
        )


def next_origin(origin: str, given: Collection[str] = ()) -> str:
    """The name of a log after a fork of `origin`: none of those that were `given` out."""
    numbered = _NUMBERED.fullmatch(origin)
    base, number = (origin, 2) if numbered is None else (numbered[1], int(numbered[2]) + 1)
    while f"{base}.{number}" in given:
        number += 1
    return f"{base}.{number}"


def _refused(origin: str, why: str) -> BadRequestError:
    return BadRequestError(f"the log cannot be named {origin!r}: {why}", fix="give another --origin")
