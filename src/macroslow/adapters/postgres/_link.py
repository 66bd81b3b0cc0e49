"""Connections to PostgreSQL: made with the settings that our promises need, remade when they are lost.

Every connection fixes what an operator's defaults could otherwise change: a commit is on disk before it
is answered, a peer that is gone is noticed within half a minute, and a transaction that its process left
standing (stopped, or cut off by the network) is ended by the server, so that nobody waits for it for ever.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, cast

import asyncpg

from macroslow.errors import ConflictError, LogUnavailableError

SCHEMA: Final = "macroslow"
CONNECT_S: Final = 10
ANSWER_S: Final = 30.0

_SETTINGS: Final[Mapping[str, str]] = {
    "application_name": "macroslow",
    "search_path": SCHEMA,
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "jit": "off",
    "lock_timeout": "15s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

BY_KEYS: Final[Mapping[str, str]] = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
"""For a connection that finds everything by its key: one plan for ever, instead of one for each question."""

Row = Sequence[Any]

CALLERS_FAULTS: Final = (
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,  # a text that is too long for its index
)
FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""All that the driver raises; time-outs are OSErrors."""

WAITED_TOO_LONG: Final = asyncpg.LockNotAvailableError


class Connection(Protocol):
    """What we use of the driver's connection. A `timeout` (s) takes the place of ANSWER_S."""

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str: ...  # noqa: ASYNC109

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[Row]: ...  # noqa: ASYNC109

    async def fetchrow(self, query: str, *args: object) -> Row | None: ...

    async def fetchval(self, query: str, *args: object) -> Any: ...

    def is_closed(self) -> bool: ...

    def is_in_transaction(self) -> bool: ...

    def terminate(self) -> None: ...

    async def close(self, *, timeout: float | None = None) -> None: ...  # noqa: ASYNC109


async def connect(
    url: str, settings: Mapping[str, str] | None = None, *, answer_s: float = ANSWER_S
) -> Connection:
    """Return a new connection. Raises what the driver raises; see `failure`."""
    made = await asyncpg.connect(
        url,
        timeout=CONNECT_S,
        command_timeout=answer_s,
        server_settings={**_SETTINGS, **(settings or {})},
        max_cached_statement_lifetime=0,
    )
    return cast(Connection, made)


class Link:
    """One connection that is used by one caller at a time and made anew when it was lost."""

    def __init__(self, url: str, settings: Mapping[str, str] | None = None) -> None:
        self._url = url
        self._settings = settings
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._closed = False

    @property
    def lost(self) -> bool:
        """Whether the connection broke that was lent last, and it is worth a try to make another."""
        return not self._closed and self._connection is not None and self._connection.is_closed()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """Lend the connection. LogUnavailableError if there is none to be had, or if it fails meanwhile.

        A transaction that is left standing is rolled back at once: it may hold what others wait for.
        """
        async with self._turn:
            with translated():
                connection = await self._open()
                try:
                    yield connection
                finally:
                    if not connection.is_closed() and connection.is_in_transaction():
                        await _roll_back(connection)

    async def close(self) -> None:
        """Release the connection. Idempotent."""
        self._closed = True
        async with self._turn:
            if self._connection is not None:
                with contextlib.suppress(*FAILURES):
                    await self._connection.close(timeout=CONNECT_S)
                self._connection = None

    async def _open(self) -> Connection:
        if self._closed:
            raise LogUnavailableError("the books are closed")
        if self._connection is None or self._connection.is_closed():
            self._connection = None  # a server that takes no connections is not asked again at once
            self._connection = await connect(self._url, self._settings)
        return self._connection


async def _roll_back(connection: Connection) -> None:
    try:
        await connection.execute("ROLLBACK")
    except FAILURES:
        connection.terminate()  # then the server rolls it back


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except FAILURES as error:
        raise failure(error) from error


def failure(error: Exception) -> ConflictError | ValueError | LogUnavailableError:
    """Return our error for one of the driver's: about a row, about a value, or about the store."""
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return ConflictError("a change contradicts what is stored", reason=str(error))
    if isinstance(error, CALLERS_FAULTS):
        return ValueError(f"a change cannot be stored: {error}")
    return LogUnavailableError(
        "the database cannot be used",  # what it said may name its address, which is the operator's to know
        fix="see whether PostgreSQL runs and can be reached; the next call tries again",
        reason=f"{type(error).__name__}: {error}",
    )
