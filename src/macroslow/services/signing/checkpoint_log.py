"""Checkpoints: the newest signed tree head, and the newest that enough witnesses cosigned.

Signed is what is asked for, and what is unsigned each time a window has passed. Callers that wait together
share one signature. What is signed is a commit that is already durable, and the signer refuses a tree that
does not extend the last one it signed. So one signature is made at a time, from what the last one was made
of, whoever stops waiting for it.

Where a policy names witnesses nothing is signed before they confirmed what is stored: a log that was restored
from a backup would contradict what its witnesses and everybody with a receipt know.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, NoReturn, Protocol

from macroslow.errors import LogUnavailableError, VerificationError
from macroslow.ports import Clock
from macroslow.services.signing.trouble import Trouble
from macroslow.services.signing.witness_states import WitnessStates
from macroslow.tlog import note as notes
from macroslow.tlog import tree
from macroslow.tlog.checkpoint import OWN_LINES
from macroslow.tlog.note import Note
from macroslow.tlog.policy import NOBODY, NONE, Policy
from macroslow.tlog.ports import StoreCheckpoint, TreeHead
from macroslow.workflow.books import Books

UNCONFIRMED: Final = "the log's witnesses have not confirmed it yet"

log: Final = logging.getLogger("macroslow.log")


class Checkpoint(NamedTuple):
    """A signed note, with the cosignatures that it has, for a tree of `size` entries."""

    size: int
    note: bytes


_NOTHING: Final = Checkpoint(0, b"")


class LogSigner(Protocol):
    """Whoever signs the log; see `ports.Signer`. After a refusal `last` is what it takes for signed."""

    @property
    def last(self) -> TreeHead: ...

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes: ...


class CheckpointLog:
    """Signs and keeps checkpoints of one log. One instance a process.

    With a `policy` that needs witnesses, a proof waits up to `wait_s` until enough of them cosigned;
    `witnesses` is what is known of each.
    """

    def __init__(
        self, books: Books, signer: LogSigner, policy: Policy | None = None, wait_s: float = 0.0
    ) -> None:
        self._books = books
        self._signer = signer
        self.witnesses = WitnessStates(policy or NOBODY)
        self._policy = None if self.witnesses.policy.quorum == NONE else policy
        self._wait_s = wait_s
        self._signing: asyncio.Task[None] | None = None
        self._own_size = 0  # of the tree that this process's signer signed last
        self._signed = _NOTHING
        self._asked = _NOTHING  # the one that witnesses are at
        self._published = _NOTHING
        self._confirmed = self._policy is None
        self._stopped = ""  # why, if signing ended
        self._changed = asyncio.Condition()

    async def load(self, own_size: int | None = None) -> None:
        """Take up the newest stored checkpoint.

        `own_size` is of the tree that the signer takes for the last that it signed; None: of that one.
        Another process may have stored a newer one since the signer was shown any.
        """
        stored_size = await self.take_up()
        self._own_size = stored_size if own_size is None else own_size
        if stored_size:
            self.witnesses.remember(stored_size, notes.parse(self._signed.note))

    async def take_up(self) -> int:
        """Take up what another process may have stored meanwhile; return the size of the newest."""
        stored = await self._books.checkpoint()
        if stored is not None and stored[0] >= self._signed.size:
            newest = Checkpoint(*stored)
            if newest.size > self._signed.size:
                self._signed = newest
                await self._tell()
            if newest.size > self._published.size and self._is_met(notes.parse(newest.note)):
                await self._publish(newest)
        return self._signed.size

    async def covering(self, index: int) -> Checkpoint:
        """Return a checkpoint whose tree holds entry `index`: one with a quorum, if that comes in time.

        LogUnavailableError if the log has no such entry, or the checkpoint cannot be made or kept.
        """
        await self._sign_beyond(index)
        if self._policy is not None and not self._held:
            await self._wait_for_quorum(index)
        known = (self._published, self._asked, self._signed)
        return next(checkpoint for checkpoint in known if checkpoint.size > index)

    async def newest(self) -> bytes:
        """Return the signed note of the log as it is now."""
        head = await self._books.head()
        if head.size == 0:
            raise LogUnavailableError("the log is empty: there is nothing to sign yet")
        return (await self.covering(head.size - 1)).note

    async def published(self) -> Checkpoint:
        """Return the newest that whoever trusts this log's policy can use. Whoever asks has nothing signed.

        LogUnavailableError if there is none yet.
        """
        await self.take_up()
        if self._policy is None:
            if not self._signed.size:
                await self.newest()
            return self._signed
        if not self._published.size:
            raise LogUnavailableError(
                "no checkpoint was cosigned by enough witnesses yet",
                fix="`macroslow audit witnesses` shows what each says; a gateway that serves asks them again",
            )
        return self._published

    @property
    def _held(self) -> str:
        """Why nothing is signed now; empty: it is."""
        return self._stopped or ("" if self._confirmed else UNCONFIRMED)

    def check_signing(self) -> None:
        """Return if signatures are made now; else LogUnavailableError with the reason."""
        if self._held:
            raise LogUnavailableError(
                f"nothing is signed yet: {self._held}",
                fix="a gateway that serves asks them; `macroslow audit witnesses` shows what each says",
            )

    async def sign_all(self) -> None:
        """Sign what is unsigned, unless nothing may be signed now."""
        head = await self._books.head()
        if not self._held and head.size > self._signed.size and head.size > await self.take_up():
            await self._sign_beyond(head.size - 1)

    async def settle(self) -> None:
        """Sign what is unsigned, and give the witnesses their time with it: nothing more will come."""
        await self.sign_all()
        if self._policy is not None and not self._held:
            await self._wait_for_quorum(self._signed.size - 1)

    async def renew(self) -> None:
        """Sign the log as it is once more: its key is another one now."""
        while self._signing is not None and not self._signing.done():
            await asyncio.shield(self._signing)
        self._signing = asyncio.create_task(self._sign_head(again=True))
        await asyncio.shield(self._signing)

    async def run(
        self, window_s: float, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> NoReturn:
        """Sign what is unsigned once in every window. What goes wrong is told once, and tried again."""
        trouble = Trouble(log, clock)
        while True:
            try:
                await self.sign_all()
                trouble.ends("the log is signed again")
            except (LogUnavailableError, VerificationError) as error:
                trouble.begins(f"the log is not signed: {error.detail}")
            await sleep(window_s)

    # For whoever asks the witnesses

    async def first(self) -> Checkpoint:
        """Return what is signed already, for the witnesses to confirm; of a log without that, the empty tree.

        The empty tree comes before every other: having signed it contradicts nothing.
        """
        await self.take_up()
        if self._signed.size:
            return self._signed
        return Checkpoint(0, await self._signer.checkpoint(0, tree.EMPTY_ROOT, []))

    async def after(self, size: int) -> Checkpoint:
        """Return the newest signed checkpoint once it is larger than `size`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._signed.size > size)
        return self._signed

    async def cosigned(self, size: int, note: Note) -> bool:
        """Keep the checkpoint with the lines that it has by now; return whether they are a quorum."""
        checkpoint, met = Checkpoint(size, note.format()), self._is_met(note)
        if size and size == self._signed.size and not _is_same(note, notes.parse(self._signed.note)):
            return met  # signed once more meanwhile, by another key
        self._asked = checkpoint
        if size == self._signed.size:
            self._signed = checkpoint
        if met and size and size >= self._published.size:
            await self._publish(checkpoint)
            with suppress(LogUnavailableError):  # what is not kept is asked for again after a restart
                await self._books.commit(StoreCheckpoint(size, checkpoint.note))
        return met

    def allow(self) -> None:
        """The witnesses confirmed the log: sign what comes. Nothing allows again what was stopped."""
        self._confirmed = True

    def stop(self, reason: str) -> None:
        """Sign nothing more in this process."""
        self._stopped = reason

    async def _sign_beyond(self, index: int) -> None:
        while self._signed.size <= index:
            head = await self._books.head()
            if head.size <= index:
                raise LogUnavailableError(f"entry {index} is not in the log of {head.size} entries")
            self.check_signing()
            if self._signing is None or self._signing.done():
                # A task of its own, and the only one: what the signer has signed must be known here
                # before the next signature, even if every caller goes away meanwhile.
                self._signing = asyncio.create_task(self._sign_head())
            await asyncio.shield(self._signing)

    async def _sign_head(self, *, again: bool = False) -> None:
        """Sign the log as it is; what another process signed already only `again`."""
        head = await self._books.head()
        if not again and await self.take_up() >= head.size:
            return
        note = await self._note_over(head)
        if note is None:
            await self._sign_head(again=again)
            return
        self._own_size = head.size
        # Kept before anybody sees it: no witness may know of more than a restart would find here.
        await self._books.commit(StoreCheckpoint(head.size, note))
        if head.size >= self._signed.size:
            self._signed = Checkpoint(head.size, note)
        await self._tell()

    async def _note_over(self, head: TreeHead) -> bytes | None:
        """The signed note; None where another process with this key came first, which is known now."""
        known = self._own_size
        proof = await self._books.consistency_proof(known, head.size) if 0 < known <= head.size else []
        try:
            return await self._signer.checkpoint(head.size, head.root, proof)
        except VerificationError:
            if self._signer.last.size <= known:
                raise
            self._own_size = self._signer.last.size
            return None

    async def _wait_for_quorum(self, index: int) -> None:
        try:
            async with asyncio.timeout(self._wait_s), self._changed:
                await self._changed.wait_for(lambda: self._published.size > index)
        except TimeoutError:
            return

    async def _publish(self, checkpoint: Checkpoint) -> None:
        """Have it used, unless a newer one is: what was published is never taken back."""
        if checkpoint.size >= self._published.size:
            self._published = checkpoint
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _is_met(self, note: Note) -> bool:
        try:
            return self._policy is not None and self._policy.judge(note).met
        except VerificationError:  # lines that were damaged where they were stored count for nothing
            return False


def _is_same(first: Note, second: Note) -> bool:
    """Whether two notes of one size are one checkpoint: the log's own lines come first in both."""
    return first.lines[:OWN_LINES] == second.lines[:OWN_LINES]
