"""Check the whole log from its rows up: what an auditor with the database would do.

Every leaf is hashed again and the root computed from nothing else; the newest signed checkpoint and,
if given, an older one that somebody kept must both lie on that tree; every payload and part must be the
one its leaf commits to, and open under a key of whom its row names, or be erased as an entry of the log
tells; the stored tiles must be those of the tree; and the ledger's counters must be what its rows add up to.

What does not open though no entry tells of its erasure is counted, the rest is verified all the same, and
then the log is not sound: whoever destroys a key, or hangs a row on somebody else, is found.

Whoever verified the log up to a checkpoint, and kept that, may go on from there: the tree below it is
taken from the stored tiles, whose root must be the checkpoint's.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.errors import BadRequestError, VerificationError
from macroslow.ports import Progress, unheard
from macroslow.services.audit.unreadable import Opening
from macroslow.services.erasure.erasure_accounts import ErasureAccounts
from macroslow.tlog.checkpoint import Checkpoint, LogPublicKey
from macroslow.tlog.event import EventType
from macroslow.tlog.leaf import LeafFacts, erased_by, leaf_hash, parse_leaf, part_hashes
from macroslow.tlog.ports import TreeHead
from macroslow.tlog.succession import verify_under
from macroslow.tlog.tree import TILE_HEIGHT, TILE_WIDTH, CompletedTile, Edge
from macroslow.workflow.books import Books, Wanted

CHUNK: Final = 1024  # entries read at once
_ERASURES: Final = Wanted(types=frozenset({EventType.SUBJECT_ERASED}))


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found sound: `entries` in the log, `signed` of them under the newest checkpoint.

    `since` is the size of the checkpoint that the caller brought, None if none was; entries from `start`
    on were read, and `erased` counts what is gone from entries as the log tells, in erasures that were read.
    The entries `erased_as` tell of it. The ledger's counters are sound too.
    """

    entries: int
    signed: int
    root_sha256: str
    since: int | None
    start: int
    erased: int
    erased_as: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyLog:
    """Raises VerificationError at the first thing that is wrong, and says which entry it is.

    `progress` hears how many entries are done, of how many.
    """

    books: Books
    log_key: LogPublicKey
    progress: Progress = unheard
    others: Sequence[LogPublicKey] = ()  # keys of the same log, which `log_key` leads to or which led to it

    async def __call__(self, *, since: bytes | None = None, resume: bool = False) -> Verified:
        """Verify everything; `since` is a signed note that somebody kept, and `resume` goes on from there."""
        head = await self.books.head()
        newest = await self._newest(head.size)
        kept = None if since is None else verify_under(since, [self.log_key, *self.others])
        if kept is not None and kept.size > head.size:
            raise VerificationError(
                f"the log has {head.size} entries, the checkpoint that you kept {kept.size}: entries are gone"
            )
        if resume and kept is None:
            raise BadRequestError("there is no checkpoint to go on from", fix="bring the one that you kept")
        start = kept.size if kept is not None and resume else 0
        signed = [checkpoint for checkpoint in (kept, newest) if checkpoint is not None]
        accounts, opening = await self._erasures_since(start), Opening(self.books)
        root = await self._root(start, head.size, signed, accounts, opening)
        if root != head.root:
            raise VerificationError("the stored tree is not the tree of the stored entries")
        await accounts.check(self.books, head.size)
        await self._check_ledger()
        opening.check()
        return Verified(
            entries=head.size,
            signed=newest.size if newest else 0,
            root_sha256=root.hex(),
            since=kept.size if kept else None,
            start=start,
            erased=accounts.erased,
            erased_as=accounts.tellers,
        )

    async def _root(
        self,
        start: int,
        size: int,
        signed: Sequence[Checkpoint],
        accounts: ErasureAccounts,
        opening: Opening,
    ) -> bytes:
        """The root of the first `size` entries as they are stored, every signed one checked on the way."""
        sizes = {checkpoint.size for checkpoint in signed}
        for below in sorted(each for each in sizes if each < start):
            _check_signed(signed, (await self._stored_edge(below)).head())
        edge = await self._stored_edge(start)
        _check_signed(signed, edge.head())
        for first in range(start, size, CHUNK):
            end = min(first + CHUNK, size)
            for index, leaf in await self._checked_leaves(first, end, accounts):
                for tile in edge.append(leaf_hash(leaf)):
                    await self._check_tile(tile)
                if index + 1 in sizes:
                    _check_signed(signed, edge.head())
            await opening.open(first, end)
            self.progress(end - start, size - start)
        return edge.head().root

    async def _checked_leaves(
        self, start: int, end: int, accounts: ErasureAccounts
    ) -> list[tuple[int, bytes]]:
        """Index and leaf of [start, end), each with a payload and parts that are whole or gone as told."""
        rows = await self.books.stored(start, end)
        if len(rows) != end - start:
            raise VerificationError(f"entries are missing: of {start} to {end - 1} there are {len(rows)}")
        parts: dict[int, dict[int, bytes]] = {}
        for index, position, sealed in await self.books.stored_parts(start, end):
            parts.setdefault(index, {})[position] = sealed
        for index, (leaf, payload) in enumerate(rows, start):
            facts = _facts(index, leaf)
            if facts.type == EventType.SUBJECT_ERASED:
                accounts.tells(index)
            _check_payload(index, facts, payload, accounts)
            _check_parts(index, facts, payload, parts.get(index, {}), accounts)
        return [(index, leaf) for index, (leaf, _) in enumerate(rows, start)]

    async def _check_tile(self, tile: CompletedTile) -> None:
        if await self.books.tile(tile.level, tile.index, TILE_WIDTH) != tile.data:
            raise VerificationError(f"the stored tile {tile.level}/{tile.index} was altered")

    async def _stored_edge(self, size: int) -> Edge:
        """The edge of the tree of the first `size` entries, from the stored tiles."""
        tiles: dict[tuple[int, int], bytes] = {}
        level = 0
        while width := size >> TILE_HEIGHT * level:
            index, width = divmod(width, TILE_WIDTH)
            if width:
                tiles[level, index] = await self.books.tile(level, index, width) or b""
            level += 1
        return Edge.rebuild(size, lambda level, index, _: tiles[level, index])

    async def _erasures_since(self, start: int) -> ErasureAccounts:
        """What erasures from `start` on took of the entries before it."""
        accounts = ErasureAccounts()
        at = start or None
        while at is not None:
            found = await self.books.find(_ERASURES, at, CHUNK)
            for told in found.entries:
                accounts.tells(told.index)
            at = found.next
        for first in range(0, start if accounts else 0, CHUNK):
            await self._note_older(first, min(first + CHUNK, start), accounts)
        return accounts

    async def _note_older(self, start: int, end: int, accounts: ErasureAccounts) -> None:
        rows, parts = await self.books.stored(start, end), await self.books.stored_parts(start, end)
        stored = [(index, 0, payload) for index, (_, payload) in enumerate(rows, start)]
        stored += [(index, 1 + position, sealed) for index, position, sealed in parts]
        for index, place, each in sorted(stored):
            teller = erased_by(each)
            if teller is not None:
                accounts.note_older(index, place, _facts(index, rows[index - start][0]).type, teller)

    async def _newest(self, size: int) -> Checkpoint | None:
        stored = await self.books.checkpoint()
        if stored is None:
            return None
        checkpoint = verify_under(stored[1], [self.log_key, *self.others])
        if checkpoint.size > size:
            raise VerificationError(
                f"the log has {size} entries, its own newest checkpoint {checkpoint.size}: entries are gone"
            )
        return checkpoint

    async def _check_ledger(self) -> None:
        differences = await self.books.audit_ledger()
        if differences:
            first = differences[0]
            raise VerificationError(
                f"the ledger does not add up: {first.where} says {first.counter}, its rows {first.rows}"
            )


