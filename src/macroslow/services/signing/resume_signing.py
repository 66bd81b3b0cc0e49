"""At a start: what was signed is held against what is stored, before anything new is.

The signer knows the last tree that it signed from outside the state folder. A log that has fewer entries, or
others, is not the one that was signed: an older copy was put back, or somebody changed it. To go on from
there would be a fork, of which every receipt that was given out is the proof.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from macroslow.errors import ConfigurationError, VerificationError
from macroslow.tlog import tree
from macroslow.tlog.ports import Mark, StoreCheckpoint, TreeHead
from macroslow.workflow.books import Books

REPAIR: Final = (
    "restore the newest backup of the state folder; if there is none, say so and begin a log of a new name:"
    " macroslow audit fork --reason TEXT"
)


class ResumedSigner(Protocol):
    """A signer that knows what it signed last."""

    @property
    def last(self) -> TreeHead: ...

    @property
    def mark(self) -> Mark | None: ...

    async def adopt(self, signed_note: bytes, proof: Sequence[bytes]) -> None: ...

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes: ...


async def resume_signing(books: Books, signer: ResumedSigner) -> None:
    """Agree with the signer about what is signed, so that the next checkpoint extends the last.

    ConfigurationError for a log that is not the one that was signed; VerificationError for a stored
    checkpoint that none of the log's keys signed. Where others sign the same log, it is begun again from what
    they signed meanwhile.
    """
    _check_ended(signer.mark)
    while True:
        known = signer.last
        try:
            return await _resume(books, signer)
        except VerificationError:
            if signer.last == known:
                raise


async def _resume(books: Books, signer: ResumedSigner) -> None:
    stored = await books.checkpoint()
    head = await books.head()
    stored_size = 0 if stored is None else stored[0]
    await _check(books, head, signer.last, stored_size, signer.mark)
    if stored is not None:
        await signer.adopt(stored[1], await _proof(books, signer.last.size, stored_size))
    last = signer.last
    if last.size > stored_size:  # a crash came between the mark and the store
        await _store(books, signer, last, [])
    elif last.size < stored_size:  # a fork came between: what was signed before binds it no more
        await _store(books, signer, head, await _proof(books, last.size, head.size))


async def _store(books: Books, signer: ResumedSigner, head: TreeHead, proof: Sequence[bytes]) -> None:
    note = await signer.checkpoint(head.size, head.root, proof)
    await books.commit(StoreCheckpoint(head.size, note))


def check_noted(mark: Mark | None, entries: int) -> None:
    """What a mark says of a log with so many entries: ConfigurationError if no start goes on with it."""
    _check_ended(mark)
    if mark is not None:
        _check_size(entries, mark.head.size, mark)


def _check_ended(mark: Mark | None) -> None:
    if mark is not None and mark.forked_to:
        raise ConfigurationError(
            f"this log was declared forked at {mark.forked_at}: it is {mark.forked_to} now, and this is a"
            " copy of the old one",
            fix=f"go on with the state folder of {mark.forked_to}; if that is lost, begin another log:"
            " macroslow audit fork --reason TEXT",
        )


async def _check(books: Books, head: TreeHead, signed: TreeHead, stored_size: int, mark: Mark | None) -> None:
    _check_size(head.size, max(signed.size, stored_size), mark)
    try:
        proof = await _proof(books, signed.size, head.size)
        tree.verify_consistency(signed.size, signed.root, head.size, head.root, proof)
    except VerificationError:
        raise _another(
            f"the log has {head.size} entries, and the first {signed.size} are not those that were signed",
            mark,
        ) from None


def _check_size(entries: int, signed: int, mark: Mark | None) -> None:
    if entries < signed:
        raise _another(
            f"the log has {entries} entries, and {signed} were signed: this is an older copy of it", mark
        )


def _another(detail: str, mark: Mark | None) -> ConfigurationError:
    """The refusal; where another folder signed last, that is the first thing to look at."""
    if mark is None or not mark.signed_from:
        when = f" (signed last at {mark.signed_at})" if mark is not None and mark.signed_at else ""
        return ConfigurationError(detail + when, fix=REPAIR)
    return ConfigurationError(
        f"{detail} (signed last from {mark.signed_from} at {mark.signed_at})",
        fix=f"if {mark.signed_from} is a copy that was started by mistake: end it, and if nobody got a"
        f" receipt or checkpoint from it put its mark aside (mv {mark.path} {mark.path}.bad), else go on"
        f" with it in the place of this folder. Otherwise {REPAIR}",
    )


async def _proof(books: Books, first: int, second: int) -> Sequence[bytes]:
    return await books.consistency_proof(first, second) if 0 < first <= second else []
