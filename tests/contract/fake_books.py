"""Books in memory: the slow, obvious reference. Every counter is added up from the rows when asked for.

Usable wherever a test needs books: `FakeBooks()` keeps the whole contract of `workflow.books.Books`
except durability. State is copied before each commit and put back if a change is refused.
"""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.ports import (
    DropKey,
    DropRevocation,
    KeyRecord,
    PutKey,
    PutKeyUse,
    PutRevocation,
    PutSigner,
    SignerRecord,
)
from macroslow.errors import (
    BudgetExhaustedError,
    ConflictError,
    DecryptionFailedError,
    LogUnavailableError,
    NotFoundError,
)
from macroslow.metering.ledger import (
    MAX_COUNT,
    MAX_TAG_BUDGETS,
    OUTCOMES,
    Account,
    Budget,
    CloseAccount,
    DailyUsage,
    LedgerDifference,
    OpenAccount,
    OpenReservation,
    RecentCall,
    Reserve,
    Settle,
    UsageRow,
)
from macroslow.tlog.event import CLASSES, EventClass, EventType
from macroslow.tlog.leaf import (
    erased_by,
    erased_bytes,
    leaf_hash,
    open_part,
    open_payload,
    parse_leaf,
    seal_event,
    seal_part,
)
from macroslow.tlog.ports import (
    Append,
    Entry,
    EraseSubject,
    HeldEntry,
    KeepReceipt,
    Kept,
    OpenedPart,
    StoreAnchor,
    StoreCheckpoint,
    TreeHead,
)
from macroslow.tlog.tree import TILE_WIDTH, consistency_proof, inclusion_proof, root_of
from macroslow.workflow.books import MAX_LOOKED_AT, Change, Found, LoggedEvent, Wanted
from macroslow.workflow.journal import NEXT, AcceptRun, FinishRun, PutObject, Run, RunState
from macroslow.workflow.replies import (
    SALT_BYTES,
    BindId,
    ClaimReply,
    DropReply,
    PutReply,
    Reply,
    open_reply,
    seal_reply,
)


@dataclass
class _Account:
    parent: str | None
    limit: int | None
    closed: bool = False
    counter: bool = False
    resets_s: int | None = None


@dataclass(frozen=True)
class _Part:
    subject: str
    sealed: bytes


@dataclass(frozen=True)
class _Logged:
    """As stored. Of `parts`, by their places, only those are left that were erased before the entry was."""

    leaf: bytes
    payload: bytes
    subject: str
    parts: Mapping[int, _Part] = field(default_factory=dict)

    @property
    def type(self) -> EventType:
        return EventType(parse_leaf(self.leaf).type)

    def names(self, subject: str) -> bool:
        """Whether it is the subject's, or says something of the subject."""
        return subject in {self.subject, *(part.subject for part in self.parts.values())}

    def places(self, subject: str) -> tuple[int, ...]:
        """Where something of the subject's is sealed in it that was not erased: 0 is all of it."""
        if self.subject == subject and erased_by(self.payload) is None:
            return (0,)
        return tuple(
            at + 1
            for at, part in sorted(self.parts.items())
            if part.subject == subject and erased_by(part.sealed) is None
        )

    def without(self, subject: str, event: int) -> "_Logged":
        """What is left of it once the subject was erased, as entry `event` tells."""
        if self.subject == subject:
            kept = {at: part for at, part in self.parts.items() if erased_by(part.sealed) is not None}
            return replace(self, payload=erased_bytes(event), parts=kept)
        gone = _Part(subject, erased_bytes(event))
        parts = {
            at: gone if part.subject == subject and erased_by(part.sealed) is None else part
            for at, part in self.parts.items()
        }
        return replace(self, parts=parts)

    def renamed(self, before: str, after: str) -> "_Logged":
        parts = {
            at: replace(part, subject=after) if part.subject == before else part
            for at, part in self.parts.items()
        }
        return replace(self, subject=after if self.subject == before else self.subject, parts=parts)


