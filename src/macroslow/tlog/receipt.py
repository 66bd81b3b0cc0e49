"""Receipts: one JSON file that proves one action to a stranger, offline, against a pinned log key.

A receipt holds the event and the salt that open one log leaf, the leaf, and the C2SP tlog-proof
that the leaf is in the log. The readable `statement` is a pure function of the event; verification
computes it again and compares, so no word stands in a receipt that the log does not commit to.

Two members are there where there is something to say: `others` opens what a shared event says about
further persons, null where that is withheld or was erased; `timestamp` is the response of a time-stamping
authority (RFC 3161) over the exact bytes of the checkpoint in `proof`.

An answer of `/execute` is committed to by the SHA-256 of its RFC 8785 form without `receipt`;
other answers and all documents by the SHA-256 of their exact bytes.
"""

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

from macroslow.crypto import strict_json
from macroslow.errors import VerificationError
from macroslow.ports import DAY_NS, NS_PER_S
from macroslow.tlog import _members, leaf, note, proof
from macroslow.tlog._members import FORMAT, MAX_RECEIPT_BYTES
from macroslow.tlog.checkpoint import OWN_LINES, LogPublicKey
from macroslow.tlog.event import Event, EventType, PersonFields
from macroslow.tlog.policy import Judged, Policy
from macroslow.tlog.ports import Entry, KeepReceipt

KEPT_DAYS: Final = 30  # how long a receipt can be had by the id of its request
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_ANSWER_DEPTH: Final = 128

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
    EventType.IMAGES_CALLED: "a provider of images was called",
    EventType.MCP_FORWARDED: "another MCP server was called",
    EventType.REFUSED: "a request was refused",
    EventType.REFUSALS_SUMMARY: "requests were refused",
    EventType.KEY_CREATED: "a client key was created",
    EventType.KEY_REVOKED: "a client key was revoked",
    EventType.SIGNER_TRUSTED: "a document signer was trusted",
    EventType.SIGNER_REVOKED: "a document signer was revoked",
    EventType.KEY_CHANGED: "a client key was given other bounds",
    EventType.KEY_ROTATED: "a client key was given another secret",
    EventType.JWT_REVOKED: "tokens were revoked",
    EventType.MCP_PINS_APPROVED: "what another MCP server offers was approved",
    EventType.SERVER_STARTED: "the gateway was started",
    EventType.SERVER_STOPPED: "the gateway was stopped",
    EventType.BUDGET_ALERT: "an alert about spending was raised",
    EventType.MCP_BLOCKED: "something that another MCP server offers was not approved",
}
CANONICAL_ANSWERS: Final = frozenset({EventType.RUN_FINISHED})
"""Events whose answer is JSON that may carry its own receipt; all others commit to exact bytes."""


Dated = Callable[[bytes, bytes], int]
"""The time (in seconds) of a time-stamp response (first) over a message; VerificationError for all others."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a receipt proves. `witnessed` None: no policy was given; `time_stamped_s` None: not checked.

    `carries_cosignatures`, `carries_time_stamp`: there are such, checked or not. `key_fingerprint` is that of
    the key, of those that were pinned, under which it verified.
    """

    statement: Mapping[str, object]
    origin: str
    index: int
    size: int
    checkpoint_time_s: int
    key_fingerprint: str
    carries_cosignatures: bool
    witnessed: Judged | None
    carries_time_stamp: bool
    time_stamped_s: int | None
    checked_answer: bool
    checked_document: bool

    @property
    def proved(self) -> str:
        """How strongly it is proved: signed, witnessed, time-stamped."""
        said = ["signed"]
        if self.witnessed is not None and self.witnessed.of:
            judged = self.witnessed
            said.append(f"witnessed {len(judged.signed)} of {judged.of} ({judged.needed} needed)")
        if self.time_stamped_s is not None:
            said.append(f"time-stamped {utc(self.time_stamped_s)}Z")
        return " · ".join(said)


def kept(request_id: str, principal: str, now_ns: int) -> KeepReceipt:
    """Return the change that keeps, for KEPT_DAYS, the receipt of the entry before it in its commit."""
    return KeepReceipt(request_id, principal, now_ns + KEPT_DAYS * DAY_NS)


