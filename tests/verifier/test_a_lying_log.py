"""Receipts that the log's own keys signed and that are false all the same: refused by the page as by us."""

import base64
import hmac
import json
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from tests.tlog.logs import NOW_NS, ORIGIN, octets
from tests.verifier.page import Page
from tests.verifier.twins import same_words

from macroslow.crypto import strict_json
from macroslow.crypto.note_keys import NotePrivateKey, NoteType
from macroslow.errors import VerificationError
from macroslow.tlog import leaf, note, proof, receipt
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import EventType

SALT = octets("salt", 32)
EVENT: Mapping[str, Any] = {
    "type": int(EventType.SERVER_STARTED),
    "time_ns": str(NOW_NS),
    "subject": "the operator",
    "fields": {"version": "1"},
}
STATEMENT = {
    "who": "the operator",
    "when": "2027-01-15T08:00:00.123456789Z",
    "what": "the gateway was started",
    "details": {"version": "1"},
}
PART = {"hmac": "00" * 32}


def signed_for(
    event: object, *, magic: bytes = b"MSL1", time_ns: int = NOW_NS, kind: int = 50, origin: str = ORIGIN
) -> dict[str, Any]:
    """The receipt of a log with one leaf, which is for `event` and shows what it likes."""
    digest = hmac.digest(SALT, strict_json.canonical(event, limit_bytes=10**6, max_depth=20), "sha256")
    made = struct.pack(">4sQH32s32s", magic, time_ns, kind, digest, bytes(32))
    keys = [
        NotePrivateKey(ORIGIN, NoteType.ED25519, octets("ed25519", 32)),
        NotePrivateKey(ORIGIN, NoteType.ML_DSA_44, octets("ml-dsa-44", 32)),
    ]
    body = note.format_body(note.Body(origin, 1, leaf.leaf_hash(made)))
    return {
        "format": receipt.FORMAT,
        "statement": STATEMENT,
        "event": event,
        "salt": base64.b64encode(SALT).decode(),
        "leaf": base64.b64encode(made).decode(),
        "proof": proof.format_proof(0, [], note.sign(body, keys, time_s=1).format()),
    }


def verified(page: Page, log_key: LogPrivateKey, value: object) -> str | None:
    """Why both refuse it; None if both take it."""
    raw = json.dumps(value).encode()
    said = page.verify(receipt=raw, key=log_key.public.format().encode())
    try:
        receipt.verify(raw, log_key.public)
    except VerificationError as error:
        ours = str(error)
    else:
        assert said["verdict"] == "proved", said["detail"]
        return None
    assert said["verdict"] == "not-proved"
    assert same_words(ours, said["detail"]) or "an event of the log" in said["detail"]
    return str(said["detail"])


def test_one_that_tells_the_truth_is_believed(page: Page, log_key: LogPrivateKey) -> None:
    assert verified(page, log_key, signed_for(EVENT)) is None


def test_a_checkpoint_of_another_log_is_refused(page: Page, log_key: LogPrivateKey) -> None:
    why = verified(page, log_key, signed_for(EVENT, origin="other.example"))
    assert why == f"the checkpoint is of the log 'other.example', not '{ORIGIN}'"


@pytest.mark.parametrize("shown", [{"kind": 51}, {"time_ns": NOW_NS + 1}], ids=["type", "time"])
def test_a_leaf_that_shows_another_time_or_type_is_refused(
    shown: dict[str, Any], page: Page, log_key: LogPrivateKey
) -> None:
    assert verified(page, log_key, signed_for(EVENT, **shown)) == (
        "the event's time or type is not that of its log entry"
    )


def test_a_leaf_says_truly_whether_its_event_has_parts(page: Page, log_key: LogPrivateKey) -> None:
    why = "the event has parts and its log entry none, or the other way round"
    assert verified(page, log_key, signed_for(EVENT, magic=b"MSL2")) == why
    assert verified(page, log_key, signed_for({**EVENT, "others": [PART]})) == why


@pytest.mark.parametrize(
    "change",
    [
        {"type": 99},
        {"type": "50"},
        {"type": True},
        {"type": None},
        {"time_ns": NOW_NS // 1000},
        {"time_ns": f"0{NOW_NS}"},
        {"time_ns": f"+{NOW_NS}"},
        {"time_ns": ""},
        {"time_ns": "\u0661"},
        {"subject": None},
        {"fields": []},
        {"fields": "{}"},
        {"more": 1},
        {"others": None},
        {"others": []},
        {"others": {}},
        {"others": [{}]},
        {"others": [{"hmac": "00"}]},
        {"others": [{"hmac": "AA" * 32}]},
        {"others": [{"hmac": ["00" * 32]}]},
        {"others": [{**PART, "name": "bob"}]},
        {"others": [PART] * 256},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_what_is_no_event_is_refused_though_the_log_holds_it(
    change: dict[str, Any], page: Page, log_key: LogPrivateKey
) -> None:
    magic = b"MSL2" if "others" in change else b"MSL1"
    assert verified(page, log_key, signed_for({**EVENT, **change}, magic=magic)) is not None


@pytest.mark.parametrize("magic", [b"MSL0", b"MSL3", b"msl1"], ids=repr)
def test_a_leaf_of_another_kind_is_refused(magic: bytes, page: Page, log_key: LogPrivateKey) -> None:
    why = "this is not a log entry: it has another length or begins differently"
    assert verified(page, log_key, signed_for(EVENT, magic=magic)) == why
