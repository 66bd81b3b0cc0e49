"""The operator's verbs about the log."""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Final, Protocol

from pydantic import Field

from macroslow.errors import BadRequestError, LogUnavailableError
from macroslow.ports import Progress, unheard
from macroslow.services.audit.known_names import held_as, require_text
from macroslow.services.audit.report_log import Asked, ReportLog
from macroslow.services.audit.search_log import Search, SearchLog
from macroslow.services.audit.tell_entry import told, types_named
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.services.erasure.erase_subject import EraseSubjects
from macroslow.services.proofs.export_log import FILES_AT_ONCE
from macroslow.services.proofs.prove_entry import ProveEntry, no_entry
from macroslow.services.proofs.read_tiles import ReadTiles
from macroslow.services.proofs.rotate_log_key import KeyKeeper
from macroslow.services.signing.checkpoint_log import CheckpointLog
from macroslow.services.verbs import MAX_TIME_NS, Reason, Texts, TimeNs, Whole
from macroslow.tlog import note
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.ports import TreeHead
from macroslow.tlog.succession import verify_under
from macroslow.tlog.tiles import CHECKPOINT
from macroslow.workflow.books import Books, Wanted

MAX_TAIL: Final = 1000  # entries that one `audit.tail` or `audit.search` returns

Tail = Annotated[int, Field(ge=0, le=MAX_TAIL)]
Count = Annotated[int, Field(ge=1, le=MAX_TAIL)]
Paths = Annotated[Texts, Field(max_length=FILES_AT_ONCE)]
Words = Annotated[str, Field(max_length=1000)]


class MarkedKeeper(KeyKeeper, Protocol):
    """One that knows what it signed last."""

    @property
    def last(self) -> TreeHead: ...


