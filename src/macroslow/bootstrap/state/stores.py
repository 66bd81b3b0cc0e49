"""Where the books and the counts of providers' limits are kept: in this process's folder, or shared."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from macroslow.adapters.sqlite import SqliteBooks
from macroslow.adapters.statefolder import StateFolder
from macroslow.bootstrap.machine import clock, entropy
from macroslow.crypto.quad import Quad
from macroslow.limits.ports import RateStore
from macroslow.ports import NS_PER_MS
from macroslow.secretstore.secret import Secret
from macroslow.services.calls.rate_rounds import RateRounds
from macroslow.settings import Settings
from macroslow.workflow.books import Books

BOOKS_FILE: Final = "books.sqlite"


@dataclass(frozen=True, slots=True)
class Stores:
    """The books, and who else writes them.

    `alive` tells of an owner of reservations whether it may still settle them. `identities` grows when any
    process changes a key or signer; None: only this process does.
    """

    books: Books
    alive: Callable[[str], Awaitable[bool]]
    identities: Callable[[], Awaitable[int]] | None

    @property
    def shared(self) -> bool:
        """Whether other processes use the same books."""
        return self.identities is not None


def begin_books(settings: Settings, folder: StateFolder) -> None:
    """Put an empty file of books into a folder that has no keys yet; the caller then makes them.

    So keys without any books are those of books that were lost, and not of a first start that was cut off.
    """
    if settings.state.database is None and not folder.has_keys:
        (folder.path / BOOKS_FILE).touch(mode=0o600)


@asynccontextmanager
async def open_stores(
    settings: Settings,
    folder: StateFolder,
    quad: Quad,
    owner: str,
    secrets: Mapping[str, Secret],
    *,
    reading: bool,
) -> AsyncIterator[Stores]:
    """Open the books that the configuration names, and close them; who is `reading` begins none.

    ConfigurationError.
    """
    database = secrets.get("state.database")
    window_ns = settings.log.commit_window_ms * NS_PER_MS
    if database is None:
        path = folder.path / BOOKS_FILE
        books = await SqliteBooks.open(
            path,
            sealer=quad,
            entropy=entropy,
            clock=clock,
            commit_window_ns=window_ns,
            begin=path.exists() and not reading,  # missing beside keys (see `begin_books`): they were lost
        )
        try:
            yield Stores(books, _only(owner), None)
        finally:
            await books.close()
        return
    from macroslow.adapters.postgres import PostgresBooks  # here: its driver is an extra of the package

    shared = await PostgresBooks.open(
        database.reveal(), owner=owner, sealer=quad, entropy=entropy, clock=clock, commit_window_ns=window_ns
    )
    try:
        yield Stores(shared, shared.is_alive, shared.identities_version)
    finally:
        await shared.close()


@asynccontextmanager
async def open_rates(secrets: Mapping[str, Secret]) -> AsyncIterator[RateStore | None]:
    """Shared counts of the providers' limits: in Redis, else beside shared books; None: our own."""
    redis, database = secrets.get("state.rates"), secrets.get("state.database")
    if redis is not None:
        from macroslow.adapters.redis import RedisRates  # here: its client is an extra of the package

        rates = RateRounds(await RedisRates.open(redis.reveal()))
    elif database is not None:
        from macroslow.adapters.postgres.rates import PostgresRates  # here: for the same reason

        rates = RateRounds(await PostgresRates.open(database.reveal()))
    else:
        yield None
        return
    try:
        yield rates
    finally:
        await rates.close()


def _only(owner: str) -> Callable[[str], Awaitable[bool]]:
    async def alive(asked: str) -> bool:
        return asked == owner

    return alive