def utc(seconds: int) -> str:
    """Return a moment as text, without a zone."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)  # exact, unlike floats
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def statement(event: Event, parts: Sequence[PersonFields | None] = ()) -> dict[str, object]:
    """Return the event in readable words: who, when, what, and its fields under their own names."""
    seconds, rest_ns = divmod(event.time_ns, NS_PER_S)
    said: dict[str, object] = {
        "who": event.fields.get("principal", event.subject),
        "when": f"{utc(seconds)}.{rest_ns:09d}Z",
        "what": WHAT[event.type],
        "details": {name: value for name, value in event.fields.items() if name != "principal"},
    }
    if parts:
        said["others"] = [part and {"who": part.subject, "details": dict(part.fields)} for part in parts]
    return said


def build(
    entry: Entry, index_proof: Sequence[bytes], checkpoint_note: bytes, timestamp: bytes | None = None
) -> dict[str, object]:
    """Return the receipt of `entry` as JSON; VerificationError if event and leaf do not fit.

    `timestamp` is the response of a time-stamping authority over `checkpoint_note`.
    """
    event = leaf.check_opening(entry.leaf, entry.event, entry.salt)
    parts = leaf.check_parts(entry.event, entry.others)
    receipt: dict[str, object] = {
        "format": FORMAT,
        "statement": statement(event, parts),
        "event": json.loads(entry.event),
        "salt": _members.encoded(entry.salt),
        "leaf": _members.encoded(entry.leaf),
        "proof": proof.format_proof(entry.index, index_proof, checkpoint_note),
    }
    if parts:
        receipt["others"] = [
            part and {"part": json.loads(part.part), "salt": _members.encoded(part.salt)}
            for part in entry.others
        ]
    if timestamp is not None:
        receipt["timestamp"] = _members.encoded(timestamp)
    return receipt


def answer_sha256(answer: Mapping[str, object]) -> str:
    """Return the digest (hex) of an answer of `/execute`: its RFC 8785 form without `receipt`.

    ValueError if it holds integers beyond 2**53, NaN or infinities, which RFC 8785 has not.
    """
    without: dict[str, Any] = {name: value for name, value in answer.items() if name != "receipt"}
    return hashlib.sha256(rfc8785.dumps(without)).hexdigest()


def taken_out(file: bytes) -> tuple[bytes, bytes | None]:
    """Return the receipt in a file, which is one, or an answer that holds one: then that answer too.

    VerificationError if the answer holds what no receipt can be. Whether it is one is `verify`'s to say.
    """
    try:
        value = strict_json.parse(file, limit_bytes=MAX_ANSWER_BYTES, max_depth=MAX_ANSWER_DEPTH, floats=True)
    except ValueError:
        return file, None
    match value:
        case {"receipt": dict() as held}:
            return _members.written(held), file
        case _:
            return file, None


def checkpoint_in(receipt: bytes) -> bytes:
    """Return the signed note that a receipt holds, unverified. VerificationError if there is none."""
    return proof.parse(_members.text(_members.parse(receipt), "proof")).checkpoint


def verify(
    receipt: bytes,
    *log_keys: LogPublicKey,
    answer: bytes | None = None,
    document: bytes | None = None,
    policy: Policy | None = None,
    dated: Dated | None = None,
) -> Verdict:
    """Return what the receipt proves under one of the pinned `log_keys`; else VerificationError.

    `answer` and `document` are the files to hold against it; the quorum of a `policy` must be met, and a
    time stamp must be there if `dated` can tell of one. Everything but the keys, the policy and `dated` may
    come from an adversary. The message says which check failed and what that means.
    """
    members = _members.parse(receipt)
    encoded, checked_leaf = _members.event_of(members), _members.octets(members, "leaf")
    event = leaf.check_opening(checked_leaf, encoded, _members.octets(members, "salt"))
    parts = leaf.check_parts(encoded, _members.parts_of(members))
    taken = proof.parse(_members.text(members, "proof"))
    signed = note.parse(taken.checkpoint)
    log_key = next((key for key in log_keys if signed.signed_by(key.ed25519)), log_keys[0])
    checkpoint = proof.verify(taken, leaf.leaf_hash(checked_leaf), log_key)
    said = statement(event, parts)
    _check_statement(members["statement"], said)
    if answer is not None:
        _check_answer(event, answer)
    if document is not None:
        _check_digest(event, "document", hashlib.sha256(document).hexdigest())
    token = _members.octets(members, "timestamp") if "timestamp" in members else None
    return Verdict(
        statement=said,
        origin=checkpoint.origin,
        index=taken.index,
        size=checkpoint.size,
        checkpoint_time_s=checkpoint.time_s,
        key_fingerprint=log_key.fingerprint,
        carries_cosignatures=len(signed.lines) > OWN_LINES,
        witnessed=None if policy is None else _witnessed(signed, policy, log_key),
        carries_time_stamp=token is not None,
        time_stamped_s=None if dated is None else _time_stamped(dated, token, taken.checkpoint),
        checked_answer=answer is not None,
        checked_document=document is not None,
    )


def _check_statement(value: object, said: Mapping[str, object]) -> None:
    """Compare encodings: Python's own `==` would take `true` for 1."""
    limits = {"limit_bytes": MAX_RECEIPT_BYTES, "max_depth": _members.DEPTH}
    try:
        same = strict_json.canonical(value, **limits) == strict_json.canonical(dict(said), **limits)
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


def _witnessed(signed: note.Note, policy: Policy, log_key: LogPublicKey) -> Judged:
    own = {log_key.ed25519.raw, log_key.ml_dsa_44.raw}
    if any(witness.key.name == log_key.origin or witness.key.raw in own for witness in policy.witnesses):
        raise VerificationError("the policy names the log as its own witness: it can vouch for nothing more")
    judged = policy.judge(signed)
    if not judged.met:
        raise VerificationError(
            f"the policy's quorum is not met: {len(judged.signed)} of {judged.of} witnesses cosigned the"
            f" checkpoint, {judged.needed} are needed"
        )
    return judged


def _time_stamped(dated: Dated, token: bytes | None, checkpoint_note: bytes) -> int:
    if token is None:
        raise VerificationError("the receipt carries no time stamp")
    return dated(token, checkpoint_note)
