"""What the log says of client keys: made, given other bounds or another secret, revoked."""

from macroslow.authn.ports import KeyRecord
from macroslow.authn.terms import told
from macroslow.metering.ledger import Account
from macroslow.ports import NS_PER_S
from macroslow.services.identity.wished_keys import KeyTerms
from macroslow.tlog.event import Event, EventType


def created(record: KeyRecord, budget_usd_micros: int | None) -> Event:
    fields = {
        "key_id": record.id,
        "principal": record.principal,
        **_logged_terms(record),
        "budget_usd_micros": budget_usd_micros,
        "note": record.note,
        "legacy": record.legacy,
        "maker": record.maker,
    }
    return Event(EventType.KEY_CREATED, record.created_ns, record.principal, fields)


def _logged_terms(record: KeyRecord) -> dict[str, object]:
    """The terms as the log holds them: its numbers are too small for nanoseconds since 1970."""
    terms = told(record)
    expires_ns = terms.pop("expires_ns")
    return {**terms, "expires_s": None if expires_ns is None else expires_ns // NS_PER_S}


def revoked(record: KeyRecord, reason: str) -> Event:
    fields = {"key_id": record.id, "principal": record.principal, "reason": reason}
    return Event(EventType.KEY_REVOKED, record.revoked_ns or 0, record.principal, fields)


def differences(
    before: KeyRecord, after: KeyRecord, account: Account | None, wanted: KeyTerms
) -> dict[str, object]:
    """What was and what is, of everything that differs."""
    was = {**_logged_terms(before), "note": before.note}
    is_ = {**_logged_terms(after), "note": after.note}
    if "budget_usd_micros" in wanted:
        was["budget_usd_micros"] = account.limit_usd_micros if account else None
        is_["budget_usd_micros"] = wanted["budget_usd_micros"]
    return {name: {"from": was[name], "to": is_[name]} for name in was if was[name] != is_[name]}


def rotated(record: KeyRecord, now_ns: int) -> Event:
    """A key has another secret; the one before works until `overlap_until_s`, if it still does."""
    until_ns = record.old_until_ns
    fields = {
        "key_id": record.id,
        "principal": record.principal,
        "generation": record.generation,
        "overlap_until_s": None if until_ns is None else until_ns // NS_PER_S,
    }
    return Event(EventType.KEY_ROTATED, now_ns, record.principal, fields)
