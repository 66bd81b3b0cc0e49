"""Receipts under attack: whoever holds the log's key in his hand is told no false word."""

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tlog.logs import NOW_NS, SmallLog, small_log

from macroslow.crypto.note_keys import NotePrivateKey, NoteType
from macroslow.errors import VerificationError
from macroslow.tlog import note, proof, receipt
from macroslow.tlog.event import Event, EventType

DOCUMENT = b"---\nmaml_version: 2.0.0\n---\n"
ANSWER = {"status": "success", "result": {"ratio": 0.25, "n": 3}, "run_id": "r1", "receipt": None}
CHAT_ANSWER = b'{"choices": []}'
DIGESTS = {
    "document_sha256": hashlib.sha256(DOCUMENT).hexdigest(),
    "answer_sha256": receipt.answer_sha256(ANSWER),
}
RUN = Event(
    EventType.RUN_FINISHED,
    NOW_NS,
    "alice",
    {
        **DIGESTS,
        "principal": "alice",
        "usage": {"input_tokens": 5},
        "sandbox": {"level": "full"},
        "signer": None,
    },
)
CHAT = Event(
    EventType.CHAT_COMPLETED,
    NOW_NS + 1,
    "bob@example.org",
    {"answer_sha256": hashlib.sha256(CHAT_ANSWER).hexdigest()},
)
STARTED = Event(EventType.SERVER_STARTED, NOW_NS + 2, "the operator", {"version": "1"})


@pytest.fixture(scope="module")
def books(log_key: Any) -> SmallLog:
    return small_log(log_key, [RUN, CHAT, STARTED, *[RUN] * 5])


def receipt_of(books: SmallLog, index: int) -> dict[str, Any]:
    return receipt.build(books.entries[index], books.proof(index), books.checkpoint())


def verify(value: object, books: SmallLog, **files: Any) -> receipt.Verdict:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return receipt.verify(raw, books.key.public, **files)


def assert_refused(value: object, books: SmallLog, match: str | None = None, **files: Any) -> None:
    with pytest.raises(VerificationError, match=match):
        verify(value, books, **files)


def test_a_receipt_says_who_did_what_when_and_what_is_proved(books: SmallLog) -> None:
    given_answer = json.dumps({**ANSWER, "receipt": receipt_of(books, 0)}, indent=3).encode()
    verdict = verify(receipt_of(books, 0), books, answer=given_answer, document=DOCUMENT)
    assert verdict == receipt.Verdict(
        statement={
            "who": "alice",
            "when": "2027-01-15T08:00:00.123456789Z",
            "what": "a document was run",
            "details": {
                **DIGESTS,
                "usage": {"input_tokens": 5},
                "sandbox": {"level": "full"},
                "signer": None,
            },
        },
        proved="signed",
        origin="gateway.example/log",
        index=0,
        size=8,
        checkpoint_time_s=1_800_000_001,
        witnesses=(),
        checked_answer=True,
        checked_document=True,
    )


def test_what_was_not_given_was_not_checked(books: SmallLog) -> None:
    verdict = verify(receipt_of(books, 0), books)
    assert (verdict.checked_answer, verdict.checked_document) == (False, False)


def test_each_event_type_has_its_words() -> None:
    assert set(receipt.WHAT) == set(EventType)


def test_a_receipt_discloses_its_own_event_alone(books: SmallLog) -> None:
    text = json.dumps(receipt_of(books, 0))
    assert CHAT.subject not in text
    assert STARTED.subject not in text


# The answer and the document


def test_the_answer_may_be_written_otherwise_but_not_be_another(books: SmallLog) -> None:
    mine = receipt_of(books, 0)
    for text in (
        json.dumps(ANSWER),
        json.dumps(ANSWER, indent=2, sort_keys=True),
        json.dumps({**ANSWER, "receipt": 1}),
    ):
        assert verify(mine, books, answer=text.encode()).checked_answer
    for other in (
        {**ANSWER, "status": "failed"},
        {**ANSWER, "extra": 1},
        {**ANSWER, "result": {"ratio": 0.250001, "n": 3}},
        {**ANSWER, "result": {"ratio": 0.25, "n": "3"}},
        {key: value for key, value in ANSWER.items() if key != "run_id"},
    ):
        assert_refused(mine, books, "answer is not the one", answer=json.dumps(other).encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"status":"failed","status":"success"}',
        b'{"result":{"n":1,"n":2}}',
        b'{"result":NaN}',
        b'{"result":1e999}',
        b'{"result":123456789012345678901}',
        b'{"result":"\\ud800"}',
        b"[" * 10**6,
        b'{"a":' * 10**5,
        json.dumps(ANSWER).encode() + b"{}",
    ],
)
def test_what_is_no_answer_is_refused_and_not_a_crash(raw: bytes, books: SmallLog) -> None:
    assert_refused(receipt_of(books, 0), books, answer=raw)


