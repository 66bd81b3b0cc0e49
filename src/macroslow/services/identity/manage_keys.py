"""Client keys: made, changed and revoked by the operator; every change is kept and logged at once.

A key pays from an account of its own, `key/ID`, whose limit is its budget. The text of a key is
returned by `create` and is nowhere afterwards.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from macroslow.authn.api_keys import (
    LEGACY_ID_PREFIX,
    LegacyKey,
    SecretHasher,
    has_overlap,
    id_of,
    is_credential,
    is_in_force,
    mint,
)
from macroslow.authn.keyring import KeyRing, account_of
from macroslow.authn.ports import KeyRecord, PutKey
from macroslow.authn.terms import terms_of
from macroslow.authz.scopes import ADMIN_KEYS
from macroslow.authz.subset import beyond
from macroslow.errors import BadRequestError, ConflictError, MissingScopeError, NotFoundError, Problem
from macroslow.metering.ledger import Account, CloseAccount, OpenAccount
from macroslow.ports import DAY_NS, MINUTE_NS, Clock, Entropy
from macroslow.services.identity import key_events
from macroslow.services.identity.wished_keys import (
    KeyTerms,
    NewKey,
    change_faults,
    changed_record,
    faults_of,
    faults_of_made,
)
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books

MAX_DEPTH: Final = 4  # of keys that were made by keys: each request looks at all of them
MAX_ID_CHARACTERS: Final = 24
IN_FORCE: Final = "in force"
MAX_OVERLAP_NS: Final = 30 * DAY_NS  # two secrets for one key are for as long as it takes to deploy one


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key: `text` is shown to its owner once."""

    text: str = field(repr=False)
    record: KeyRecord


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key and the account that it pays from (None: never opened)."""

    record: KeyRecord
    account: Account | None


class ManageKeys:
    """Single writer of the client keys: one instance a process, sharing `keyring` with authentication."""

    def __init__(self, books: Books, keyring: KeyRing, pepper: bytes, clock: Clock, entropy: Entropy) -> None:
        self._books = books
        self._keyring = keyring
        self._hasher = SecretHasher(pepper)
        self._clock = clock
        self._entropy = entropy
        self._changing = asyncio.Lock()  # a change that was read before a revocation must not undo it

    async def load(self) -> None:
        """Read the stored keys into the key ring."""
        async with self._changing:
            self._keyring.replace_all(await self._books.keys())
        await self.learn_uses()

    async def learn_uses(self) -> None:
        """Read when keys were last used, here or in another process, before this one began or since."""
        self._keyring.learn_uses(await self._books.key_uses())

    def last_used_ns(self, record: KeyRecord) -> int | None:
        """The minute in which a key was last let in; None: never, as far as is known."""
        used_ns = self._keyring.used_ns.get(record.id)
        return None if used_ns is None else used_ns // MINUTE_NS * MINUTE_NS

    async def create(self, new: NewKey, maker: str = "") -> CreatedKey:
        """Make a key and its account, for the operator or for the key with the id `maker`.

        What a key makes may do no more than itself, pays from its account and falls with it. Raises
        BadRequestError, with every fault, if the wish makes no sense; MissingScopeError or ConflictError if
        `maker` may make none; BudgetExhaustedError if it has no room for the budget.
        """
        now_ns = self._clock.now_ns()
        async with self._changing:
            faults = faults_of(new, now_ns)
            if maker and not faults:
                faults = faults_of_made(new, await self._maker(maker, now_ns))
            if faults:
                raise BadRequestError("the key cannot be made", faults, step="keys")
            minted = mint(self._entropy)
            record = replace(_record(new, minted.id, self._hasher(minted), now_ns), maker=maker)
            await self._open(record, new.budget_usd_micros)
        return CreatedKey(minted.text, record)

    async def _maker(self, key_id: str, now_ns: int) -> KeyRecord:
        record = await self._stored(key_id)
        if ADMIN_KEYS not in record.scopes:
            raise MissingScopeError(
                f"key {key_id} lacks the scope {ADMIN_KEYS}",
                scope=ADMIN_KEYS,
                fix=f"use a key that has it: macroslow keys create NAME --scope {ADMIN_KEYS}",
            )
        if not self._keyring.in_force(record, now_ns):
            raise ConflictError(f"key {key_id} has ended, and makes no keys", fix="use one that is in force")
        if self._keyring.depth(record) >= MAX_DEPTH:
            raise ConflictError(
                f"between key {key_id} and the operator are {MAX_DEPTH} keys, and there are never more",
                fix="make the key with one of those",
            )
        return record

    async def adopt(self, key: LegacyKey, new: NewKey, *, revoked: bool = False) -> KeyRecord:
        """Take over a key of another gateway under its own text. ConflictError if it was before.

        A revoked one is taken too, so that its name says what became of it. Raises as `create`, but an
        expiry may have passed.
        """
        now_ns = self._clock.now_ns()
        faults = [fault for fault in faults_of(new, now_ns) if fault.field != "expires_ns"]
        if faults:
            raise BadRequestError("the key cannot be taken over", faults, step="keys")
        record = _record(new, key.id, self._hasher(key), now_ns)
        record = replace(record, legacy=True, revoked_ns=now_ns if revoked else None)
        async with self._changing:
            if self._keyring.get(key.id) is not None:
                fix = f"macroslow keys show {key.id}"
                raise ConflictError(f"key {key.id} was taken over before", fix=fix)
            await self._open(record, new.budget_usd_micros)
        return record

    async def change(self, key_id: str, wanted: KeyTerms) -> KeyRecord:
        """Bound a key anew, from its next request on.

        Raises BadRequestError with every fault, ConflictError if the key is revoked. A budget below what
        is spent is taken: then nothing more can be spent.
        """
        async with self._changing:
            before = await self._stored(key_id)
            if before.revoked_ns is not None:
                raise ConflictError(f"key {key_id} is revoked", fix="make a new one: macroslow keys create")
            after = changed_record(before, wanted)
            faults = change_faults(before, after, wanted, self._clock.now_ns())
            if after.maker and not faults:
                faults = faults_of_made(after, await self._stored(after.maker))
            if faults:
                raise BadRequestError("the key cannot be changed", faults, step="keys")
            self._require_within(after)
            account = await self._books.account(account_of(key_id))
            changed = key_events.differences(before, after, account, wanted)
            if changed:
                await self._books.commit(*self._changes(after, wanted, changed))
                self._keyring.put(after)
        return after

    def _changes(
        self, after: KeyRecord, wanted: KeyTerms, changed: Mapping[str, object]
    ) -> Iterator[PutKey | OpenAccount | Append]:
        yield PutKey(after)
        if "budget_usd_micros" in wanted:
            yield _account(after, wanted["budget_usd_micros"])
        fields = {"key_id": after.id, "principal": after.principal, "changed": changed}
        yield Append(Event(EventType.KEY_CHANGED, self._clock.now_ns(), after.principal, fields))

    async def _open(self, record: KeyRecord, budget_usd_micros: int | None) -> None:
        """Keep a new key, its account and its log entry, and let it work."""
        await self._books.commit(
            PutKey(record),
            _account(record, budget_usd_micros),
            Append(key_events.created(record, budget_usd_micros)),
        )
        self._keyring.put(record)

    async def show(self, key_id: str) -> ShownKey:
        """One key with its account. NotFoundError if there is none."""
        return ShownKey(self.known(key_id), await self._books.account(account_of(key_id)))

    async def revoke(self, key_id: str, reason: str = "") -> KeyRecord:
        """Refuse a key from the next request on. Idempotent: the first revocation stands.

        What the key has under way is ended by whoever watches over it, and charged as when a caller hangs up.
        """
        async with self._changing:
            stored = await self._books.keys()
            record = self._newest(key_id, stored)
            if record.revoked_ns is not None:
                return record
            revoked = replace(record, revoked_ns=self._clock.now_ns())
            closed = map(CloseAccount, _accounts_ended_with(record, stored))
            await self._books.commit(PutKey(revoked), *closed, Append(key_events.revoked(revoked, reason)))
            self._keyring.put(revoked)
        return revoked

    async def revoke_all(self, reason: str) -> Sequence[KeyRecord]:
        """Refuse every key from the next request on, in one commit; those that were not refused before."""
        async with self._changing:
            stored = await self._books.keys()
            now_ns = self._clock.now_ns()
            revoked = [replace(one, revoked_ns=now_ns) for one in stored if one.revoked_ns is None]
            if revoked:
                closed = [CloseAccount(account_of(record.id)) for record in revoked if record.maker]
                entries = [Append(key_events.revoked(record, reason)) for record in revoked]
                await self._books.commit(*map(PutKey, revoked), *closed, *entries)
            for record in revoked:
                self._keyring.put(record)
        return revoked

    async def rotate(self, key_id: str, overlap_ns: int = 0) -> CreatedKey:
        """Give a key another secret; the one it had works for `overlap_ns` more, and any before it no more.

        Everything else of the key stays. ConflictError if it is revoked or of another gateway, or if an
        overlap lasts already and another is asked for: a rotation without one ends it.
        """
        async with self._changing:
            before, now_ns = await self._stored(key_id), self._clock.now_ns()
            _may_rotate(before, now_ns, overlap_ns)
            minted = mint(self._entropy, key_id)
            after = replace(
                before,
                secret_hmac=self._hasher(minted),
                generation=before.generation + 1,
                old_secret_hmac=before.secret_hmac if overlap_ns else b"",
                old_until_ns=now_ns + overlap_ns if overlap_ns else None,
            )
            await self._books.commit(PutKey(after), Append(key_events.rotated(after, now_ns)))
            self._keyring.put(after)
        return CreatedKey(minted.text, after)

    def list(self) -> list[KeyRecord]:
        """All keys, revoked ones too, oldest first."""
        return self._keyring.records()

    def state(self, record: KeyRecord) -> str:
        """Whether the key is IN_FORCE, "expired", "revoked" or "ended with its maker"."""
        if record.revoked_ns is not None:
            return "revoked"
        now_ns = self._clock.now_ns()
        if not is_in_force(record, now_ns):
            return "expired"
        return IN_FORCE if self._keyring.in_force(record, now_ns) else "ended with its maker"

    def _require_within(self, maker: KeyRecord) -> None:
        """ConflictError if a key that this one made would then be allowed more than its maker."""
        now_ns = self._clock.now_ns()
        made = [one for one in self._keyring.records() if one.maker == maker.id and is_in_force(one, now_ns)]
        wider = [one.id for one in made if beyond(one, maker)]
        if wider:
            raise ConflictError(
                f"keys that {maker.id} made would be allowed more than it: {', '.join(wider)}",
                fix="bound or revoke those first",
            )

    async def _stored(self, key_id: str) -> KeyRecord:
        """The key as the books have it: another process may have changed it."""
        return self._newest(key_id, await self._books.keys())

    def _newest(self, key_id: str, stored: Sequence[KeyRecord]) -> KeyRecord:
        return next((record for record in stored if record.id == key_id), None) or self.known(key_id)

    def known(self, key_id: str) -> KeyRecord:
        """A key by its id, in force or not. NotFoundError if there is none."""
        held = self._keyring.get(key_id)
        if held is None:
            raise unknown_key(key_id)
        return held.record


def unknown_key(key_id: str) -> NotFoundError:
    """What everybody is told of a key that is none of theirs.

    What cannot be an id is not repeated: it may be a key.
    """
    if is_credential(key_id):
        own = id_of(key_id)
        told = "that is a key; its id is {}" if own else "that is a credential, and no key's id"
        if own.startswith(LEGACY_ID_PREFIX):
            told = "that is a key of others; its id is {} if it was imported"
        fix = f"macroslow keys show {own}" if own else "macroslow keys list"
        return NotFoundError(told.format(own), fix=fix, step="keys")
    named = repr(key_id) if len(key_id) <= MAX_ID_CHARACTERS and key_id.isalnum() else "of that id"
    return NotFoundError(f"no key {named}", fix="macroslow keys list", step="keys")


def _account(record: KeyRecord, budget_usd_micros: int | None) -> OpenAccount:
    parent = account_of(record.maker) if record.maker else None
    return OpenAccount(account_of(record.id), budget_usd_micros, parent)


def _accounts_ended_with(record: KeyRecord, stored: Sequence[KeyRecord]) -> Iterator[str]:
    """The accounts that take no call any more without this key, and whose rest is their makers' again.

    Not the key's own where it pays from no maker's: nobody waits for its rest.
    """
    if record.maker:
        yield account_of(record.id)
    for made in stored:
        if made.maker == record.id:
            yield from _accounts_ended_with(made, stored)


def _may_rotate(record: KeyRecord, now_ns: int, overlap_ns: int) -> None:
    new_key = "make a new one: macroslow keys create"
    if record.revoked_ns is not None:
        raise ConflictError(f"key {record.id} is revoked", fix=new_key)
    if record.legacy:
        raise ConflictError(f"the text of key {record.id} is another gateway's", fix=new_key)
    if not 0 <= overlap_ns <= MAX_OVERLAP_NS:
        problem = Problem("0 to 30 days", field="overlap_s")
        raise BadRequestError("the key cannot be rotated", [problem], step="keys")
    if overlap_ns and has_overlap(record, now_ns):
        raise ConflictError(
            f"the secret that key {record.id} had before still works",
            fix="wait for its end, or end it now: --overlap 0s",
        )


def _record(new: NewKey, key_id: str, secret_hmac: bytes, now_ns: int) -> KeyRecord:
    return KeyRecord(key_id, new.principal, secret_hmac, now_ns, note=new.note, **terms_of(new))
