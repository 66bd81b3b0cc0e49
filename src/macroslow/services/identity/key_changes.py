"""What each act upon a client key commits: the key's record, its account and its entry in the log.

Pure: what is asked was found good before, and commits happen elsewhere. `by` is who did it: None for the
operator, or an administrator's key. An entry about somebody else's key then has two persons in it, and the
administrator's part is sealed under a key of their own.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from macroslow.authn.api_keys import has_overlap, without_credentials
from macroslow.authn.keyring import account_of
from macroslow.authn.ports import KeyRecord, PutKey
from macroslow.authn.principal import THE_OPERATOR
from macroslow.authn.terms import told
from macroslow.metering.ledger import Account, CloseAccount, OpenAccount
from macroslow.ports import NS_PER_S
from macroslow.services.identity.wished_keys import KeyTerms
from macroslow.tlog.event import Event, EventType, PersonFields
from macroslow.tlog.ports import Append

Change = PutKey | OpenAccount | CloseAccount | Append
ADMINISTRATOR: Final = "administrator"
"""What the entry about another's key says of who did it; which of them is said in their own part."""


def making(record: KeyRecord, budget_usd_micros: int | None) -> list[Change]:
    """A new key, with the account that it pays from. Who made it is `record.maker`; "": the operator."""
    fields = {
        **_whose(record),
        **_logged_terms(record),
        "budget_usd_micros": budget_usd_micros,
        "note": record.note,
        "legacy": record.legacy,
        "maker": record.maker,
    }
    entry = Event(EventType.KEY_CREATED, record.created_ns, record.principal, fields)
    return [PutKey(record), _account(record, budget_usd_micros), Append(entry)]


def changing(
    before: KeyRecord,
    after: KeyRecord,
    account: Account | None,
    wanted: KeyTerms,
    by: KeyRecord | None,
    now_ns: int,
) -> list[Change]:
    """A key that is bound anew; nothing where nothing differs."""
    changed = _differences(before, after, account, wanted)
    if not changed:
        return []
    opened = [_account(after, wanted["budget_usd_micros"])] if "budget_usd_micros" in wanted else []
    return [PutKey(after), *opened, _act(EventType.KEY_CHANGED, now_ns, after, {"changed": changed}, by)]


def rotating(record: KeyRecord, by: KeyRecord | None, now_ns: int) -> list[Change]:
    """A key with another secret; the one before works until `overlap_until_s`, if it still does."""
    until_ns = record.old_until_ns or 0
    fields = {
        "generation": record.generation,
        "overlap_until_s": until_ns // NS_PER_S if has_overlap(record, now_ns) else None,
    }
    return [PutKey(record), _act(EventType.KEY_ROTATED, now_ns, record, fields, by)]


def ending(
    revoked: Sequence[KeyRecord], stored: Sequence[KeyRecord], reason: str, by: KeyRecord | None
) -> Iterator[Change]:
    """Keys that are revoked now, of all that are `stored`. What looks like a key in the reason is cut.

    A revocation waits for nothing: it is not refused for what somebody typed in a hurry.
    """
    told_reason = without_credentials(reason)
    yield from map(PutKey, revoked)
    yield from map(CloseAccount, _accounts_ended_with(revoked, stored))
    for record in revoked:
        yield _act(EventType.KEY_REVOKED, record.revoked_ns or 0, record, {"reason": told_reason}, by)


def _act(
    kind: EventType, time_ns: int, record: KeyRecord, fields: Mapping[str, object], by: KeyRecord | None
) -> Append:
    """The entry about an act upon a key that exists."""
    told_by, others = THE_OPERATOR, tuple[PersonFields, ...]()
    if by is not None:
        told_by = by.id
        if by.principal != record.principal:
            told_by, others = ADMINISTRATOR, (PersonFields(by.principal, {"by": by.id}),)
    whole = {**_whose(record), **fields, "by": told_by}
    return Append(Event(kind, time_ns, record.principal, whole, others))


def _whose(record: KeyRecord) -> Mapping[str, object]:
    return {"key_id": record.id, "principal": record.principal}


def _account(record: KeyRecord, budget_usd_micros: int | None) -> OpenAccount:
    parent = account_of(record.maker) if record.maker else None
    return OpenAccount(account_of(record.id), budget_usd_micros, parent)


def _accounts_ended_with(revoked: Sequence[KeyRecord], stored: Sequence[KeyRecord]) -> list[str]:
    """The accounts that take no call any more without these keys, and whose rest is their makers' again.

    Not those of the operator's keys: nobody waits for their rest.
    """
    made_by = defaultdict(list)
    for record in stored:
        made_by[record.maker].append(record)
    found: dict[str, None] = {}
    ended = [*revoked]
    while ended:
        record = ended.pop()
        if record.id not in found:
            found[record.id] = None
            ended += made_by[record.id]
    ours = {record.id for record in made_by[""]}
    return [account_of(key_id) for key_id in found if key_id not in ours]


def _differences(
    before: KeyRecord, after: KeyRecord, account: Account | None, wanted: KeyTerms
) -> dict[str, object]:
    """What was and what is, of everything that differs."""
    was = {**_logged_terms(before), "note": before.note}
    is_ = {**_logged_terms(after), "note": after.note}
    if "budget_usd_micros" in wanted:
        was["budget_usd_micros"] = account.limit_usd_micros if account else None
        is_["budget_usd_micros"] = wanted["budget_usd_micros"]
    return {name: {"from": was[name], "to": is_[name]} for name in was if was[name] != is_[name]}


def _logged_terms(record: KeyRecord) -> dict[str, object]:
    """The terms as the log holds them: its numbers are too small for nanoseconds since 1970."""
    terms = told(record)
    expires_ns = terms.pop("expires_ns")
    return {**terms, "expires_s": None if expires_ns is None else expires_ns // NS_PER_S}
