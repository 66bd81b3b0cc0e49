"""What a key as it stands forbids, whoever asks: to make others, to have another secret, to be bound tighter.

Pure; what is wrong with a wish for a key is `wished_keys`.
"""

from typing import Final

from macroslow.authn.api_keys import has_overlap, is_in_force
from macroslow.authn.keyring import KeyRing
from macroslow.authn.ports import KeyRecord
from macroslow.authz.scopes import ADMIN_KEYS
from macroslow.errors import BadRequestError, ConflictError, MissingScopeError, Problem
from macroslow.ports import DAY_NS
from macroslow.services.identity.key_words import moment, wider

MAX_DEPTH: Final = 4  # of keys that were made by keys: each request looks at all of them
MAX_OVERLAP_NS: Final = 30 * DAY_NS  # two secrets for one key are for as long as it takes to deploy one
NEW_KEY: Final = "make a new one: macroslow keys create"


def require_maker(record: KeyRecord, keyring: KeyRing, now_ns: int) -> None:
    """Raise MissingScopeError or ConflictError unless the key may make others."""
    if ADMIN_KEYS not in record.scopes:
        raise MissingScopeError(
            f"key {record.id} lacks the scope {ADMIN_KEYS}",
            scope=ADMIN_KEYS,
            fix=f"use a key that has it: macroslow keys create NAME --scope {ADMIN_KEYS}",
        )
    if not keyring.in_force(record, now_ns):
        raise ConflictError(f"key {record.id} has ended, and makes no keys", fix="use one that is in force")
    if keyring.depth(record) >= MAX_DEPTH:
        raise ConflictError(
            f"between key {record.id} and the operator are {MAX_DEPTH} keys, and there are never more",
            fix="make the key with one of those",
        )


def require_within(maker: KeyRecord, keyring: KeyRing, now_ns: int) -> None:
    """Raise ConflictError if a key that this one made would then be allowed more than its maker."""
    made = [one for one in keyring.records() if one.maker == maker.id and is_in_force(one, now_ns)]
    found = [f"{one.id} ({more})" for one in made if (more := wider(one, maker))]
    if found:
        raise ConflictError(
            f"keys that {maker.id} made would be allowed more than it: {', '.join(found)}",
            fix="bound or revoke those first",
        )


def require_rotatable(record: KeyRecord, overlap_ns: int, now_ns: int) -> None:
    """Raise ConflictError, or BadRequestError for an overlap that is too long, unless it may be rotated."""
    require_unrevoked(record)
    if record.legacy:
        raise ConflictError(f"the text of key {record.id} is another gateway's", fix=NEW_KEY)
    if not 0 <= overlap_ns <= MAX_OVERLAP_NS:
        most = f"both secrets work for at most {MAX_OVERLAP_NS // DAY_NS} days"
        raise BadRequestError("the key cannot be rotated", [Problem(most, field="overlap_s")], step="keys")
    if overlap_ns and record.old_until_ns is not None and has_overlap(record, now_ns):
        raise ConflictError(
            f"the secret that key {record.id} had before still works until {moment(record.old_until_ns)}",
            fix="wait for its end, or end it now: --overlap 0s",
        )


def require_unrevoked(record: KeyRecord) -> None:
    """Raise ConflictError if the key is revoked, which is for good."""
    if record.revoked_ns is not None:
        raise ConflictError(f"key {record.id} is revoked", fix=NEW_KEY)