@dataclass(frozen=True, slots=True)
class AuditVerbs:
    """Every verb takes JSON and returns JSON."""

    books: Books
    checkpoints: CheckpointLog
    proofs: ProveEntry
    keeper: MarkedKeeper
    erasure: EraseSubjects
    progress: Progress = unheard

    async def tail(self, count: Tail = 20, start: Whole | None = None) -> object:
        head = await self.books.head()
        first = max(0, head.size - count) if start is None else start
        opened = await self.books.entries(first, count)
        return {"size": head.size, "entries": [told(entry) for entry in opened]}

    async def show(self, index: Whole) -> object:
        opened = await self.books.entries(index, 1)
        if not opened:
            raise no_entry(index)
        return told(opened[0])

    async def search(
        self,
        subject: str | None = None,
        types: Texts = (),
        from_ns: TimeNs = 0,
        until_ns: TimeNs = MAX_TIME_NS,
        request_id: str | None = None,
        text: Words | None = None,
        start: Whole = 0,
        count: Count = 100,
    ) -> object:
        """Entries that fit, oldest first, from index `start` on; `next` is where to look on, if anywhere."""
        for option, given in {"subject": subject, "request": request_id, "text": text}.items():
            require_text(option, given)
        name = None if subject is None else await held_as(self.books, subject) or subject
        wanted = Wanted(name, types_named(types), *_times(from_ns, until_ns))
        search = Search(wanted, request_id or "", tuple((text or "").split()))
        page = await SearchLog(self.books)(search, start, count, self.progress)
        return {"size": page.size, "entries": [told(entry) for entry in page.entries], "next": page.next}

    async def report(
        self,
        subject: str,
        from_ns: TimeNs = 0,
        until_ns: TimeNs = MAX_TIME_NS,
        since: str | None = None,
        until: str | None = None,
        key: str | None = None,
    ) -> object:
        """What there is about one person between two checkpoints (base64): from the beginning, until now."""
        require_text("subject", subject)
        pinned = self._pinned(key)
        signed = await self.checkpoints.newest() if until is None else _note(until)
        keys = [pinned, *self._others(pinned)]
        last = verify_under(signed, keys)
        first = None if since is None else verify_under(_note(since), keys)
        asked = Asked(subject, *_times(from_ns, until_ns))
        found = await ReportLog(self.books)(asked, first, last, self.progress)
        return {
            "origin": pinned.origin,
            "key_fingerprint": pinned.fingerprint,
            **found,
            "checkpoint": signed.decode(),
        }

    async def erasable(self, subject: str) -> object:
        """What `erase` would erase now, and what it would hold until when."""
        return {"subject": subject, **(await self.erasure.plan(subject)).told()}

    async def erase(self, subject: str, reason: Reason = "") -> object:
        """Erase a person; the answer is what the log says of it, and where."""
        return await self.erasure(subject, reason)

    async def prove(self, index: Whole) -> object:
        (entry,) = await self.books.entries(index, 1) or (None,)
        if entry is not None and entry.erased_by is not None:
            raise BadRequestError(
                f"entry {index} was erased, as entry {entry.erased_by} says: nobody can open it any more",
                fix="receipts that were given before are as good as they were",
            )
        return await self.proofs.by_index(index)

    async def verify(self, since: str | None = None, key: str | None = None, resume: bool = False) -> object:
        """Verify the whole log; `since` is a checkpoint in base64, `key` the text of a pinned log key.

        With `resume` what that checkpoint holds is taken as verified before: the rest is read alone.
        `signed_ever` is how many entries the signer noted that it signed, 0 where it keeps no mark: of more
        than there are, this is an older copy.
        """
        pinned = self._pinned(key)
        kept = None if since is None else _note(since)
        verifying = VerifyLog(self.books, pinned, self.progress, self._others(pinned))
        signed_ever = self.keeper.last.size  # asked first: the log may grow meanwhile
        found = await verifying(since=kept, resume=resume)
        return {
            **asdict(found),
            "signed_ever": signed_ever,
            "key_fingerprint": pinned.fingerprint,
            "signed_by": await self._signed_by([pinned, *self._others(pinned)]),
            "witnesses": await self._cosigners(),
        }

    async def _signed_by(self, keys: Sequence[LogPublicKey]) -> str | None:
        """The fingerprint of that of `keys` which signed the newest stored checkpoint."""
        stored = await self.books.checkpoint()
        signed = None if stored is None else note.parse(stored[1])
        return next((key.fingerprint for key in keys if signed and signed.signed_by(key.ed25519)), None)

    async def _cosigners(self) -> list[str]:
        """Who cosigned the newest stored checkpoint, of the witnesses that are configured."""
        stored = await self.books.checkpoint()
        policy = self.checkpoints.witnesses.policy
        return [] if stored is None else [*policy.judge(note.parse(stored[1])).signed]

    def _pinned(self, key: str | None) -> LogPublicKey:
        return self.keeper.keys.current if key is None else LogPublicKey.parse(key)

    def _others(self, pinned: LogPublicKey) -> Sequence[LogPublicKey]:
        """The keys that `pinned` leads to; those before it too where it is our own word for the log's key."""
        keys = self.keeper.keys
        return [one.key for one in keys.retired] if pinned == keys.current else keys.since(pinned)[1:]

    async def checkpoint(self) -> object:
        """The log signed as it is now; where it cannot be, as it was signed last, and `unsigned` says why."""
        unsigned = None
        try:
            signed = await self.checkpoints.newest()
        except LogUnavailableError as error:
            stored = await self.books.checkpoint()
            if stored is None:
                raise
            signed, unsigned = stored[1], error.detail
        body = note.parse_body(note.parse(signed).text)
        return {
            "note": signed.decode(),
            "size": body.size,
            "root_sha256": body.root.hex(),
            "entries": (await self.books.head()).size,
            "unsigned": unsigned,
        }

    async def files(self, paths: Paths) -> object:
        """The content of files of the log, in base64, as an export wants them."""
        if CHECKPOINT in paths:
            await self.checkpoints.sign_all()  # what is there now is what is wanted
        read = ReadTiles(self.books, self.checkpoints)
        return {"files": [base64.b64encode(await read(path)).decode("ascii") for path in paths]}

    async def policy(self) -> object:
        """What whoever verifies should ask of this log's checkpoints (C2SP tlog-policy)."""
        key = self.keeper.keys.current  # another than at the start, if it was rotated since
        policy = self.checkpoints.witnesses.policy.of_logs(key.ed25519, key.ml_dsa_44)
        return {"policy": policy.format().decode()}

    async def witnesses(self) -> object:
        """Each witness: what it cosigned last, when, and what is wrong with it."""
        known, head = self.checkpoints.witnesses, await self.books.head()
        return {"entries": head.size, "needed": known.policy.needed, "witnesses": known.told()}


def _note(text: str) -> bytes:
    """A signed note that came in base64."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadRequestError(
            f"the checkpoint cannot be read: {error}", fix="give it as it was written, in base64"
        ) from None


def _times(from_ns: int, until_ns: int) -> tuple[int, int]:
    if until_ns <= from_ns:
        raise BadRequestError("the time ends before it begins", fix="give the earlier moment to --from")
    return from_ns, until_ns
