"""Checkpoints on demand: the newest signed tree head, made when somebody needs a larger one.

Callers that wait together share one signature. What is signed is a commit that is already
durable, and the signer refuses a tree that does not extend the last one it signed. So one signature
is made at a time, from what the last one was made of, whoever stops waiting for it.
"""

import asyncio

from macroslow.errors import LogUnavailableError
from macroslow.ports import Signer
from macroslow.tlog.ports import StoreCheckpoint
from macroslow.workflow.books import Books


class CheckpointLog:
    """Signs and keeps checkpoints of one log. Single writer: one instance a process."""

    def __init__(self, books: Books, signer: Signer) -> None:
        self._books = books
        self._signer = signer
        self._signing: asyncio.Task[None] | None = None
        self._size = 0
        self._note = b""

    async def load(self) -> None:
        """Take up the newest stored checkpoint."""
        stored = await self._books.checkpoint()
        if stored is not None:
            self._size, self._note = stored

    async def covering(self, index: int) -> tuple[int, bytes]:
        """Return size and signed note of a checkpoint whose tree holds entry `index`.

        LogUnavailableError if the log has no such entry, or the checkpoint cannot be kept.
        """
        while self._size <= index:
            head = await self._books.head()
            if head.size <= index:
                raise LogUnavailableError(f"entry {index} is not in the log of {head.size} entries")
            if self._signing is None or self._signing.done():
                # A task of its own, and the only one: what the signer has signed must be known here
                # before the next signature, even if every caller goes away meanwhile.
                self._signing = asyncio.create_task(self._sign_head())
            await asyncio.shield(self._signing)
        return self._size, self._note

    async def newest(self) -> bytes:
        """Return the signed note of the log as it is now."""
        head = await self._books.head()
        if head.size == 0:
            raise LogUnavailableError("the log is empty: there is nothing to sign yet")
        return (await self.covering(head.size - 1))[1]

    async def _sign_head(self) -> None:
        head = await self._books.head()
        proof = await self._books.consistency_proof(self._size, head.size) if self._size else []
        note = await self._signer.checkpoint(head.size, head.root, proof)
        self._size, self._note = head.size, note
        await self._books.commit(StoreCheckpoint(head.size, note))