def test_a_chat_answer_is_checked_by_its_exact_bytes(books: SmallLog) -> None:
    mine = receipt_of(books, 1)
    assert verify(mine, books, answer=CHAT_ANSWER).checked_answer
    assert_refused(mine, books, "answer is not the one", answer=CHAT_ANSWER.replace(b" ", b""))


def test_any_byte_of_the_document_matters(books: SmallLog) -> None:
    mine = receipt_of(books, 0)
    for position in range(len(DOCUMENT)):
        altered = bytearray(DOCUMENT)
        altered[position] ^= 1
        assert_refused(mine, books, "document is not the one", document=bytes(altered))


def test_nothing_is_checked_against_an_event_that_names_no_digest(books: SmallLog) -> None:
    assert_refused(receipt_of(books, 2), books, "names no answer digest", answer=CHAT_ANSWER)
    assert_refused(receipt_of(books, 1), books, "names no document digest", document=DOCUMENT)


def test_the_digest_is_that_of_rfc_8785_without_the_receipt() -> None:
    expected = b'{"result":{"n":3,"ratio":0.25},"run_id":"r1","status":"success"}'
    assert receipt.answer_sha256(ANSWER) == hashlib.sha256(expected).hexdigest()
    with pytest.raises(ValueError):
        receipt.answer_sha256({"n": 2**53 + 1})


# The receipt itself


