"""Receipts: one JSON file that proves one action to a stranger, offline, against a pinned log key.

A receipt holds the event and the salt that open one log leaf, the leaf, and the C2SP tlog-proof
that the leaf is in the log. The readable `statement` is a pure function of the event; verification
computes it again and compares, so no word stands in a receipt that the log does not commit to.

An answer of `/execute` is committed to by the SHA-256 of its RFC 8785 form without `receipt`;
other answers and all documents by the SHA-256 of their exact bytes.
"""

import base64
import binascii
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

from macroslow.crypto import strict_json
from macroslow.crypto.note_keys import NotePublicKey, NoteType
from macroslow.errors import VerificationError
from macroslow.ports import DAY_NS, NS_PER_S
from macroslow.tlog import leaf, note, proof
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Entry, KeepReceipt

FORMAT: Final = "macroslow-receipt v1"
KEPT_DAYS: Final = 30  # how long a receipt can be had by the id of its request
MAX_RECEIPT_BYTES: Final = 1024 * 1024  # a usual one has 10 KiB
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_ANSWER_DEPTH: Final = 128
_MEMBERS: Final = frozenset({"format", "statement", "event", "salt", "leaf", "proof"})
_RECEIPT_DEPTH: Final = leaf.MAX_FIELDS_DEPTH + 3

WHAT: Final[Mapping[EventType, str]] = {
    EventType.LOG_STARTED: "the log was started",
    EventType.LOG_FORKED: "the log was declared forked and begun under a new origin",
    EventType.LOG_KEY_ROTATED: "the log was given another key",
    EventType.SUBJECT_ERASED: "what was kept of a subject was erased",
    EventType.RUN_ACCEPTED: "a document was accepted to run",
    EventType.RUN_FINISHED: "a document was run",
    EventType.RUN_INTERRUPTED: "a run was interrupted, its outcome is unknown",
    EventType.CHAT_COMPLETED: "a model call was answered",
    EventType.CHAT_UNKNOWN: "a model call was begun, its outcome is unknown",
    EventType.API_CALLED: "an outside API was called",
    EventType.MCP_CALLED: "a tool was called over MCP",
    EventType.REFUSED: "a request was refused",
    EventType.REFUSALS_SUMMARY: "requests were refused",
    EventType.KEY_CREATED: "a client key was created",
    EventType.KEY_REVOKED: "a client key was revoked",
    EventType.SIGNER_TRUSTED: "a document signer was trusted",
    EventType.SIGNER_REVOKED: "a document signer was revoked",
    EventType.KEY_CHANGED: "a client key was given other bounds",
    EventType.KEY_ROTATED: "a client key was given another secret",
    EventType.JWT_REVOKED: "tokens were revoked",
    EventType.SERVER_STARTED: "the gateway was started",
    EventType.SERVER_STOPPED: "the gateway was stopped",
    EventType.BUDGET_ALERT: "an alert about spending was raised",
}
CANONICAL_ANSWERS: Final = frozenset({EventType.RUN_FINISHED})
"""Events whose answer is JSON that may carry its own receipt; all others commit to exact bytes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a receipt proves. `witnesses` names those known witnesses whose cosignature verified."""

    statement: Mapping[str, object]
    proved: str
    origin: str
    index: int
    size: int
    checkpoint_time_s: int
    witnesses: tuple[str, ...]
    checked_answer: bool
    checked_document: bool


def kept(request_id: str, principal: str, now_ns: int) -> KeepReceipt:
    """Return the change that keeps, for KEPT_DAYS, the receipt of the entry before it in its commit."""
    return KeepReceipt(request_id, principal, now_ns + KEPT_DAYS * DAY_NS)


def statement(event: Event) -> dict[str, object]:
    """Return the event in readable words: who, when, what, and its fields under their own names."""
    seconds, rest_ns = divmod(event.time_ns, NS_PER_S)
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)  # exact, unlike floats
    return {
        "who": event.fields.get("principal", event.subject),
        "when": f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z",
        "what": WHAT[event.type],
        "details": {name: value for name, value in event.fields.items() if name != "principal"},
    }


def build(entry: Entry, index_proof: Sequence[bytes], checkpoint_note: bytes) -> dict[str, object]:
    """Return the receipt of `entry` as JSON; VerificationError if event and leaf do not fit."""
    event = leaf.check_opening(entry.leaf, entry.event, entry.salt)
    return {
        "format": FORMAT,
        "statement": statement(event),
        "event": strict_json.parse(
            entry.event, limit_bytes=leaf.MAX_EVENT_BYTES, max_depth=leaf.MAX_FIELDS_DEPTH + 1
        ),
        "salt": base64.b64encode(entry.salt).decode("ascii"),
        "leaf": base64.b64encode(entry.leaf).decode("ascii"),
        "proof": proof.format_proof(entry.index, index_proof, checkpoint_note),
    }


def answer_sha256(answer: Mapping[str, object]) -> str:
    """Return the digest (hex) of an answer of `/execute`: its RFC 8785 form without `receipt`.

    ValueError if it holds integers beyond 2**53, NaN or infinities, which RFC 8785 has not.
    """
    without: dict[str, Any] = {name: value for name, value in answer.items() if name != "receipt"}
    return hashlib.sha256(rfc8785.dumps(without)).hexdigest()


