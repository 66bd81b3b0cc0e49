"""A hand-over: one key of a log gives the log to the next, and both say so themselves.

    {"format": "macroslow-hand-over v1", "receipt", "size",
     "old": {"ed25519", "ml_dsa_44"}, "new": {"ed25519", "ml_dsa_44"}}

`receipt` is the text of the receipt, under the old key, of the entry LOG_KEY_ROTATED that names both. It is
not enough: whoever can have a checkpoint signed can have one signed over a tree of his own. So the old key
and the new one, each by both of its algorithms, sign (base64) a text besides, which is that of no checkpoint:

    macroslow-hand-over v1
    old <fingerprint>
    new <vkey of type 0x01>
    new <vkey of type 0x06>
    size <entries of the last tree that the old key signed>
    receipt <SHA-256, hex>

Signing it is the signer's own step, for a key that it made; the new key's signatures prove that it is there.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

import orjson

from macroslow.crypto import strict_json
from macroslow.crypto.note_keys import NotePublicKey
from macroslow.errors import VerificationError
from macroslow.tlog import receipt as receipts
from macroslow.tlog.checkpoint import HandOverSignatures, LogPrivateKey, LogPublicKey
from macroslow.tlog.event import EventType
from macroslow.tlog.note import MAX_SIZE

FORMAT: Final = "macroslow-hand-over v1"
MAX_RECEIPT_BYTES: Final = 96 * 1024  # with the lines of many witnesses
MAX_BYTES: Final = 2 * MAX_RECEIPT_BYTES + 16 * 1024


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The next key, and how many entries the last tree of the one before it has."""

    key: LogPublicKey
    last_size: int


@dataclass(frozen=True, slots=True)
class _Parsed:
    """Taken apart; nothing in it is believed yet."""

    receipt: bytes
    size: int
    old: HandOverSignatures
    new: HandOverSignatures


def make(old: LogPrivateKey, new: LogPrivateKey, receipt: bytes, last_size: int) -> bytes:
    """Return the hand-over. VerificationError unless `receipt`, under `old`, names `new`, within the tree."""
    if len(receipt) > MAX_RECEIPT_BYTES:
        raise VerificationError("the receipt of the entry is too large for a hand-over")
    if _named(receipt, old.public, last_size) != new.public:
        raise VerificationError("the entry hands over to another key than the one that was staged")
    said = _said(old.public, new.public, last_size, receipt)
    members = {
        "format": FORMAT,
        "receipt": receipt.decode(),
        "size": last_size,
        "old": _encoded(old.sign_hand_over(said)),
        "new": _encoded(new.sign_hand_over(said)),
    }
    return orjson.dumps(members)


def handed_over(raw: bytes, old: LogPublicKey) -> HandedOver:
    """Return what the hand-over (from an adversary) proves to who believes `old`; else VerificationError."""
    parsed = _parse(raw)
    new = _named(parsed.receipt, old, parsed.size)
    said = _said(old, new, parsed.size, parsed.receipt)
    old.verify_hand_over(said, parsed.old)
    new.verify_hand_over(said, parsed.new)
    return HandedOver(new, parsed.size)


def last_size(raw: bytes) -> int:
    """How many entries the last tree of the old key has, in a hand-over that was verified before."""
    return _parse(raw).size


def _said(old: LogPublicKey, new: LogPublicKey, size: int, receipt: bytes) -> str:
    keys = f"old {old.fingerprint}\nnew {new.ed25519.vkey}\nnew {new.ml_dsa_44.vkey}\n"
    return f"{keys}size {size}\nreceipt {hashlib.sha256(receipt).hexdigest()}\n"


def _named(raw: bytes, old: LogPublicKey, size: int) -> LogPublicKey:
    """The key that the receipt, under `old` and of a tree of `size` entries at most, names as the next."""
    verdict = receipts.verify(raw, old)
    if verdict.size > size:
        raise VerificationError("the entry of the hand-over lies beyond the old key's last tree")
    match verdict.statement["what"], verdict.statement["details"]:
        case what, {
            "old_fingerprint": str() as leaves,
            "new_fingerprint": str() as comes,
            "new_ed25519": str() as ed25519,
            "new_ml_dsa_44": str() as ml_dsa_44,
        } if what == receipts.WHAT[EventType.LOG_KEY_ROTATED]:
            new = _key(ed25519, ml_dsa_44)
        case _:
            raise VerificationError("the receipt is of another entry than one that gives the log a new key")
    if (leaves, comes, new.origin) != (old.fingerprint, new.fingerprint, old.origin) or new == old:
        raise VerificationError("the entry hands over from another key, to another key or to another log")
    return new


def _key(ed25519: str, ml_dsa_44: str) -> LogPublicKey:
    try:
        return LogPublicKey(NotePublicKey.from_vkey(ed25519), NotePublicKey.from_vkey(ml_dsa_44))
    except ValueError as error:
        raise VerificationError(f"the entry names no key of a log: {error}") from None


def _encoded(signatures: HandOverSignatures) -> dict[str, str]:
    ed25519, ml_dsa_44 = (base64.b64encode(one).decode("ascii") for one in signatures)
    return {"ed25519": ed25519, "ml_dsa_44": ml_dsa_44}


def _parse(raw: bytes) -> _Parsed:
    try:
        value = strict_json.parse(raw, limit_bytes=MAX_BYTES, max_depth=2)
        members = value if isinstance(value, dict) and len(value) == 5 else {}
        match members:
            case {
                "format": "macroslow-hand-over v1",
                "receipt": str() as receipt,
                "size": int() as size,
                "old": old,
                "new": new,
            } if type(size) is int and 0 < size <= MAX_SIZE:
                return _Parsed(receipt.encode(), size, _signatures(old), _signatures(new))
            case _:
                raise ValueError("its members are others")
    except ValueError as error:
        raise VerificationError(f"this is no hand-over of a log's key: {error}") from None


def _signatures(members: object) -> HandOverSignatures:
    match members if isinstance(members, dict) and len(members) == 2 else {}:
        case {"ed25519": str() as ed25519, "ml_dsa_44": str() as ml_dsa_44}:
            return _decoded(ed25519), _decoded(ml_dsa_44)
        case _:
            raise ValueError("it lacks a signature")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("a signature is not base64") from None