@dataclass
class _State:
    accounts: dict[str, _Account] = field(default_factory=dict)
    reservations: dict[str, Reserve] = field(default_factory=dict)
    settlements: dict[str, Settle] = field(default_factory=dict)
    log: list[_Logged] = field(default_factory=list)
    subject_keys: dict[tuple[str, EventClass], bytes] = field(default_factory=dict)
    checkpoint: tuple[int, bytes] | None = None
    anchors: dict[int, StoreAnchor] = field(default_factory=dict)
    receipts: dict[str, Kept] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    objects: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    keys: dict[str, KeyRecord] = field(default_factory=dict)
    signers: dict[str, SignerRecord] = field(default_factory=dict)
    key_uses: dict[str, int] = field(default_factory=dict)
    revocations: dict[str, Revocation] = field(default_factory=dict)
    claims: dict[tuple[str, str], Reply] = field(default_factory=dict)
    answers: dict[tuple[str, str], bytes] = field(default_factory=dict)
    bound: dict[str, BindId] = field(default_factory=dict)

    def copied(self) -> "_State":
        """A state that can change alone; its values are immutable but for the accounts."""
        twin = _State(**{name: copy.copy(getattr(self, name)) for name in self.__dataclass_fields__})
        twin.accounts = {name: copy.copy(account) for name, account in self.accounts.items()}
        return twin

    def spent(self, account_id: str) -> int:
        """What was paid out of the account and of everything below it, or through the budget."""
        own = sum(
            settlement.usage.usd_micros
            for name, settlement in self.settlements.items()
            if account_id in _held_in(self.reservations[name])
        )
        return own + sum(self.spent(child) for child in self.children(account_id))

    def held(self, account_id: str) -> int:
        """What the account's own open reservations and its children hold."""
        own = sum(
            reservation.usd_micros
            for name, reservation in self.reservations.items()
            if account_id in _held_in(reservation) and name not in self.settlements
        )
        return own + sum(self.held_for(child) for child in self.children(account_id))

    def held_for(self, child: str) -> int:
        """What a parent holds for a child: all that it may still spend."""
        account = self.accounts[child]
        if account.closed or account.limit is None:
            return self.held(child)
        return max(account.limit - self.spent(child), self.held(child))

    def children(self, account_id: str) -> list[str]:
        return [name for name, account in self.accounts.items() if account.parent == account_id]


