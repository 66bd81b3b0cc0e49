"""Readers: one thread with a connection that cannot write, one snapshot for each question."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from macroslow.adapters.sqlite._errors import translated
from macroslow.errors import LogUnavailableError

P = ParamSpec("P")
T = TypeVar("T")


class Reader:
    """Asks questions off the event loop, one after the other."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="books-reader")
        self._closed = False

    async def __call__(
        self,
        question: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what `question` answers about the last commit. LogUnavailableError if it cannot be read."""
        if self._closed:
            raise LogUnavailableError("the books are closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, lambda: self._ask(lambda: question(self._connection, *args, **kwargs))
        )

    async def close(self) -> None:
        """Answer what was asked and release the connection. Idempotent."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    def _ask(self, question: Callable[[], T]) -> T:
        with translated(self._path, LogUnavailableError):
            self._connection.execute("BEGIN")
            try:
                return question()
            finally:
                self._connection.execute("COMMIT")