def _facts(index: int, leaf: bytes) -> LeafFacts:
    try:
        return parse_leaf(leaf)
    except VerificationError as error:
        raise VerificationError(f"entry {index} was altered: {error.detail}") from None


def _check_payload(index: int, facts: LeafFacts, payload: bytes, accounts: ErasureAccounts) -> None:
    teller = erased_by(payload)
    if teller is not None:
        accounts.note(index, 0, facts.type, teller)
    elif facts.payload_sha256 != hashlib.sha256(payload).digest():
        raise VerificationError(f"entry {index} was altered: its payload is not the one its leaf commits to")


def _check_parts(
    index: int, facts: LeafFacts, payload: bytes, parts: dict[int, bytes], accounts: ErasureAccounts
) -> None:
    """`parts` by their places. Of an entry that was erased, those are left that had been erased before."""
    if not facts.shared and not parts:
        return
    whole = facts.shared and erased_by(payload) is None
    hashes = part_hashes(payload) if whole else ()
    if (whole or not facts.shared) and sorted(parts) != list(range(len(hashes))):
        raise VerificationError(f"entry {index} was altered: its leaf commits to {len(hashes)} parts")
    for position, sealed in parts.items():
        teller = erased_by(sealed)
        if teller is not None:
            accounts.note(index, 1 + position, facts.type, teller)
        elif not whole or hashlib.sha256(sealed).digest() != hashes[position]:
            raise VerificationError(f"entry {index} was altered: its part {position} is not its leaf's")


def _check_signed(signed: Sequence[Checkpoint], head: TreeHead) -> None:
    """Compare every checkpoint of this size: that somebody kept one and ours is another is the point."""
    for checkpoint in signed:
        if checkpoint.size == head.size and checkpoint.root != head.root:
            raise VerificationError(
                f"the first {checkpoint.size} entries are not those that were signed: an entry was altered,"
                " added or removed after the fact"
            )
