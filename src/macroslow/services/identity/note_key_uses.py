"""When keys were last used, written to the books by the minute: nothing of it is on the way of a request.

A process that is killed loses the uses of its last minute, and nothing else.
"""

import asyncio
from typing import Final

from macroslow.authn.keyring import KeyRing
from macroslow.authn.ports import PutKeyUse
from macroslow.errors import LogUnavailableError
from macroslow.workflow.books import Books

EVERY_S: Final = 60.0


class NoteKeyUses:
    """Writes what the key ring noted. One instance a process."""

    def __init__(self, books: Books, keyring: KeyRing) -> None:
        self._books = books
        self._keyring = keyring
        self._written_ns: dict[str, int] = {}

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.flush()
            except LogUnavailableError:
                continue  # readiness says so already; what was not written now is written later

    async def flush(self) -> None:
        """Write each use that is in another minute than the one written last, in one commit."""
        uses_ns = self._keyring.last_uses_ns()
        new_ns = {name: used for name, used in uses_ns.items() if used != self._written_ns.get(name)}
        if new_ns:
            await self._books.commit(*(PutKeyUse(name, used) for name, used in new_ns.items()))
            self._written_ns = uses_ns
