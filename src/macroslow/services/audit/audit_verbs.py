"""The operator's verbs about the log."""

import base64
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Final

from pydantic import Field

from macroslow.errors import BadRequestError, NotFoundError
from macroslow.ports import Progress, unheard
from macroslow.services.audit.checkpoint_log import CheckpointLog
from macroslow.services.audit.prove_entry import ProveEntry
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.services.verbs import Whole, utc
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.event import EventType
from macroslow.workflow.books import Books, LoggedEvent

MAX_TAIL: Final = 1000  # entries that one `audit tail` returns

Tail = Annotated[int, Field(ge=0, le=MAX_TAIL)]


@dataclass(frozen=True, slots=True)
class AuditVerbs:
    """Every verb takes JSON and returns JSON."""

    books: Books
    checkpoints: CheckpointLog
    proofs: ProveEntry
    log_key: LogPublicKey
    progress: Progress = unheard

    async def tail(self, count: Tail = 20, start: Whole | None = None) -> object:
        head = await self.books.head()
        first = max(0, head.size - count) if start is None else start
        opened = await self.books.entries(first, count)
        return {"size": head.size, "entries": [_told(entry) for entry in opened]}

    async def show(self, index: Whole) -> object:
        opened = await self.books.entries(index, 1)
        if not opened:
            raise NotFoundError(f"the log has no entry {index}", fix="macroslow audit tail")
        return _told(opened[0])

    async def prove(self, index: Whole) -> object:
        return await self.proofs.by_index(index)

    async def verify(self, since: str | None = None, key: str | None = None) -> object:
        """Verify the whole log; `since` is a checkpoint in base64, `key` the text of a pinned log key."""
        try:
            pinned = self.log_key if key is None else LogPublicKey.parse(key)
            kept = None if since is None else base64.b64decode(since, validate=True)
        except ValueError as error:
            raise BadRequestError(
                f"the checkpoint or the log's key cannot be read: {error}",
                fix="give both as they were written, the checkpoint in base64",
            ) from None
        found = await VerifyLog(self.books, pinned)(since=kept)
        return {**asdict(found), "key_fingerprint": pinned.fingerprint}

    async def checkpoint(self) -> object:
        return {"note": (await self.checkpoints.newest()).decode()}

    async def key(self) -> object:
        return {"key": self.log_key.format(), "fingerprint": self.log_key.fingerprint}


def _told(entry: LoggedEvent) -> dict[str, object]:
    """One entry for people; `fields` is None where the subject was erased."""
    fields = None if entry.event is None else json.loads(entry.event)["fields"]
    return {
        "index": entry.index,
        "time": utc(entry.time_ns),
        "type": EventType(entry.type).name.lower().replace("_", "-"),
        "subject": entry.subject,
        "fields": fields,
    }
