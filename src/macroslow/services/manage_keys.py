"""Client keys: made, listed and revoked by the operator; every change is kept and logged at once.

A key pays from an account of its own, `key/ID`, whose limit is its budget. The text of a key is
returned by `create` and is nowhere afterwards.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from macroslow.authn.api_keys import SecretHasher, mint
from macroslow.authn.keyring import KeyRing, account_of
from macroslow.authn.ports import KeyRecord, PutKey
from macroslow.authz import scopes as known_scopes
from macroslow.authz.uri import Pattern
from macroslow.errors import BadRequestError, NotFoundError, Problem
from macroslow.metering.ledger import Account, OpenAccount
from macroslow.ports import NS_PER_S, Clock, Entropy
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books

MAX_NOTE_CHARACTERS: Final = 200
MAX_GRANTS: Final = 200
RESERVED: Final = frozenset({"operator", "gateway"})  # who acts where no client does
_PRINCIPAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:/-]{0,127}")


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key shall be. `budget_usd_micros` None: no budget of its own; times are since 1970 (UTC)."""

    principal: str
    scopes: frozenset[str] = known_scopes.CLIENT_DEFAULT
    grants: tuple[str, ...] = ()
    budget_usd_micros: int | None = None
    requests_per_minute: int | None = None
    note: str = ""
    expires_ns: int | None = None


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

    async def load(self) -> None:
        """Read the stored keys into the key ring."""
        self._keyring.replace_all(await self._books.keys())

    async def create(self, new: NewKey) -> CreatedKey:
        """Make a key and its account. Raises BadRequestError, with every fault, if it makes no sense."""
        now_ns = self._clock.now_ns()
        faults = _faults(new, now_ns)
        if faults:
            raise BadRequestError("the key cannot be made", faults, step="keys")
        minted = mint(self._entropy)
        record = KeyRecord(
            id=minted.id,
            principal=new.principal,
            secret_hmac=self._hasher(minted),
            scopes=new.scopes,
            grants=new.grants,
            note=new.note,
            created_ns=now_ns,
            expires_ns=new.expires_ns,
            requests_per_minute=new.requests_per_minute,
        )
        await self._books.commit(
            PutKey(record),
            OpenAccount(account_of(record.id), new.budget_usd_micros),
            Append(_created(record, new.budget_usd_micros)),
        )
        self._keyring.put(record)
        return CreatedKey(minted.text, record)

    async def show(self, key_id: str) -> ShownKey:
        """One key with its account. NotFoundError if there is none."""
        return ShownKey(self._record(key_id), await self._books.account(account_of(key_id)))

    async def revoke(self, key_id: str, reason: str = "") -> KeyRecord:
        """Refuse a key from the next request on. Idempotent: the first revocation stands.

        What the key has under way is finished and charged.
        """
        record = self._record(key_id)
        if record.revoked_ns is not None:
            return record
        revoked = replace(record, revoked_ns=self._clock.now_ns())
        await self._books.commit(PutKey(revoked), Append(_revoked(revoked, reason)))
        self._keyring.put(revoked)
        return revoked

    def list(self) -> list[KeyRecord]:
        """All keys, revoked ones too, oldest first."""
        return self._keyring.records()

    def _record(self, key_id: str) -> KeyRecord:
        held = self._keyring.get(key_id)
        if held is None:
            raise NotFoundError(f"no key {key_id!r}", fix="macroslow keys list", step="keys")
        return held.record


def _created(record: KeyRecord, budget_usd_micros: int | None) -> Event:
    fields = {
        "key_id": record.id,
        "principal": record.principal,
        "scopes": sorted(record.scopes),
        "grants": [*record.grants],
        "budget_usd_micros": budget_usd_micros,
        "requests_per_minute": record.requests_per_minute,
        "note": record.note,
        "expires_s": None if record.expires_ns is None else record.expires_ns // NS_PER_S,
    }
    return Event(EventType.KEY_CREATED, record.created_ns, record.principal, fields)


def _revoked(record: KeyRecord, reason: str) -> Event:
    fields = {"key_id": record.id, "principal": record.principal, "reason": reason}
    return Event(EventType.KEY_REVOKED, record.revoked_ns or 0, record.principal, fields)


def _faults(new: NewKey, now_ns: int) -> list[Problem]:
    faults = _scope_faults(new.scopes) + _grant_faults(new.grants)
    if new.principal.startswith(("msk_", "sk-")):
        faults.append(
            Problem(
                "this is a key, not a name: the log would keep it for ever",
                "name whoever uses it",
                field="principal",
            )
        )
    if not _PRINCIPAL.fullmatch(new.principal):
        faults.append(
            Problem(
                "1 to 128 of letters, digits and . _ @ + : / -, a letter or digit first", field="principal"
            )
        )
    if new.principal.lower() in RESERVED:
        faults.append(
            Problem("this name is the gateway's own: its runs would be the key's", field="principal")
        )
    if len(new.note) > MAX_NOTE_CHARACTERS or not (new.note.isprintable() or not new.note):
        faults.append(Problem(f"at most {MAX_NOTE_CHARACTERS} printable characters", field="note"))
    if new.budget_usd_micros is not None and not 0 <= new.budget_usd_micros < 2**53:
        faults.append(Problem("millionths of a dollar, 0 or more", field="budget_usd_micros"))
    if new.requests_per_minute is not None and not 1 <= new.requests_per_minute <= 10_000_000:
        faults.append(Problem("1 to 10000000", field="requests_per_minute"))
    if new.expires_ns is not None and new.expires_ns <= now_ns:
        faults.append(Problem("the expiry has passed", field="expires_ns"))
    return faults


def _scope_faults(scopes: Collection[str]) -> list[Problem]:
    known = ", ".join(sorted(known_scopes.ALL))
    return [
        Problem(f"no scope {scope!r}", fix=f"one of {known}", field="scopes")
        for scope in sorted(scopes)
        if scope not in known_scopes.ALL
    ]


def _grant_faults(grants: Sequence[str]) -> list[Problem]:
    if len(grants) > MAX_GRANTS:
        return [Problem(f"more than {MAX_GRANTS} grants", field="grants")]
    return [fault for grant in grants if (fault := _grant_fault(grant)) is not None]


def _grant_fault(grant: str) -> Problem | None:
    """What the decision on a document would find wrong with the grant, found while it can be mended."""
    try:
        Pattern.parse(grant)
    except BadRequestError as error:
        return Problem(error.detail, fix=error.fix, field="grants")
    return None
