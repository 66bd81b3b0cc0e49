"""The books in one PostgreSQL database, for any number of processes at once.

A commit is durable when it returns (`synchronous_commit = on`). Each process gathers its callers' changes
for a moment and writes them in one transaction, under a lock that all processes share; it decides on what
the database holds at that moment and believes nothing from before but the log's own tree, which it grows
from the stored leaves and compares with the stored root.

Reading answers from the last commit of any process. Each process uses three connections, made directly:
a pooler that shares sessions between transactions would lose the lock that says who lives.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate, Final, ParamSpec, Self, TypeVar

from macroslow.adapters.postgres import _identities as identities
from macroslow.adapters.postgres import _journal_reads as journal_reads
from macroslow.adapters.postgres import _ledger_reads as ledger_reads
from macroslow.adapters.postgres import _log_reads as log_reads
from macroslow.adapters.postgres._group import GroupCommit
from macroslow.adapters.postgres._link import BY_KEYS, FAILURES, Connection, Link
from macroslow.adapters.postgres._presence import GRACE_S, Presence, is_alive
from macroslow.adapters.postgres._schema import prepare
from macroslow.adapters.postgres._subjects import SubjectKeys
from macroslow.adapters.postgres._tree import KnownTree, rebuild
from macroslow.adapters.postgres._vacuum import vacuum
from macroslow.adapters.postgres._writer import Writer
from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.ports import KeyRecord, SignerRecord
from macroslow.errors import (
    ConfigurationError,
    DecryptionFailedError,
    LogUnavailableError,
    MacroslowError,
    VerificationError,
)
from macroslow.metering.ledger import (
    MAX_TAG_BUDGETS,
    USAGE_GROUPS,
    Account,
    DailyUsage,
    LedgerDifference,
    OpenReservation,
    RecentCall,
    UsageRow,
)
from macroslow.ports import Clock, Entropy
from macroslow.secretstore.ports import Sealer
from macroslow.tlog.event import EventClass
from macroslow.tlog.ports import Entry, EraseSubject, HeldEntry, Kept, StoreAnchor, TreeHead
from macroslow.tlog.tree import HASH_BYTES, consistency_proof, inclusion_proof
from macroslow.workflow.books import Change, Found, LoggedEvent, Wanted
from macroslow.workflow.journal import Run
from macroslow.workflow.replies import BindId, Reply

P = ParamSpec("P")
T = TypeVar("T")

COMMIT_WINDOW_NS: Final = 5_000_000


class PostgresBooks:
    """`workflow.books.Books` in one database. Belongs to the event loop that opened it."""

    def __init__(
        self,
        group: GroupCommit,
        writing: Link,
        reading: Link,
        presence: Presence,
        tree: KnownTree,
        subjects: SubjectKeys,
        url: str,
        grace_s: float,
    ) -> None:
        self._group = group
        self._writing = writing
        self._reading = reading
        self._presence = presence
        self._tree = tree
        self._subjects = subjects
        self._url = url
        self._grace_s = grace_s

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        owner: str,
        sealer: Sealer,
        entropy: Entropy,
        clock: Clock,
        commit_window_ns: int = COMMIT_WINDOW_NS,
        grace_s: float = GRACE_S,
    ) -> Self:
        """Open the database at `url` (postgresql://…), making the tables if there are none.

        `owner` is this process's name, no other's. All processes must be given the same `sealer` keys.
        ConfigurationError, with the repair, if it cannot be used.
        """
        await prepare(url)
        subjects = SubjectKeys(sealer, entropy)
        presence, reading, writing = Presence(url, owner), Link(url), Link(url, BY_KEYS)
        try:
            epoch = await presence.start()
            async with reading.use() as connection:
                await subjects.check(connection)
                tree = await rebuild(connection)
        except (*FAILURES, MacroslowError) as error:
            await presence.close()
            await reading.close()
            raise _unusable(error) from error
        group = GroupCommit(Writer(writing, tree, subjects, entropy, owner, epoch), clock, commit_window_ns)
        return cls(group, writing, reading, presence, tree, subjects, url, grace_s)

    async def commit(self, *changes: Change) -> list[Entry]:
        entries = await self._group.commit(changes)
        if any(isinstance(change, EraseSubject) for change in changes):
            self._subjects.forget()
            await vacuum(self._url)
        return entries

    async def close(self) -> None:
        await self._group.close()
        await self._writing.close()
        await self._reading.close()
        await self._presence.close()

    async def is_alive(self, owner: str) -> bool:
        """Whether the process that goes by this name lives, or may still come back."""
        return await self._read(is_alive, owner, self._grace_s)

    # The ledger

    async def account(self, account_id: str) -> Account | None:
        return await self._read(ledger_reads.account, account_id)

    async def open_reservations(self) -> list[OpenReservation]:
        return await self._read(ledger_reads.open_reservations)

    async def open_child_accounts(self) -> list[Account]:
        return await self._read(ledger_reads.open_child_accounts)

    async def budget_accounts(self, now_s: int, tags: int = MAX_TAG_BUDGETS) -> list[Account]:
        return await self._read(ledger_reads.budget_accounts, now_s, tags)

    async def accounts_of_keys(self) -> dict[str, Account]:
        return await self._read(ledger_reads.accounts_of_keys)

    async def recent_calls(self, since_ns: int) -> list[RecentCall]:
        return await self._read(ledger_reads.recent_calls, since_ns)

    async def usage(
        self, by: str, *, principal: str | None = None, first_day: str = "", last_day: str = ""
    ) -> list[UsageRow]:
        if by not in USAGE_GROUPS:
            raise ValueError(f"usage is grouped by one of {', '.join(USAGE_GROUPS)}, not {by!r}")
        return await self._read(ledger_reads.usage, by, principal, first_day, last_day)

    async def daily_usage(self, provider: str, first_day: str, last_day: str) -> list[DailyUsage]:
        return await self._read(ledger_reads.daily_usage, provider, first_day, last_day)

    async def run_usage(self, run_id: str) -> list[UsageRow]:
        return await self._read(ledger_reads.run_usage, run_id)

    async def audit_ledger(self) -> list[LedgerDifference]:
        return await self._read(ledger_reads.audit_ledger)

    # The log

    async def head(self) -> TreeHead:
        return await self._read(self._tree.head)

    async def checkpoint(self) -> tuple[int, bytes] | None:
        return await self._read(log_reads.checkpoint)

    async def anchor(self, index: int) -> StoreAnchor | None:
        return await self._read(log_reads.anchor, index)

    async def newest_anchor(self) -> StoreAnchor | None:
        return await self._read(log_reads.newest_anchor)

    async def kept_receipt(self, request_id: str) -> Kept | None:
        return await self._read(log_reads.kept_receipt, request_id)

    async def entry(self, index: int) -> Entry | None:
        return await self._read(log_reads.entry, self._subjects, index)

    async def entries(self, start: int, limit: int) -> list[LoggedEvent]:
        return await self._read(log_reads.entries, self._subjects, start, limit)

    async def find(self, wanted: Wanted, start: int, limit: int) -> Found:
        return await self._read(log_reads.find, self._subjects, wanted, start, limit)

    async def held_entries(
        self, subject: str, classes: frozenset[EventClass], start: int, limit: int
    ) -> list[HeldEntry]:
        return await self._read(log_reads.held_entries, subject, classes, start, limit)

    async def leaves(self, start: int, end: int) -> list[bytes]:
        return await self._read(log_reads.leaves, start, end)

    async def stored(self, start: int, end: int) -> list[tuple[bytes, bytes]]:
        return await self._read(log_reads.stored, start, end)

    async def stored_parts(self, start: int, end: int) -> list[tuple[int, int, bytes]]:
        return await self._read(log_reads.stored_parts, start, end)

    async def tile(self, level: int, index: int, width: int) -> bytes | None:
        hashes = await self._read(self._tree.tile, level, index, width)
        return hashes if len(hashes) == width * HASH_BYTES else None

    async def inclusion_proof(self, index: int, size: int) -> Sequence[bytes]:
        return await self._read(
            self._tree.read, size, (index, size), lambda tiles: inclusion_proof(index, size, tiles)
        )

    async def consistency_proof(self, first: int, second: int) -> Sequence[bytes]:
        return await self._read(
            self._tree.read,
            second,
            (first - 1, second),
            lambda tiles: consistency_proof(first, second, tiles),
        )

    # The journal, replies and identities

    async def run(self, run_id: str) -> Run | None:
        return await self._read(journal_reads.run, run_id)

    async def runs(self, principal: str | None, *, limit: int = 100) -> list[Run]:
        return await self._read(journal_reads.runs, principal, limit)

    async def running(self) -> list[Run]:
        return await self._read(journal_reads.running)

    async def sealed_object(self, run_id: str, kind: str) -> tuple[str, bytes] | None:
        return await self._read(journal_reads.sealed_object, run_id, kind)

    async def reply(self, principal: str, key: str) -> Reply | None:
        return await self._read(journal_reads.reply, self._subjects, principal, key)

    async def bound_id(self, id: str) -> BindId | None:  # noqa: A002 - the port's word for it
        return await self._read(journal_reads.bound_id, id)

    async def keys(self) -> list[KeyRecord]:
        return await self._read(identities.keys)

    async def key_uses(self) -> dict[str, int]:
        return await self._read(identities.key_uses)

    async def signers(self) -> list[SignerRecord]:
        return await self._read(identities.signers)

    async def revocations(self) -> list[Revocation]:
        return await self._read(identities.revocations)

    async def identities_version(self) -> int:
        """A number that grows whenever a process changes a client key or a signer."""
        return await self._read(identities.version)

    async def _read(
        self,
        question: Callable[Concatenate[Connection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        try:
            async with self._reading.use() as connection:
                return await question(connection, *args, **kwargs)
        except LogUnavailableError:
            if not self._reading.lost:
                raise
        async with self._reading.use() as connection:  # asking twice is no harm
            return await question(connection, *args, **kwargs)


def _unusable(error: BaseException) -> ConfigurationError:
    match error:
        case ConfigurationError():
            return error
        case DecryptionFailedError():
            return ConfigurationError(
                "the database is sealed with the keys of another gateway",
                fix="give this process the keys folder of the processes that use the database already",
            )
        case VerificationError():
            return ConfigurationError(
                f"the log in the database is damaged: {error.detail}",
                fix="keep the database as evidence and restore the newest backup",
            )
        case _:
            said = error.reason if isinstance(error, LogUnavailableError) else error
            return ConfigurationError(
                f"the database cannot be used: {said}", fix="see whether PostgreSQL runs and can be reached"
            )
