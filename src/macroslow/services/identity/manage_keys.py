"""Client keys: made, changed and revoked by the operator; every change is kept and logged at once.

A key pays from an account of its own, `key/ID`, whose limit is its budget. The text of a key is
returned by `create` and is nowhere afterwards.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from macroslow.authn.api_keys import LegacyKey, SecretHasher, has_overlap, mint
from macroslow.authn.keyring import KeyRing, account_of
from macroslow.authn.ports import DropKey, KeyRecord
from macroslow.authn.principal import THE_OPERATOR
from macroslow.authn.refusal import Refusal
from macroslow.authn.terms import terms_of
from macroslow.errors import BadRequestError, BudgetExhaustedError, ConflictError, CredentialError
from macroslow.metering.ledger import Account, CloseAccount
from macroslow.ports import DAY_NS, Clock, Entropy
from macroslow.services.identity import key_changes
from macroslow.services.identity.authenticate import Authenticate
from macroslow.services.identity.key_rules import (
    require_maker,
    require_rotatable,
    require_unrevoked,
    require_within,
)
from macroslow.services.identity.key_words import no_room
from macroslow.services.identity.unknown_key import unknown_key
from macroslow.services.identity.wished_keys import (
    KeyTerms,
    NewKey,
    change_faults,
    changed_record,
    faults_of,
    faults_of_made,
)
from macroslow.workflow.books import Books

KEPT_ENDED_NS: Final = 90 * DAY_NS
"""A key that a key made and that ended so long ago is forgotten: programs make keys without end. Those of the
operator are kept for good. Each was wished for by a person, reports name it, and none is imported twice."""


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
        self._authenticate = Authenticate(keyring, pepper, clock)
        self._clock = clock
        self._entropy = entropy
        self._changing = asyncio.Lock()  # a change that was read before a revocation must not undo it

    async def load(self) -> None:
        """Read the stored keys into the key ring."""
        async with self._changing:
            self._keyring.replace_all(await self._books.keys())
            await self._forget_ended()
        await self.learn_uses()

    async def _forget_ended(self) -> None:
        """Drop what is older than KEPT_ENDED_NS; what it was and how it ended stays in the log."""
        before_ns = self._clock.now_ns() - KEPT_ENDED_NS
        made = (record for record in self._keyring.records() if record.maker)
        gone = [record.id for record in made if (end := self._keyring.ended_ns(record)) and end <= before_ns]
        if gone:
            closed = (CloseAccount(account_of(key_id)) for key_id in gone)  # an expired one may hold a rest
            await self._books.commit(*closed, *map(DropKey, gone))
            self._keyring.drop(gone)

    async def learn_uses(self) -> None:
        """Read when keys were last used, here or in another process, before this one began or since."""
        self._keyring.learn_uses(await self._books.key_uses())

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
                await self._forget_ended()
            if faults:
                raise BadRequestError("the key cannot be made", faults, step="keys")
            minted = mint(self._entropy)
            record = replace(_record(new, minted.id, self._hasher(minted), now_ns), maker=maker)
            await self._keep([record], key_changes.making(record, new.budget_usd_micros))
        return CreatedKey(minted.text, record)

    async def _maker(self, key_id: str, now_ns: int) -> KeyRecord:
        record = await self._stored(key_id)
        require_maker(record, self._keyring, now_ns)
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
            await self._keep([record], key_changes.making(record, new.budget_usd_micros))
        return record

    async def change(self, key_id: str, wanted: KeyTerms, by: str = THE_OPERATOR) -> KeyRecord:
        """Bound a key anew, from its next request on. `by` is the operator or an administrator's key, by id.

        Raises BadRequestError with every fault, ConflictError if the key is revoked. A budget below what
        is spent is taken: then nothing more can be spent.
        """
        async with self._changing:
            before = await self._stored(key_id)
            require_unrevoked(before)
            after = changed_record(before, wanted)
            faults = change_faults(before, after, wanted, self._clock.now_ns())
            if after.maker and not faults:
                faults = faults_of_made(after, await self._stored(after.maker))
            if faults:
                raise BadRequestError("the key cannot be changed", faults, step="keys")
            require_within(after, self._keyring, self._clock.now_ns())
            account = await self._books.account(account_of(key_id))
            now_ns = self._clock.now_ns()
            changes = key_changes.changing(before, after, account, wanted, self._administrator(by), now_ns)
            if changes:
                await self._keep([after], changes)
        return after

    async def _keep(self, records: Sequence[KeyRecord], changes: Iterable[key_changes.Change]) -> None:
        """Commit what is to be, and have it in force here."""
        try:
            await self._books.commit(*changes)
        except BudgetExhaustedError as error:
            raise no_room(error) from None
        for record in records:
            self._keyring.put(record)

    async def show(self, key_id: str) -> ShownKey:
        """One key with its account. NotFoundError if there is none."""
        return ShownKey(self.known(key_id), await self._books.account(account_of(key_id)))

    async def revoke(self, key_id: str, reason: str = "", by: str = THE_OPERATOR) -> KeyRecord:
        """Refuse a key from the next request on. Idempotent: the first revocation stands.

        What the key has under way is ended by whoever watches over it, and charged as when a caller hangs up.
        """
        async with self._changing:
            stored = await self._books.keys()
            record = _one_of(stored, key_id)
            if record.revoked_ns is not None:
                return record
            revoked = replace(record, revoked_ns=self._clock.now_ns())
            await self._keep(
                [revoked], key_changes.ending([revoked], stored, reason, self._administrator(by))
            )
        return revoked

    async def revoke_all(self, reason: str) -> Sequence[KeyRecord]:
        """Refuse every key from the next request on, in one commit; those that were not refused before."""
        async with self._changing:
            stored = await self._books.keys()
            now_ns = self._clock.now_ns()
            revoked = [replace(one, revoked_ns=now_ns) for one in stored if one.revoked_ns is None]
            if revoked:
                await self._keep(revoked, key_changes.ending(revoked, stored, reason, None))
        return revoked

    async def rotate(self, key_id: str, overlap_ns: int = 0, by: str = THE_OPERATOR) -> CreatedKey:
        """Give a key another secret; the one it had works for `overlap_ns` more, and any before it no more.

        Everything else of the key stays. ConflictError if it is revoked or of another gateway, or if an
        overlap lasts already and another is asked for: a rotation without one ends it.
        """
        async with self._changing:
            before, now_ns = await self._stored(key_id), self._clock.now_ns()
            require_rotatable(before, overlap_ns, now_ns)
            minted = mint(self._entropy, key_id)
            after = replace(
                before,
                secret_hmac=self._hasher(minted),
                generation=before.generation + 1,
                old_secret_hmac=before.secret_hmac,  # without an overlap too: the log says that it is old
                old_until_ns=now_ns + overlap_ns,
            )
            await self._keep([after], key_changes.rotating(after, self._administrator(by), now_ns))
        return CreatedKey(minted.text, after)

    def list(self) -> list[KeyRecord]:
        """All keys, revoked ones too, oldest first."""
        return self._keyring.records()

    def state(self, record: KeyRecord) -> str:
        """What has become of the key until now (`KeyRing.state`)."""
        return self._keyring.state(record, self._clock.now_ns())

    def refusal(self, text: str) -> Refusal | None:
        """Why a request with this key is refused, wherever it comes from; None: it is let in.

        Asking is no use of the key.
        """
        try:
            self._authenticate.by_key(text.strip().encode("utf-8", "surrogatepass"))
        except CredentialError as error:
            return Refusal(error.reason)
        return None

    def overlap_until_ns(self, record: KeyRecord) -> int | None:
        """Until when the secret before the newest one still works; None: it does not."""
        return record.old_until_ns if has_overlap(record, self._clock.now_ns()) else None

    def last_used_ns(self, record: KeyRecord) -> int | None:
        """The minute in which a key was last let in; None: never, as far as is known."""
        return self._keyring.last_used_ns(record.id)

    def _administrator(self, by: str) -> KeyRecord | None:
        """The key of who acts; None: the operator."""
        return None if by == THE_OPERATOR else self.known(by)

    async def _stored(self, key_id: str) -> KeyRecord:
        """The key as the books have it: another process may have changed it."""
        return _one_of(await self._books.keys(), key_id)

    def known(self, key_id: str) -> KeyRecord:
        """A key by its id, in force or not. NotFoundError if there is none."""
        held = self._keyring.get(key_id)
        if held is None:
            raise unknown_key(key_id)
        return held.record


def _one_of(stored: Sequence[KeyRecord], key_id: str) -> KeyRecord:
    """A key as the books have it. One that only the key ring still holds was forgotten by another process."""
    record = next((record for record in stored if record.id == key_id), None)
    if record is None:
        raise unknown_key(key_id)
    return record


def _record(new: NewKey, key_id: str, secret_hmac: bytes, now_ns: int) -> KeyRecord:
    return KeyRecord(key_id, new.principal, secret_hmac, now_ns, note=new.note, **terms_of(new))