def replaced(member: str, value: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda r: {**r, member: value}


def in_statement(member: str, value: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda r: {**r, "statement": {**r["statement"], member: value}}


def in_event(member: str, value: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda r: {**r, "event": {**r["event"], member: value}}


@pytest.mark.parametrize(
    "change",
    [
        in_statement("who", "mallory"),
        in_statement("when", "2027-01-15T08:00:00.123456788Z"),
        in_statement("what", "nothing happened"),
        in_statement("details", {}),
        in_statement("note", "approved by the auditor"),
        replaced("statement", None),
        replaced("statement", "all is well"),
        replaced("statement", {"who": 1.5}),
        in_event("subject", "mallory"),
        in_event("time_ns", "1"),
        in_event("type", 12),
        in_event("fields", {}),
        in_event("extra", 1),
        replaced("event", None),
        replaced("event", "e"),
        replaced("event", {"a": 0.5}),
        replaced("salt", base64.b64encode(bytes(32)).decode()),
        replaced("salt", ""),
        replaced("salt", None),
        replaced("salt", "="),
        lambda r: {**r, "salt": r["salt"] + "\n"},
        replaced("leaf", base64.b64encode(bytes(78)).decode()),
        replaced("leaf", []),
        lambda r: {**r, "leaf": r["leaf"][:-4]},
        replaced("proof", ""),
        replaced("proof", {}),
        lambda r: {**r, "proof": r["proof"].replace("index 0", "index 1")},
        lambda r: {**r, "proof": r["proof"].replace("\n8\n", "\n9\n")},
        lambda r: {**r, "proof": r["proof"].replace("gateway.example", "gateway.examplf")},
        replaced("format", "macroslow-receipt v2"),
        replaced("key", "gateway.example/log+..."),
        replaced("jwks", {}),
        lambda r: {name: value for name, value in r.items() if name != "salt"},
        lambda r: {name: value for name, value in r.items() if name != "statement"},
        lambda r: [r],  # type: ignore[list-item,return-value]
        lambda r: None,  # type: ignore[return-value]
        lambda r: {},
    ],
)
def test_an_altered_receipt_is_refused(change: Callable[[Any], Any], books: SmallLog) -> None:
    assert_refused(change(receipt_of(books, 0)), books)


def test_the_statement_is_compared_as_text_and_not_as_python_values(books: SmallLog) -> None:
    """In Python True == 1; in a receipt it would be another word."""
    mine = receipt_of(books, 0)
    mine["statement"] = copy.deepcopy(mine["statement"])
    mine["statement"]["details"]["usage"]["input_tokens"] = True
    log = small_log(books.key, [Event(RUN.type, 1, "a", {"n": 1})])
    other = receipt_of(log, 0)
    other["statement"]["details"] = {"n": True}
    assert_refused(other, log, "statement")
    assert_refused(mine, books, "statement")


def test_an_event_and_leaf_of_our_own_making_are_not_in_the_log(books: SmallLog) -> None:
    """The whole receipt is consistent, only the log does not hold it."""
    forged = small_log(books.key, [Event(RUN.type, NOW_NS, "mallory", RUN.fields), *[RUN] * 7])
    mine = receipt.build(forged.entries[0], books.proof(0), books.checkpoint())
    assert_refused(mine, books, "does not lead")


def test_the_proof_of_another_entry_is_refused(books: SmallLog) -> None:
    for other in (1, 2, 3):
        mine = {**receipt_of(books, 0), "proof": receipt_of(books, other)["proof"]}
        assert_refused(mine, books, "does not lead")


def test_an_identical_event_at_another_place_is_another_entry(books: SmallLog) -> None:
    mine = receipt_of(books, 3)
    assert verify(mine, books).index == 3
    assert_refused({**mine, "proof": receipt_of(books, 4)["proof"]}, books)


def test_a_log_re_signed_with_another_key_is_refused_whole(books: SmallLog, other_log_key: Any) -> None:
    forged = small_log(other_log_key, [Event(RUN.type, NOW_NS, "mallory", RUN.fields)])
    mine = receipt_of(forged, 0)
    receipt.verify(json.dumps(mine).encode(), other_log_key.public)  # it is a good receipt of that key
    assert_refused(mine, books, "another key")


@pytest.mark.parametrize(("dropped", "named"), [(0, "Ed25519"), (1, "ML-DSA-44")])
def test_a_stripped_signature_line_is_refused_by_name(dropped: int, named: str, books: SmallLog) -> None:
    parsed = note.parse(books.checkpoint())
    kept = tuple(line for number, line in enumerate(parsed.lines) if number != dropped)
    stripped = note.Note(parsed.text, kept).format()
    mine = receipt_of(books, 0)
    mine["proof"] = proof.format_proof(0, books.proof(0), stripped)
    assert_refused(mine, books, named)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        b"[" * 10**6,
        b'{"statement":' * 10**4,
        b'{"format":"macroslow-receipt v1","format":"macroslow-receipt v1"}',
        b'{"a":"' + b"x" * 10_000_000 + b'"}',
        b" " * 10_000_000,
        b'{"format":NaN}',
    ],
)
def test_hostile_files_are_refused_quickly(raw: bytes, books: SmallLog) -> None:
    assert_refused(raw, books, "not a receipt")


def test_a_member_twice_is_refused_even_if_the_last_one_is_right(books: SmallLog) -> None:
    text = json.dumps(receipt_of(books, 0))
    assert_refused(
        text.replace('{"format"', '{"statement": {"who": "mallory"}, "format"', 1).encode(), books, "twice"
    )


RAW_RECEIPTS: dict[str, bytes] = {}


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_changed_character_verifies_as_something_else(data: st.DataObject, books: SmallLog) -> None:
    raw = RAW_RECEIPTS.setdefault("0", json.dumps(receipt_of(books, 0)).encode())
    honest = verify(raw, books)
    position = data.draw(st.integers(0, len(raw) - 1))
    altered = raw[:position] + bytes([data.draw(st.integers(0, 255))]) + raw[position + 1 :]
    try:
        verdict = verify(altered, books)
    except VerificationError:
        return
    assert verdict == honest  # white space


def test_build_refuses_an_entry_whose_event_does_not_open_its_leaf(books: SmallLog) -> None:
    wrong = replace(books.entries[0], event=books.entries[1].event)
    with pytest.raises(VerificationError, match="commits to"):
        receipt.build(wrong, books.proof(0), books.checkpoint())


# Witnesses


def cosigned(books: SmallLog, *witnesses: NotePrivateKey, text: str | None = None) -> dict[str, Any]:
    parsed = note.parse(books.checkpoint())
    more = note.sign(text or parsed.text, witnesses, time_s=5).lines
    whole = note.Note(parsed.text, (*parsed.lines, *more)).format()
    return receipt.build(books.entries[0], books.proof(0), whole)


FIRST = NotePrivateKey("witness.example/1", NoteType.ED25519_COSIGNATURE, bytes([1]) * 32)
SECOND = NotePrivateKey("witness.example/2", NoteType.ML_DSA_44, bytes([2]) * 32)
THIRD = NotePrivateKey("witness.example/3", NoteType.ML_DSA_44, bytes([3]) * 32)


def test_known_witnesses_are_counted_and_unknown_ones_are_not(books: SmallLog) -> None:
    mine = cosigned(books, FIRST, SECOND)
    assert verify(mine, books).proved == "signed"
    verdict = verify(mine, books, witnesses=[FIRST.public, THIRD.public])
    assert verdict.proved == "signed, witnessed 1 of 2"
    assert verdict.witnesses == ("witness.example/1",)
    both = verify(mine, books, witnesses=[FIRST.public, SECOND.public])
    assert both.proved == "signed, witnessed 2 of 2"


def test_a_cosignature_of_another_checkpoint_is_refused(books: SmallLog) -> None:
    other = note.parse(books.key.sign_checkpoint(7, bytes(32), time_s=1)).text
    for witness in (FIRST, SECOND):
        assert_refused(
            cosigned(books, witness, text=other), books, "does not verify", witnesses=[witness.public]
        )


def test_the_log_is_no_witness_of_itself(books: SmallLog) -> None:
    for key in (books.key.public.ml_dsa_44, books.key.public.ed25519):
        with pytest.raises(ValueError, match="another party"):
            verify(receipt_of(books, 0), books, witnesses=[key])