class FakeBooks:
    """`Books` without a disk. `fail_next_commit` makes the next commit fail as a full disk would."""

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._state = _State()
        self._closed = False
        self.fail_next_commit = False

    async def commit(self, *changes: Change) -> list[Entry]:
        if self._closed:
            raise LogUnavailableError("the books are closed")
        before, self._state = self._state, self._state.copied()
        try:
            entries = self._apply(changes)
            if self.fail_next_commit:
                self.fail_next_commit = False
                raise LogUnavailableError("the disk is full")
        except Exception:
            self._state = before
            raise
        return entries

    async def close(self) -> None:
        self._closed = True

    def erase(self, subject: str) -> None:
        """Destroy the subject's keys and nothing else: as they are to older books that were restored."""
        for kind in EventClass:
            self._state.subject_keys.pop((subject, kind), None)

    # Changes

    def _apply(self, changes: Sequence[Change]) -> list[Entry]:
        entries: list[Entry] = []
        awaited = -1
        first = committed = len(self._state.log)
        for change in changes:
            match change:
                case Append():
                    entries.append(self._append(change))
                case EraseSubject():
                    if change is not changes[0]:
                        raise ValueError("not the first of its list")
                    awaited = len(self._state.log)
                    self._erase(change)
                case KeepReceipt():
                    if len(self._state.log) == first:
                        raise ValueError("a receipt without a log entry")
                    self._keep_receipt(change)
                case StoreAnchor():
                    if not 0 <= change.size <= committed:
                        raise ValueError("no such size")
                    self._state.anchors.setdefault(change.size, change)
                case OpenAccount():
                    self._open(change)
                case CloseAccount():
                    self._payer(change.id).closed = True
                case Reserve():
                    self._reserve(change)
                case Settle():
                    self._settle(change)
                case AcceptRun():
                    awaited = len(self._state.log)
                    self._accept(change)
                case FinishRun():
                    awaited = len(self._state.log)
                    self._finish(change)
                case PutObject():
                    self._run(change.run_id)
                    self._state.objects[change.run_id, change.kind] = (change.subject, change.sealed)
                case StoreCheckpoint():
                    self._store_checkpoint(change, committed)
                case ClaimReply() | PutReply() | DropReply():
                    self._reply(change)
                case BindId():
                    if self._state.bound.get(change.id, change).principal != change.principal:
                        raise ConflictError("another's")
                    self._state.bound[change.id] = change
                case PutKey():
                    known = self._state.keys.get(change.record.id)
                    if known is None or known.revoked_ns is None:
                        self._state.keys[change.record.id] = change.record
                case PutKeyUse(key_id, used_ns):
                    uses = self._state.key_uses
                    uses[key_id] = max(used_ns, uses.get(key_id, 0))
                case DropKey(key_id):
                    self._state.keys.pop(key_id, None)
                    self._state.key_uses.pop(key_id, None)
                case PutSigner():
                    self._state.signers[change.record.key_id] = change.record
                case PutRevocation():
                    self._state.revocations[change.revocation.id] = change.revocation
                case DropRevocation():
                    self._state.revocations.pop(change.id, None)
        if awaited == len(self._state.log):
            raise ValueError("a run or an erasure without a log entry")
        return entries

    def _append(self, change: Append) -> Entry:
        event = change.event
        kind = CLASSES[event.type]
        parts = [
            seal_part(other, self._key(other.subject, kind), salt=self._random(32), nonce=self._random(12))
            for other in sorted(event.others, key=lambda other: other.subject)
        ]
        key = self._key(event.subject, kind)
        sealed = seal_event(event, key, salt=self._random(32), nonce=self._random(12), parts=parts)
        stored = {at: _Part(part.subject, part.sealed) for at, part in enumerate(parts)}
        self._state.log.append(_Logged(sealed.leaf, sealed.payload, event.subject, stored))
        opened = tuple(part.opened for part in parts)
        return Entry(len(self._state.log) - 1, sealed.leaf, sealed.canonical, sealed.salt, opened)

    def _key(self, subject: str, kind: EventClass) -> bytes:
        return self._state.subject_keys.setdefault((subject, kind), self._random(32))

    def _erase(self, change: EraseSubject) -> None:
        subject, state = change.subject, self._state
        held = self._held(subject, change.classes)
        if len(held) != change.entries:
            raise ConflictError("other entries by now")
        for index in held:
            state.log[index] = state.log[index].without(subject, len(state.log))
        for kind in change.classes:
            state.subject_keys.pop((subject, kind), None)
        if EventClass.ACTIVITY in change.classes:
            state.objects = {name: kept for name, kept in state.objects.items() if kept[0] != subject}
            state.claims = {name: kept for name, kept in state.claims.items() if name[0] != subject}
            state.answers = {name: kept for name, kept in state.answers.items() if name[0] != subject}
            state.bound = {name: kept for name, kept in state.bound.items() if kept.principal != subject}
            state.receipts = {
                name: kept for name, kept in state.receipts.items() if kept.principal != subject
            }
        if not self._held(subject, frozenset(EventClass)):
            self._rename(subject, change.pseudonym)

    def _held(self, subject: str, classes: frozenset[EventClass]) -> list[int]:
        return [
            index
            for index, logged in enumerate(self._state.log)
            if CLASSES[logged.type] in classes and logged.places(subject)
        ]

    def _rename(self, before: str, after: str) -> None:
        """Everywhere a subject stands that can have been erased: entries, runs, calls, keys' accounts not."""
        state = self._state
        if after == before or any(logged.names(after) for logged in state.log):
            raise ConflictError("somebody's name")
        state.log = [logged.renamed(before, after) for logged in state.log]
        for name, run in state.runs.items():
            if run.principal == before:
                state.runs[name] = replace(run, principal=after)
        for name, reservation in state.reservations.items():
            if reservation.principal == before:
                state.reservations[name] = replace(reservation, principal=after)

    def _keep_receipt(self, change: KeepReceipt) -> None:
        index, receipts = len(self._state.log) - 1, self._state.receipts
        now_ns = parse_leaf(self._state.log[index].leaf).time_ns
        known = receipts.get(change.request_id)
        if known is not None and known.principal != change.principal and known.expires_ns > now_ns:
            raise ConflictError("another's")
        expired = [name for name, kept in receipts.items() if kept.expires_ns <= now_ns]
        for name in sorted(expired, key=lambda name: receipts[name].expires_ns)[:2]:
            del receipts[name]
        receipts[change.request_id] = Kept(change.principal, index, change.expires_ns)

    def _open(self, change: OpenAccount) -> None:
        if change.limit_usd_micros is not None:
            _check_count(change.limit_usd_micros)
        before = self._all_held()
        known = self._state.accounts.get(change.id)
        if known is None:
            if change.parent is not None:
                self._payer(change.parent)
                self._require_open_and_not_over(change.parent, enforced=change.enforced)
            self._state.accounts[change.id] = _Account(change.parent, change.limit_usd_micros)
        elif known.counter or known.closed or known.parent != change.parent:
            raise ConflictError("closed, or a child of another")
        else:
            known.limit = change.limit_usd_micros
        self._refuse_what_does_not_fit(change.parent, before, enforced=change.enforced)

    def _reserve(self, change: Reserve) -> None:
        if change.id in self._state.reservations:
            raise ConflictError("reserved before")
        account = self._payer(change.account)
        _check_count(change.usd_micros)
        if account.closed:
            raise ConflictError("closed")
        before = self._all_held()
        if change.usd_micros == 0 and change.enforced:
            self._require_open_and_not_over(change.account)
        self._state.reservations[change.id] = replace(change, budgets=())
        self._refuse_what_does_not_fit(change.account, before, enforced=change.enforced)
        if len({budget.id for budget in change.budgets}) != len(change.budgets):
            raise ValueError("named twice")
        for budget in change.budgets:
            self._count(budget, change)
        self._state.reservations[change.id] = change

    def _count(self, budget: Budget, change: Reserve) -> None:
        """Make the budget's counter, or give it the new limit; refuse what does not fit it."""
        _check_count(budget.limit_usd_micros)
        if budget.id not in self._state.accounts and budget.resets_s is not None:
            _check_count(budget.resets_s)
        new = _Account(None, None, counter=True, resets_s=budget.resets_s)
        counter = self._state.accounts.setdefault(budget.id, new)
        if not counter.counter:
            raise ConflictError("an account")
        spent, held = self._state.spent(budget.id), self._state.held(budget.id)
        if change.enforced and spent + held + change.usd_micros > budget.limit_usd_micros:
            raise _exhausted(
                budget.id, budget.limit_usd_micros, spent, held, change.usd_micros, budget.resets_s
            )
        _check_count(held + change.usd_micros)
        counter.limit = budget.limit_usd_micros

    def _settle(self, change: Settle) -> None:
        for count in (change.usage.input_tokens, change.usage.output_tokens, change.usage.usd_micros):
            _check_count(count)
        if change.outcome not in OUTCOMES:
            raise ValueError("no such outcome")
        if change.id not in self._state.reservations:
            raise NotFoundError("nothing reserved")
        if change.once and change.id in self._state.settlements:
            raise ConflictError("settled before")
        self._state.settlements.setdefault(change.id, change)
        for name in self._state.accounts:
            _check_count(self._state.spent(name))
            _check_count(self._state.held(name))

    def _all_held(self) -> dict[str, int]:
        return {name: self._state.held(name) for name in self._state.accounts}

    def _refuse_what_does_not_fit(
        self, account_id: str | None, before: dict[str, int], *, enforced: bool = True
    ) -> None:
        """Raise for the first account, upwards, that holds more than before and has no room for it."""
        while account_id is not None:
            account, held, spent = (
                self._account(account_id),
                before[account_id],
                self._state.spent(account_id),
            )
            needed = self._state.held(account_id) - held
            if needed > 0:
                if account.closed:
                    raise ConflictError("closed")
                over = account.limit is not None and spent + held + needed > account.limit
                if enforced and over and account.limit is not None:
                    raise _exhausted(account_id, account.limit, spent, held, needed)
                _check_count(held + needed)
            account_id = account.parent

    def _require_open_and_not_over(self, account_id: str, *, enforced: bool = True) -> None:
        account = self._account(account_id)
        spent, held = self._state.spent(account_id), self._state.held(account_id)
        if account.closed:
            raise ConflictError("closed")
        if enforced and account.limit is not None and spent + held > account.limit:
            raise _exhausted(account_id, account.limit, spent, held, 0)

    def _account(self, account_id: str) -> _Account:
        if account_id not in self._state.accounts:
            raise NotFoundError("no such account")
        return self._state.accounts[account_id]

    def _payer(self, account_id: str) -> _Account:
        account = self._account(account_id)
        if account.counter:
            raise ConflictError("a budget's counter")
        return account

    def _reply(self, change: ClaimReply | PutReply | DropReply) -> None:
        name = (change.principal, change.key)
        claims, answers = self._state.claims, self._state.answers
        known = claims.get(name)
        match change:
            case ClaimReply():
                if known is not None and known.expires_ns > change.created_ns:
                    raise ConflictError("taken")
                for old in [old for old, claim in claims.items() if claim.expires_ns <= change.created_ns]:
                    self._forget(old)
                claims[name] = Reply(change.request_sha256, change.created_ns, change.expires_ns)
            case PutReply():
                if known is None:
                    raise NotFoundError("nothing claimed")
                key = self._key(change.principal, EventClass.ACTIVITY)
                answers[name] = seal_reply(change, key, salt=self._random(SALT_BYTES), nonce=self._random(12))
            case DropReply():
                self._forget(name)

    def _forget(self, name: tuple[str, str]) -> None:
        self._state.claims.pop(name, None)
        self._state.answers.pop(name, None)

    def _store_checkpoint(self, change: StoreCheckpoint, committed: int) -> None:
        if not 0 <= change.size <= committed:
            raise ValueError("no such size")
        if self._state.checkpoint is None or self._state.checkpoint[0] <= change.size:
            self._state.checkpoint = (change.size, change.note)

    def _accept(self, change: AcceptRun) -> None:
        if change.id in self._state.runs:
            raise ConflictError("accepted before")
        self._state.runs[change.id] = Run(
            change.id,
            change.principal,
            RunState.RUNNING,
            change.accepted_ns,
            None,
            change.document_sha256,
            change.document_bytes,
            change.origin,
            change.signer,
            len(self._state.log),
            None,
            change.owner,
        )

    def _finish(self, change: FinishRun) -> None:
        run = self._run(change.id)
        after = NEXT.get((run.state, change.event))
        if after is None:
            raise ConflictError("not running")
        self._state.runs[change.id] = replace(
            run, state=after, finished_ns=change.finished_ns, finished_index=len(self._state.log)
        )

    def _run(self, run_id: str) -> Run:
        if run_id not in self._state.runs:
            raise NotFoundError("no such run")
        return self._state.runs[run_id]

    # The ledger

    async def account(self, account_id: str) -> Account | None:
        account = self._state.accounts.get(account_id)
        if account is None:
            return None
        spent, held = self._state.spent(account_id), self._state.held(account_id)
        return Account(
            account_id,
            account.parent,
            account.limit,
            spent,
            held,
            account.closed,
            account.counter,
            account.resets_s,
        )

    async def open_reservations(self) -> list[OpenReservation]:
        found = [r for name, r in self._state.reservations.items() if name not in self._state.settlements]
        return [
            OpenReservation(
                r.id, r.account, r.usd_micros, r.principal, r.key_id, r.provider, r.model, r.tag, r.run_id,
                r.created_ns, r.owner, r.expires_ns,
            )
            for r in sorted(found, key=lambda reservation: (reservation.created_ns, reservation.id))
        ]  # fmt: skip

    async def open_child_accounts(self) -> list[Account]:
        found = [await self.account(name) for name in self._state.accounts]
        return [account for account in found if account and account.parent is not None and not account.closed]

    async def usage(
        self, by: str, *, principal: str | None = None, first_day: str = "", last_day: str = ""
    ) -> list[UsageRow]:
        label = _LABELS.get(by)
        if label is None:
            raise ValueError("no such grouping")
        _check_days(*filter(None, (first_day, last_day)))
        rows: dict[str, UsageRow] = {}
        if by == "key":
            known = [key.id for key in self._state.keys.values() if principal in (None, key.principal)]
            rows = {key: await self._row_of_key(key) for key in known}
        for settlement in self._state.settlements.values():
            reservation = self._state.reservations[settlement.id]
            if principal not in (None, reservation.principal):
                continue
            if not (first_day or "0") <= _day(settlement) <= (last_day or "9"):
                continue
            key = label(reservation, settlement)
            row = rows.get(key) or await (self._row_of_key(key) if by == "key" else _empty_row(key))
            rows[key] = _added(row, settlement)
        return [rows[key] for key in sorted(rows)]

    async def run_usage(self, run_id: str) -> list[UsageRow]:
        rows: dict[str, UsageRow] = {}
        for settlement in self._state.settlements.values():
            reservation = self._state.reservations[settlement.id]
            if run_id and reservation.run_id == run_id:
                row = rows.get(reservation.model) or await _empty_row(reservation.model)
                rows[reservation.model] = _added(row, settlement)
        return [rows[model] for model in sorted(rows)]

    async def _row_of_key(self, key: str) -> UsageRow:
        account = await self.account(f"key/{key}")
        if account is None:
            return UsageRow(key, 0, 0, 0, 0, 0, None)
        return UsageRow(key, 0, 0, 0, 0, account.held_usd_micros, account.limit_usd_micros)

    async def daily_usage(self, provider: str, first_day: str, last_day: str) -> list[DailyUsage]:
        _check_days(first_day, last_day)
        sums: dict[tuple[str, str], list[int]] = {}
        for settlement in self._state.settlements.values():
            reservation, usage = self._state.reservations[settlement.id], settlement.usage
            if reservation.provider == provider and first_day <= _day(settlement) <= last_day:
                counts = (1, usage.input_tokens, usage.output_tokens, usage.usd_micros)
                row = sums.setdefault((_day(settlement), reservation.model), [0, 0, 0, 0])
                row[:] = [a + b for a, b in zip(row, counts, strict=True)]
        return [DailyUsage(*name, *counts) for name, counts in sorted(sums.items())]

    async def recent_calls(self, since_ns: int) -> list[RecentCall]:
        found = []
        for name, made in self._state.reservations.items():
            settlement = self._state.settlements.get(name)
            used = None if settlement is None else settlement.usage
            tokens = None if used is None else used.input_tokens + used.output_tokens
            found.append(RecentCall(made.provider, made.model, made.created_ns, tokens))
        found.sort(key=lambda call: call.created_ns)
        return [call for call in found if call.created_ns >= since_ns]

    async def budget_accounts(self, now_s: int, tags: int = MAX_TAG_BUDGETS) -> list[Account]:
        accounts = [await self.account(name) for name in sorted(self._state.accounts)]
        counters = [account for account in accounts if account and account.counter]
        found = [one for one in counters if one.resets_s is None or now_s < one.resets_s]
        tagged = [one for one in found if one.id.startswith("tag/")]
        tagged.sort(
            key=lambda one: -(one.spent_usd_micros + one.held_usd_micros) / (one.limit_usd_micros or 1)
        )
        left_out = {one.id for one in tagged[tags:]}
        return [one for one in found if one.id not in left_out]

    async def accounts_of_keys(self) -> dict[str, Account]:
        found = {key: await self.account(f"key/{key}") for key in sorted(self._state.keys)}
        return {key: account for key, account in found.items() if account is not None}

    async def audit_ledger(self) -> list[LedgerDifference]:
        return []  # there are no counters to differ

    # The log

    async def head(self) -> TreeHead:
        hashes = [leaf_hash(logged.leaf) for logged in self._state.log]
        return TreeHead(len(hashes), root_of(hashes))

    async def checkpoint(self) -> tuple[int, bytes] | None:
        return self._state.checkpoint

    async def entry(self, index: int) -> Entry | None:
        if self._closed:
            raise LogUnavailableError("the books are closed")
        if not 0 <= index < len(self._state.log):
            return None
        logged = self._state.log[index]
        key = self._state.subject_keys.get((logged.subject, CLASSES[logged.type]))
        if key is None or erased_by(logged.payload) is not None:
            raise DecryptionFailedError("erased")
        event, salt = open_payload(logged.leaf, logged.payload, key)
        return Entry(index, logged.leaf, event, salt, self._opened_parts(logged, event))

    def _opened_parts(self, logged: _Logged, event: bytes) -> tuple[OpenedPart | None, ...]:
        opened: list[OpenedPart | None] = []
        for position, part in logged.parts.items():
            key = self._state.subject_keys.get((part.subject, CLASSES[logged.type]))
            gone = key is None or erased_by(part.sealed) is not None
            opened.append(
                None if gone or key is None else open_part(event, logged.payload, position, part.sealed, key)
            )
        return tuple(opened)

    async def entries(self, start: int, limit: int) -> list[LoggedEvent]:
        return [self._logged(index) for index in range(start, min(start + limit, len(self._state.log)))]

    def _logged(self, index: int) -> LoggedEvent:
        logged = self._state.log[index]
        facts = parse_leaf(logged.leaf)
        told = LoggedEvent(index, facts.time_ns, facts.type, logged.subject, None, erased_by(logged.payload))
        key = self._state.subject_keys.get((logged.subject, CLASSES[logged.type]))
        if told.erased_by is not None:
            return told
        if key is None:
            return replace(told, others=(None,) * len(logged.parts))
        try:
            event, _ = open_payload(logged.leaf, logged.payload, key)
        except DecryptionFailedError:  # by a key of one who was erased, and is somebody new since
            return replace(told, others=(None,) * len(logged.parts))
        others = self._opened_parts(logged, event)
        return replace(told, event=event, others=tuple(part and part.part for part in others))

    async def find(self, wanted: Wanted, start: int, limit: int) -> Found:
        end, found = len(self._state.log), list[LoggedEvent]()
        for index in range(start, min(end, start + MAX_LOOKED_AT)):
            if len(found) == limit:
                return Found(found, index)
            logged = self._state.log[index]
            facts = parse_leaf(logged.leaf)
            if (
                (wanted.subject is None or logged.names(wanted.subject))
                and (not wanted.types or facts.type in wanted.types)
                and wanted.from_ns <= facts.time_ns < wanted.until_ns
            ):
                found.append(self._logged(index))
        return Found(found, start + MAX_LOOKED_AT if start + MAX_LOOKED_AT < end else None)

    async def held_entries(
        self, subject: str, classes: frozenset[EventClass], start: int, limit: int
    ) -> list[HeldEntry]:
        held = [index for index in self._held(subject, classes) if index >= start][:limit]
        logged = [(index, self._state.log[index]) for index in held]
        facts = [(index, parse_leaf(each.leaf), each.places(subject)) for index, each in logged]
        return [HeldEntry(index, each.type, each.time_ns, places) for index, each, places in facts]

    async def anchor(self, index: int) -> StoreAnchor | None:
        covering = [size for size in sorted(self._state.anchors) if size > index >= 0]
        return self._state.anchors[covering[0]] if covering else None

    async def newest_anchor(self) -> StoreAnchor | None:
        return self._state.anchors[max(self._state.anchors)] if self._state.anchors else None

    async def kept_receipt(self, request_id: str) -> Kept | None:
        return self._state.receipts.get(request_id)

    async def stored_parts(self, start: int, end: int) -> list[tuple[int, int, bytes]]:
        return [
            (index, position, part.sealed)
            for index, logged in enumerate(self._state.log[start:end], start)
            for position, part in logged.parts.items()
        ]

    async def leaves(self, start: int, end: int) -> list[bytes]:
        return [logged.leaf for logged in self._state.log[start:end]]

    async def stored(self, start: int, end: int) -> list[tuple[bytes, bytes]]:
        return [(logged.leaf, logged.payload) for logged in self._state.log[start:end]]

    async def tile(self, level: int, index: int, width: int) -> bytes | None:
        hashes = self._tile(level, index, width)
        return hashes if len(hashes) == 32 * width else None

    async def inclusion_proof(self, index: int, size: int) -> Sequence[bytes]:
        self._require_size(size)
        return inclusion_proof(index, size, self._tile)

    async def consistency_proof(self, first: int, second: int) -> Sequence[bytes]:
        self._require_size(second)
        return consistency_proof(first, second, self._tile)

    def _require_size(self, size: int) -> None:
        if size > len(self._state.log):
            raise ValueError("no such tree")

    def _tile(self, level: int, index: int, width: int) -> bytes:
        span = TILE_WIDTH**level
        hashes = [leaf_hash(logged.leaf) for logged in self._state.log]
        first = index * TILE_WIDTH
        last = min(first + width, len(hashes) // span)
        return b"".join(root_of(hashes[at * span : (at + 1) * span]) for at in range(first, last))

    # The journal and identities

    async def run(self, run_id: str) -> Run | None:
        return self._state.runs.get(run_id)

    async def runs(self, principal: str | None, *, limit: int = 100) -> list[Run]:
        found = [run for run in self._state.runs.values() if principal in (None, run.principal)]
        return found[::-1][:limit]

    async def running(self) -> list[Run]:
        return [run for run in self._state.runs.values() if run.state is RunState.RUNNING]

    async def sealed_object(self, run_id: str, kind: str) -> tuple[str, bytes] | None:
        return self._state.objects.get((run_id, kind))

    async def reply(self, principal: str, key: str) -> Reply | None:
        claimed, sealed = (
            self._state.claims.get((principal, key)),
            self._state.answers.get((principal, key)),
        )
        if claimed is None or sealed is None:
            return claimed
        sealing = self._state.subject_keys.get((principal, EventClass.ACTIVITY))
        if sealing is None:
            raise DecryptionFailedError("erased")
        return open_reply(claimed, sealed, sealing, principal, key)

    async def bound_id(self, id: str) -> BindId | None:  # noqa: A002 - the port's word
        return self._state.bound.get(id)

    async def keys(self) -> list[KeyRecord]:
        return sorted(self._state.keys.values(), key=lambda key: (key.created_ns, key.id))

    async def signers(self) -> list[SignerRecord]:
        return sorted(self._state.signers.values(), key=lambda signer: (signer.trusted_ns, signer.key_id))

    async def key_uses(self) -> dict[str, int]:
        return dict(self._state.key_uses)

    async def revocations(self) -> list[Revocation]:
        return [self._state.revocations[name] for name in sorted(self._state.revocations)]


_LABELS: dict[str, Callable[[Reserve, Settle], str]] = {
    "key": lambda reservation, _: reservation.key_id,
    "principal": lambda reservation, _: reservation.principal,
    "team": lambda reservation, _: reservation.team,
    "model": lambda reservation, _: reservation.model,
    "provider": lambda reservation, _: reservation.provider,
    "tag": lambda reservation, _: reservation.tag,
    "day": lambda _, settlement: _day(settlement),
}


def _held_in(reservation: Reserve) -> set[str]:
    return {reservation.account, *(budget.id for budget in reservation.budgets)}


def _day(settlement: Settle) -> str:
    return str(datetime.fromtimestamp(settlement.settled_ns // 10**9, UTC).date())


def _check_days(*days: str) -> None:
    if any(str(date.fromisoformat(day)) != day for day in days):
        raise ValueError("no day")


async def _empty_row(key: str) -> UsageRow:
    return UsageRow(key, 0, 0, 0, 0, 0, None)


def _added(row: UsageRow, settlement: Settle) -> UsageRow:
    usage = settlement.usage
    return UsageRow(
        row.key,
        row.calls + 1,
        row.input_tokens + usage.input_tokens,
        row.output_tokens + usage.output_tokens,
        row.usd_micros + usage.usd_micros,
        row.held_usd_micros,
        row.limit_usd_micros,
    )


def _exhausted(
    budget: str, limit: int, spent: int, held: int, needed: int, resets_s: int | None = None
) -> BudgetExhaustedError:
    return BudgetExhaustedError(
        "does not fit",
        budget=budget,
        limit_usd_micros=limit,
        spent_usd_micros=spent,
        held_usd_micros=held,
        needed_usd_micros=needed,
        resets_s=resets_s,
        fix="ask for less",
    )


def _check_count(count: int) -> None:
    if type(count) is not int or not 0 <= count <= MAX_COUNT:
        raise ValueError("no count")
