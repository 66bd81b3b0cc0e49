"""What must be looked up before a batch can be decided: the keys that its changes name."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from macroslow.metering.ledger import CloseAccount, OpenAccount, Reserve, Settle
from macroslow.tlog.ports import Append, EraseSubject, KeepReceipt
from macroslow.workflow.books import Change
from macroslow.workflow.journal import AcceptRun, FinishRun, PutObject
from macroslow.workflow.replies import BindId, ClaimReply, DropReply, PutReply


class Wanted:
    """Keys to look up, by table; sets are dicts so that their order is that of the changes."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {"": None}
        self.accounts: dict[str, None] = {}
        self.calls: dict[str, None] = {}
        self.subjects: dict[str, None] = {}
        self.runs: dict[str, None] = {}
        self.replies: dict[tuple[str, str], None] = {}
        self.bound_ids: dict[str, None] = {}
        self.claimed_ns: list[int] = []
        self.receipts: dict[str, None] = {}
        self.kept_ns: list[int] = []
        self.erased: dict[str, None] = {}
        self._event_ns = 0

    def add(self, changes: Iterable[Change]) -> None:
        """Want what `changes` need. TypeError if one names something that cannot be a key."""
        for change in changes:
            collect = _COLLECT.get(type(change))
            if collect is not None:
                collect(self, change)

    def _name(self, *names: str) -> None:
        self.names.update(dict.fromkeys(names))

    def _account(self, *names: str) -> None:
        self._name(*names)
        self.accounts.update(dict.fromkeys(names))

    def reserve(self, change: Reserve) -> None:
        self.calls[change.id] = None
        self._account(change.account, *(budget.id for budget in change.budgets))
        self._name(change.principal, change.key_id, change.team, change.provider)
        self._name(change.model, change.tag, change.run_id, change.owner)

    def settle(self, change: Settle) -> None:
        self.calls[change.id] = None

    def open_account(self, change: OpenAccount) -> None:
        self._account(change.id, *([] if change.parent is None else [change.parent]))

    def close_account(self, change: CloseAccount) -> None:
        self._account(change.id)

    def append(self, change: Append) -> None:
        self._event_ns = change.event.time_ns
        for subject in (change.event.subject, *(part.subject for part in change.event.others)):
            self._name(subject)
            self.subjects[subject] = None

    def keep(self, change: KeepReceipt) -> None:
        self._name(change.principal)
        self.receipts[change.request_id] = None
        self.kept_ns.append(self._event_ns)

    def erase(self, change: EraseSubject) -> None:
        self._name(change.subject, change.pseudonym)
        self.erased[change.subject] = None

    def accept(self, change: AcceptRun) -> None:
        self._name(change.id, change.principal, change.owner)
        self.runs[change.id] = None

    def finish(self, change: FinishRun) -> None:
        self._name(change.id)
        self.runs[change.id] = None

    def put_object(self, change: PutObject) -> None:
        self._name(change.run_id, change.subject)
        self.runs[change.run_id] = None

    def claim(self, change: ClaimReply) -> None:
        self.drop(change)
        self.claimed_ns.append(change.created_ns)

    def put_reply(self, change: PutReply) -> None:
        self.drop(change)
        self.subjects[change.principal] = None

    def drop(self, change: ClaimReply | PutReply | DropReply) -> None:
        self._name(change.principal)
        self.replies[change.principal, change.key] = None

    def bind(self, change: BindId) -> None:
        self._name(change.principal, change.provider, change.account)
        self.bound_ids[change.id] = None


_COLLECT: Final[Mapping[type[Change], Callable[[Wanted, Any], None]]] = {
    Reserve: Wanted.reserve,
    Settle: Wanted.settle,
    OpenAccount: Wanted.open_account,
    CloseAccount: Wanted.close_account,
    Append: Wanted.append,
    KeepReceipt: Wanted.keep,
    EraseSubject: Wanted.erase,
    AcceptRun: Wanted.accept,
    FinishRun: Wanted.finish,
    PutObject: Wanted.put_object,
    ClaimReply: Wanted.claim,
    PutReply: Wanted.put_reply,
    DropReply: Wanted.drop,
    BindId: Wanted.bind,
}
"""The others are written whole and need nothing: client keys and their uses, signers, checkpoints, ..."""