def verify(
    receipt: bytes,
    log_key: LogPublicKey,
    *,
    answer: bytes | None = None,
    document: bytes | None = None,
    witnesses: Sequence[NotePublicKey] = (),
) -> Verdict:
    """Return what the receipt proves under the pinned `log_key`; else VerificationError.

    `answer` and `document` are the files to hold against it; everything but the keys may come from
    an adversary. The message says which check failed and what that means. ValueError if a witness
    is the log itself, which can vouch for nothing more.
    """
    if any(key.name == log_key.origin or key.type is NoteType.ED25519 for key in witnesses):
        raise ValueError("a witness is another party than the log, with a cosignature key")
    members = _parse(receipt)
    event = _open(members)
    taken = proof.parse(_text(members, "proof"))
    checkpoint = proof.verify(taken, leaf.leaf_hash(_base64(members, "leaf")), log_key)
    _check_statement(members["statement"], event)
    if answer is not None:
        _check_answer(event, answer)
    if document is not None:
        _check_digest(event, "document", hashlib.sha256(document).hexdigest())
    seen = _witnessed(taken.checkpoint, witnesses)
    return Verdict(
        statement=statement(event),
        proved=f"signed, witnessed {len(seen)} of {len(witnesses)}" if witnesses else "signed",
        origin=checkpoint.origin,
        index=taken.index,
        size=checkpoint.size,
        checkpoint_time_s=checkpoint.time_s,
        witnesses=seen,
        checked_answer=answer is not None,
        checked_document=document is not None,
    )


def _parse(receipt: bytes) -> dict[str, object]:
    try:
        members = strict_json.parse(receipt, limit_bytes=MAX_RECEIPT_BYTES, max_depth=_RECEIPT_DEPTH)
    except ValueError as error:
        raise VerificationError(f"this is not a receipt: {error}") from None
    if not isinstance(members, dict) or set(members) != _MEMBERS or members["format"] != FORMAT:
        raise VerificationError(
            f"this is not a receipt of the format {FORMAT!r}: it has other members. "
            "A key inside the file is never believed; the key comes from you"
        )
    return members


def _open(members: Mapping[str, object]) -> Event:
    try:
        encoded = strict_json.canonical(
            members["event"], limit_bytes=leaf.MAX_EVENT_BYTES, max_depth=leaf.MAX_FIELDS_DEPTH + 1
        )
    except ValueError as error:
        raise VerificationError(f"the receipt's event is refused: {error}") from None
    return leaf.check_opening(_base64(members, "leaf"), encoded, _base64(members, "salt"))


def _check_statement(value: object, event: Event) -> None:
    """Compare encodings: Python's own `==` would take `true` for 1."""
    limits = {"limit_bytes": MAX_RECEIPT_BYTES, "max_depth": _RECEIPT_DEPTH}
    try:
        same = strict_json.canonical(value, **limits) == strict_json.canonical(statement(event), **limits)
    except ValueError:
        same = False
    if not same:
        raise VerificationError(
            "the receipt's statement is not what its log entry says: the readable text was altered"
        )


def _check_answer(event: Event, answer: bytes) -> None:
    if event.type not in CANONICAL_ANSWERS:
        _check_digest(event, "answer", hashlib.sha256(answer).hexdigest())
        return
    try:
        value = strict_json.parse(
            answer, limit_bytes=MAX_ANSWER_BYTES, max_depth=MAX_ANSWER_DEPTH, floats=True
        )
        match value:
            case dict():
                digest = answer_sha256(value)
            case _:
                raise ValueError("it is not an object")
    except ValueError as error:
        raise VerificationError(f"the answer cannot be read as the JSON it should be: {error}") from None
    _check_digest(event, "answer", digest)


def _check_digest(event: Event, name: str, digest: str) -> None:
    logged = event.fields.get(f"{name}_sha256")
    if not isinstance(logged, str):
        raise VerificationError(f"this log entry names no {name} digest: the {name} cannot be checked")
    if not hmac.compare_digest(logged.encode("utf-8", "surrogatepass"), digest.encode()):
        raise VerificationError(f"the {name} is not the one that was logged: its digest differs")


def _witnessed(checkpoint: bytes, witnesses: Sequence[NotePublicKey]) -> tuple[str, ...]:
    """Names of the witnesses that signed. A line of a known witness that does not verify is refused."""
    parsed = note.parse(checkpoint)
    seen = [key for key in witnesses if parsed.signed_by(key)]
    for key in seen:
        parsed.verify(key)
    return tuple(key.name for key in seen)


def _text(members: Mapping[str, object], name: str) -> str:
    match members[name]:
        case str() as text:
            return text
        case _:
            raise VerificationError(f"the receipt's `{name}` is not text")


def _base64(members: Mapping[str, object], name: str) -> bytes:
    text = _text(members, name)
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if base64.b64encode(value).decode("ascii") != text:
        raise VerificationError(f"the receipt's `{name}` is not base64")
    return value
