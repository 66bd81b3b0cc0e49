"""A receipt's members, taken apart strictly; nothing in them is believed yet."""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from macroslow.crypto import strict_json
from macroslow.errors import VerificationError
from macroslow.tlog import canonical
from macroslow.tlog.ports import OpenedPart

FORMAT: Final = "macroslow-receipt v1"
MAX_RECEIPT_BYTES: Final = 1024 * 1024  # a usual one has 10 KiB
DEPTH: Final = canonical.MAX_FIELDS_DEPTH + 4
_REQUIRED: Final = frozenset({"format", "statement", "event", "salt", "leaf", "proof"})
_OPTIONAL: Final = frozenset({"others", "timestamp"})

Members = Mapping[str, object]


def parse(receipt: bytes) -> Members:
    """Return the members; VerificationError if it is no receipt of this format."""
    try:
        members = strict_json.parse(receipt, limit_bytes=MAX_RECEIPT_BYTES, max_depth=DEPTH)
    except ValueError as error:
        raise VerificationError(f"this is not a receipt: {error}") from None
    if (
        not isinstance(members, dict)
        or not _REQUIRED <= members.keys() <= _REQUIRED | _OPTIONAL
        or members["format"] != FORMAT
    ):
        raise VerificationError(
            f"this is not a receipt of the format {FORMAT!r}: it has other members. "
            "A key inside the file is never believed; the key comes from you"
        )
    return members


def written(members: Members) -> bytes:
    """Return what should be a receipt in canonical bytes; VerificationError if it has none that fit."""
    try:
        return strict_json.canonical(members, limit_bytes=MAX_RECEIPT_BYTES, max_depth=DEPTH)
    except ValueError as error:
        raise VerificationError(f"this is not a receipt: {error}") from None


def event_of(members: Members) -> bytes:
    """Return the event in canonical bytes."""
    return _canonical(members["event"], "event")


def parts_of(members: Members) -> tuple[OpenedPart | None, ...]:
    """Return what is said about further persons; None where it is withheld."""
    match members.get("others", []):
        case list() as others:
            return tuple(_part(each) for each in others)
        case _:
            raise VerificationError("the receipt's `others` is not a list")


def text(members: Members, name: str) -> str:
    """Return a member that is text."""
    match members[name]:
        case str() as said:
            return said
        case _:
            raise VerificationError(f"the receipt's `{name}` is not text")


def octets(members: Members, name: str) -> bytes:
    """Return a member that is bytes, in the one base64 form that they have."""
    said = text(members, name)
    try:
        value = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if encoded(value) != said:
        raise VerificationError(f"the receipt's `{name}` is not base64")
    return value


def encoded(value: bytes) -> str:
    """Return bytes as a receipt has them."""
    return base64.b64encode(value).decode("ascii")


def _part(value: object) -> OpenedPart | None:
    if value is None:
        return None
    members = value if isinstance(value, dict) else {}
    if members.keys() != {"part", "salt"}:
        raise VerificationError("one of the receipt's `others` is neither null nor a part and its salt")
    return OpenedPart(_canonical(members["part"], "others"), octets(members, "salt"))


def _canonical(value: object, name: str) -> bytes:
    try:
        return strict_json.canonical(
            value, limit_bytes=canonical.MAX_EVENT_BYTES, max_depth=canonical.MAX_FIELDS_DEPTH + 1
        )
    except ValueError as error:
        raise VerificationError(f"the receipt's `{name}` is refused: {error}") from None
