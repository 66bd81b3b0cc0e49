"""The decisions of one batch, in memory: lists of changes in, each whole or not at all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from macroslow.adapters.postgres._erasing import erase
from macroslow.adapters.postgres._journal import Journal
from macroslow.adapters.postgres._ledger import Ledger
from macroslow.adapters.postgres._log import Log
from macroslow.adapters.postgres._replies import Replies
from macroslow.adapters.postgres._state import Tables
from macroslow.adapters.postgres._subjects import SubjectKeys
from macroslow.authn.ports import DropKey, DropRevocation, PutKey, PutKeyUse, PutRevocation, PutSigner
from macroslow.metering.ledger import CloseAccount, OpenAccount, Reserve, Settle
from macroslow.ports import Entropy
from macroslow.tlog.ports import Append, Entry, EraseSubject, KeepReceipt, StoreAnchor, StoreCheckpoint
from macroslow.workflow.books import Change
from macroslow.workflow.journal import AcceptRun, FinishRun, PutObject
from macroslow.workflow.replies import BindId, ClaimReply, DropReply, PutReply


class Deciding:
    """Decides on `state`. No I/O: everything that the changes name was looked up before."""

    def __init__(self, state: Tables, subjects: SubjectKeys, entropy: Entropy) -> None:
        self._undo = state.undo
        ledger, journal = Ledger(state), Journal(state)
        self._log = log = Log(state, subjects, entropy)
        replies = Replies(state, subjects, entropy)
        self._handlers: Mapping[type[Change], Callable[[Any], Entry | None]] = {
            Reserve: ledger.reserve,
            Settle: ledger.settle,
            Append: log.append,
            OpenAccount: ledger.open_account,
            CloseAccount: ledger.close_account,
            StoreCheckpoint: log.store_checkpoint,
            StoreAnchor: log.store_anchor,
            KeepReceipt: log.keep_receipt,
            EraseSubject: lambda change: erase(state, change),
            AcceptRun: journal.accept,
            FinishRun: journal.finish,
            PutObject: journal.put_object,
            PutKey: lambda change: state.keys.put(change.record.id, change.record),
            PutKeyUse: state.note_use,
            DropKey: state.drop_key,
            PutSigner: lambda change: state.signers.put(change.record.key_id, change.record),
            PutRevocation: lambda change: state.revocations.put(change.revocation.id, change.revocation),
            DropRevocation: lambda change: state.revocations.put(change.id, None),
            ClaimReply: replies.claim,
            PutReply: replies.put,
            DropReply: replies.drop,
            BindId: replies.bind,
        }

    def __call__(self, changes: Sequence[Change]) -> list[Entry]:
        """Return the entries of one list. What is raised concerns it alone, and undid it."""
        try:
            _require_entries(changes)
            self._log.begin()
            made = [self._handlers[type(change)](change) for change in changes]
        except BaseException:
            self._undo.drop()
            raise
        self._undo.keep()
        return [entry for entry in made if entry is not None]


def _require_entries(changes: Sequence[Change]) -> None:
    """Raise ValueError if a run begins or ends, or somebody is erased, without a log entry after it.

    An erasure comes first and alone: what else its list says of the person is about somebody new.
    """
    if any(isinstance(change, EraseSubject) for change in changes[1:]):
        raise ValueError("an erasure is not the first of its list")
    for change in reversed(changes):
        if isinstance(change, Append):
            return
        if isinstance(change, AcceptRun | FinishRun | EraseSubject):
            raise ValueError("a run or an erasure without a log entry after it")  # noqa: TRY004
