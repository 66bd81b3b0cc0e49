"""The gateway's signing keys in this process, one signature at a time, off the event loop.

The signer refuses a checkpoint that does not extend the last one it signed, whatever its caller
believes: two inconsistent signed checkpoints are proof of a forked log. It makes statements only;
no key here can sign a document.
"""

import asyncio
from collections.abc import Sequence

from macroslow.crypto import statements
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import VerificationError
from macroslow.ports import NS_PER_S, Clock, Statement
from macroslow.tlog import tree
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.ports import TreeHead


class LocalSigner:
    """Implements `ports.Signer` with keys in memory.

    `last` is the tree head that was signed last, as a verified stored checkpoint gives it; None
    for a log that never had one. ValueError if a key is for another use or another log.
    """

    def __init__(
        self,
        *,
        log_key: LogPrivateKey,
        answer_key: HybridPrivateKey,
        history_key: HybridPrivateKey,
        origin: str,
        clock: Clock,
        last: TreeHead | None,
    ) -> None:
        if (answer_key.use, history_key.use) != (KeyUse.ANSWER, KeyUse.HISTORY):
            raise ValueError("the signer takes one key for answers and one for histories")
        if log_key.public.origin != origin:
            raise ValueError(f"the log key is of {log_key.public.origin!r}, not {origin!r}")
        self._log_key = log_key
        self._answer_key = answer_key
        self._history_key = history_key
        self._clock = clock
        self._last = last or TreeHead(0, tree.EMPTY_ROOT)
        self._turn = asyncio.Lock()

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        """Return the signed note; VerificationError if the tree does not extend the last one signed."""
        async with self._turn:
            if size < self._last.size:
                raise VerificationError(f"a tree of {self._last.size} entries was signed already")
            tree.verify_consistency(self._last.size, self._last.root, size, root, proof)
            # Before signing: a signature that its caller never saw counts as made.
            self._last = TreeHead(size, root)
            time_s = self._clock.now_ns() // NS_PER_S
            return await asyncio.to_thread(self._log_key.sign_checkpoint, size, root, time_s=time_s)

    async def answer(self, statement: Statement) -> str:
        """Return a JWS (`typ` macroslow-answer+jws) over the statement."""
        return await self._state(statement, self._answer_key)

    async def history(self, statement: Statement) -> str:
        """Return a JWS (`typ` macroslow-history+jws) over the statement."""
        return await self._state(statement, self._history_key)

    async def _state(self, statement: Statement, key: HybridPrivateKey) -> str:
        issued_ns = self._clock.now_ns()
        async with self._turn:
            return await asyncio.to_thread(statements.sign, statement, key, issued_ns=issued_ns)
