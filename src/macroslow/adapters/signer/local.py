"""The signer in this process, for commands that are soon over: one signature at a time, off the loop."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from macroslow.adapters.signer.engine import Engine
from macroslow.errors import LogUnavailableError
from macroslow.ports import Statement
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.ports import Mark, TreeHead
from macroslow.tlog.succession import LogKeys

T = TypeVar("T")


class LocalSigner:
    """Implements `ports.Signer` with an engine in memory."""

    alive = True

    def __init__(self, engine: Engine, note: str = "") -> None:
        self._engine = engine
        self._turn = asyncio.Lock()
        self.note = note

    @property
    def keys(self) -> LogKeys:
        """The log's public keys."""
        return self._engine.keys

    @property
    def last(self) -> TreeHead:
        """What was signed last."""
        return self._engine.last

    @property
    def mark(self) -> Mark | None:
        """See `Engine.mark`."""
        return self._engine.mark

    @property
    def names(self) -> frozenset[str]:
        """See `Engine.names`."""
        return self._engine.names

    @property
    def staged(self) -> LogPublicKey | None:
        """See `Engine.staged`."""
        return self._engine.staged

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        """Return the signed note; VerificationError if the tree does not extend the last one signed."""
        return await self._do(lambda: self._engine.checkpoint(size, root, proof))

    async def answer(self, statement: Statement) -> str:
        """Return a JWS (`typ` macroslow-answer+jws) over the statement."""
        return await self._do(lambda: self._engine.answer(statement))

    async def history(self, statement: Statement) -> str:
        """Return a JWS (`typ` macroslow-history+jws) over the statement."""
        return await self._do(lambda: self._engine.history(statement))

    async def adopt(self, signed_note: bytes, proof: Sequence[bytes]) -> None:
        """See `Engine.adopt`."""
        await self._do(lambda: self._engine.adopt(signed_note, proof))

    async def stage(self, origin: str | None = None) -> LogPublicKey:
        """See `Engine.stage`."""
        return await self._do(lambda: self._engine.stage(origin))

    async def hand_over(self, receipt: bytes) -> None:
        """See `Engine.hand_over`."""
        await self._do(lambda: self._engine.hand_over(receipt))

    async def fork(self) -> None:
        """See `Engine.fork`: only where no server runs, on the operator's own word."""
        await self._do(self._engine.fork)

    async def close(self) -> None:
        """There is nothing to end."""

    async def _do(self, work: Callable[[], T]) -> T:
        async with self._turn:
            doing = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(doing)
            except asyncio.CancelledError:
                await asyncio.wait({doing})  # the next one must not begin beside it
                raise
            except OSError as error:
                raise LogUnavailableError(f"the signer cannot write: {error.strerror}") from error
