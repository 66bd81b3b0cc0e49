"""One process's batches: locked, looked up, decided, written, committed; and what to think of a lost COMMIT.

All processes take the same advisory lock for each batch, so batches come one after the other, every
batch sees all that was committed before it, and the log cannot fork. The lock belongs to the transaction
that writes: whoever lost his session, or was stopped until the server ended it, has lost both together,
and what he still sends is refused. Then nothing was committed, and the batch is decided anew.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.adapters.postgres._deciding import Deciding
from macroslow.adapters.postgres._erasing import carry_out
from macroslow.adapters.postgres._group import CommitOutcome
from macroslow.adapters.postgres._link import WAITED_TOO_LONG, Connection, Link
from macroslow.adapters.postgres._log import grown
from macroslow.adapters.postgres._look import Memory, look
from macroslow.adapters.postgres._schema import LOCK
from macroslow.adapters.postgres._subjects import SubjectKeys
from macroslow.adapters.postgres._tree import KnownTree
from macroslow.adapters.postgres._wanted import Wanted
from macroslow.adapters.postgres._write import Signed, write
from macroslow.errors import LogUnavailableError
from macroslow.ports import Entropy
from macroslow.tlog.tree import Edge
from macroslow.workflow.books import Change

ATTEMPTS: Final = 3
"""How often a batch is made whose session the server ended before its COMMIT: decided anew each time."""

BATCH_BYTES: Final = 16
ASK_AGAIN_S: Final = (0.0, 0.1, 0.3, 1.0, 3.0, 5.0)
"""When the outcome of a COMMIT that was cut off is asked for, until the server is back."""

_LAST_BATCH: Final = "SELECT batch = $2, epoch = $3 FROM owners WHERE owner = $1"


@dataclass(frozen=True, slots=True)
class _Made:
    """A batch that is decided and written, but for its COMMIT."""

    outcomes: Sequence[CommitOutcome]
    edge: Edge
    names: Mapping[str, int]


class Writer:
    """Implements `_group.Transaction`. `tree` is shared with the readers."""

    def __init__(
        self, link: Link, tree: KnownTree, subjects: SubjectKeys, entropy: Entropy, owner: str, epoch: int
    ) -> None:
        self._link = link
        self._tree = tree
        self._subjects = subjects
        self._entropy = entropy
        self._owner = owner
        self._epoch = epoch
        self._memory = Memory()

    async def __call__(self, lists: Sequence[Sequence[Change]]) -> Sequence[CommitOutcome]:
        """Commit the lists; each is decided by itself. See `_group.Transaction` for what is raised."""
        wanted = Wanted()
        for changes in lists:
            wanted.add(changes)
        made = await self._attempt(wanted, lists)
        for _ in range(1, ATTEMPTS):
            if isinstance(made, LogUnavailableError):
                made = await self._attempt(wanted, lists)
        if isinstance(made, LogUnavailableError):
            raise made
        self._tree.edge = made.edge
        self._memory.learn(made.names)
        return made.outcomes

    async def _attempt(
        self, wanted: Wanted, lists: Sequence[Sequence[Change]]
    ) -> _Made | LogUnavailableError:
        """Return what was committed, or why for certain nothing was, though it may be with a new session."""
        signed, made = Signed(self._owner, self._epoch, self._entropy.random(BATCH_BYTES)), None
        try:
            async with self._link.use() as connection:
                made = await self._make(connection, wanted, lists, signed)
                await connection.execute("COMMIT")
        except LogUnavailableError as error:
            if made is None:
                if _ended(self._link, error):
                    return error
                raise
            return made if await self._was_committed(signed) else error
        return made

    async def _make(
        self, connection: Connection, wanted: Wanted, lists: Sequence[Sequence[Change]], signed: Signed
    ) -> _Made:
        await connection.execute(f"BEGIN; {LOCK}")
        state = await look(connection, wanted, self._tree, self._memory, self._subjects)
        decide = Deciding(state, self._subjects, self._entropy)
        outcomes = [_outcome(decide, changes) for changes in lists]
        edge, tiles = grown(state)
        if state.changed:
            await carry_out(connection, state)
            await write(connection, state, edge.head(), tiles, signed)
        return _Made(outcomes, edge, state.names.known())

    async def _was_committed(self, signed: Signed) -> bool:
        """Whether the COMMIT took effect whose answer was lost. LogUnavailableError if nobody can tell."""
        for wait_s in ASK_AGAIN_S:
            await asyncio.sleep(wait_s)
            try:
                async with self._link.use() as connection:
                    # Our old session holds the lock until its transaction has ended, one way or the other.
                    await connection.execute(f"BEGIN; {LOCK}")
                    last = await connection.fetchrow(_LAST_BATCH, signed.owner, signed.batch, signed.epoch)
                    await connection.execute("ROLLBACK")
            except LogUnavailableError:
                continue
            ours, our_epoch = last or (False, False)
            if ours or our_epoch:  # else a batch of our successor may have taken the place of ours
                return bool(ours)
            break
        raise LogUnavailableError(
            "the database was lost while it committed: whether these changes were made is not known",
            fix="see whether PostgreSQL runs; open reservations are settled when it is back",
        )


def _ended(link: Link, error: LogUnavailableError) -> bool:
    """Whether the server ended the session, or the wait for the lock: a stalled machine looks like this."""
    return link.lost or isinstance(error.__cause__, WAITED_TOO_LONG)


def _outcome(decide: Deciding, changes: Sequence[Change]) -> CommitOutcome:
    try:
        return decide(changes)
    except Exception as error:  # noqa: BLE001  the outermost handler of a batch: each caller gets his own
        return error
