"""Receipts under attack: whoever holds the log's key in his hand is told no false word."""

import base64
import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tlog.logs import NOW_NS, SmallLog, octets, small_log

from macroslow.crypto.note_keys import NotePrivateKey, NoteType
from macroslow.errors import VerificationError
from macroslow.tlog import note, policy, proof, receipt
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import Event, EventType, PersonFields

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
        origin="gateway.example/log",
        index=0,
        size=8,
        checkpoint_time_s=1_800_000_001,
        key_fingerprint=books.key.public.fingerprint,
        carries_cosignatures=False,
        witnessed=None,
        time_stamped_s=None,
        carries_time_stamp=False,
        checked_answer=True,
        checked_document=True,
    )
    assert verdict.proved == "signed"


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


# Several keys of one log


def test_a_receipt_verifies_under_whichever_pinned_key_signed_it(
    books: SmallLog, other_log_key: LogPrivateKey
) -> None:
    raw = json.dumps(receipt_of(books, 0)).encode()
    for keys in ([books.key.public, other_log_key.public], [other_log_key.public, books.key.public]):
        assert receipt.verify(raw, *keys).key_fingerprint == books.key.public.fingerprint
    with pytest.raises(VerificationError, match="another key"):
        receipt.verify(raw, other_log_key.public, other_log_key.public)


def test_the_halves_of_two_pinned_keys_are_no_key(books: SmallLog, other_log_key: LogPrivateKey) -> None:
    ours, theirs = note.parse(books.checkpoint()), note.parse(small_checkpoint(books, other_log_key))
    mixed = note.Note(ours.text, (ours.lines[0], theirs.lines[1])).format()
    mine = receipt.build(books.entries[0], books.proof(0), mixed)
    with pytest.raises(VerificationError, match="ML-DSA-44"):
        receipt.verify(json.dumps(mine).encode(), books.key.public, other_log_key.public)


def small_checkpoint(books: SmallLog, key: LogPrivateKey) -> bytes:
    head = books.edge.head()
    return key.sign_checkpoint(head.size, head.root, time_s=1)


# Witnesses


def cosigned(books: SmallLog, *witnesses: NotePrivateKey, text: str | None = None) -> dict[str, Any]:
    parsed = note.parse(books.checkpoint())
    more = note.sign(text or parsed.text, witnesses, time_s=5).lines
    whole = note.Note(parsed.text, (*parsed.lines, *more)).format()
    return receipt.build(books.entries[0], books.proof(0), whole)


FIRST = NotePrivateKey("witness.example/1", NoteType.ED25519_COSIGNATURE, bytes([1]) * 32)
SECOND = NotePrivateKey("witness.example/2", NoteType.ML_DSA_44, bytes([2]) * 32)
THIRD = NotePrivateKey("witness.example/3", NoteType.ML_DSA_44, bytes([3]) * 32)


def wanted(needed: int, *witnesses: NotePrivateKey) -> policy.Policy:
    known = [policy.KnownWitness(f"w{number}", key.public) for number, key in enumerate(witnesses, 1)]
    return policy.threshold([], known, needed)


def test_a_policy_says_who_of_its_witnesses_cosigned(books: SmallLog) -> None:
    mine = cosigned(books, FIRST, SECOND)
    assert (verify(mine, books).proved, verify(mine, books).carries_cosignatures) == ("signed", True)
    verdict = verify(mine, books, policy=wanted(1, FIRST, THIRD))
    assert verdict.proved == "signed · witnessed 1 of 2 (1 of w1, w2 needed)"
    assert verdict.witnessed is not None
    assert verdict.witnessed.signed == ("w1",)
    both = verify(mine, books, policy=wanted(2, FIRST, SECOND, THIRD))
    assert both.proved == "signed · witnessed 2 of 3 (2 of w1, w2, w3 needed)"


def test_too_few_cosignatures_are_refused(books: SmallLog) -> None:
    for mine in (receipt_of(books, 0), cosigned(books, FIRST)):
        assert_refused(mine, books, "quorum is not met", policy=wanted(2, FIRST, SECOND))


def test_a_policy_without_witnesses_asks_for_none(books: SmallLog) -> None:
    assert verify(receipt_of(books, 0), books, policy=wanted(0)).proved == "signed"


def test_a_cosignature_of_another_checkpoint_is_refused(books: SmallLog) -> None:
    other = note.parse(books.key.sign_checkpoint(7, bytes(32), time_s=1)).text
    for witness in (FIRST, SECOND):
        assert_refused(
            cosigned(books, witness, text=other), books, "does not verify", policy=wanted(1, witness)
        )


def test_the_log_is_no_witness_of_itself(books: SmallLog) -> None:
    alias = NotePrivateKey("witness.example/alias", NoteType.ML_DSA_44, octets("ml-dsa-44", 32))
    same_name = NotePrivateKey(books.key.public.origin, NoteType.ML_DSA_44, bytes([4]) * 32)
    for key in (alias, same_name):
        assert_refused(cosigned(books, key), books, "its own witness", policy=wanted(1, key))


# Time stamps


def dating(known: Mapping[tuple[bytes, bytes], int]) -> receipt.Dated:
    def dated(response: bytes, message: bytes) -> int:
        try:
            return known[response, message]
        except KeyError:
            raise VerificationError("the time stamp does not verify: nobody made it") from None

    return dated


def stamped(books: SmallLog, token: bytes = b"token") -> dict[str, Any]:
    return receipt.build(books.entries[0], books.proof(0), books.checkpoint(), token)


def test_a_time_stamp_is_over_the_exact_bytes_of_the_checkpoint(books: SmallLog) -> None:
    mine = stamped(books)
    dated = dating({(b"token", proof.parse(mine["proof"]).checkpoint): 1_800_000_002})
    verdict = verify(mine, books, dated=dated)
    assert (verdict.time_stamped_s, verdict.carries_time_stamp) == (1_800_000_002, True)
    assert verdict.proved == "signed · time-stamped 2027-01-15T08:00:02Z"
    assert_refused(stamped(books, b"other"), books, "does not verify", dated=dated)
    assert_refused({**cosigned(books, FIRST), "timestamp": stamped(books)["timestamp"]}, books,
                   "does not verify", dated=dated)  # fmt: skip


def test_a_time_stamp_that_nobody_can_check_is_carried_and_proves_nothing(books: SmallLog) -> None:
    verdict = verify(stamped(books), books)
    assert (verdict.time_stamped_s, verdict.carries_time_stamp) == (None, True)
    assert verdict.proved == "signed"


def test_a_time_stamp_that_is_wanted_and_was_taken_out_is_missed(books: SmallLog) -> None:
    assert_refused(receipt_of(books, 0), books, "carries no time stamp", dated=dating({}))


@pytest.mark.parametrize("value", [None, 1, [], "=", "AA", "A A="])
def test_a_time_stamp_is_base64_even_where_nobody_checks_it(value: object, books: SmallLog) -> None:
    assert_refused({**stamped(books), "timestamp": value}, books, "timestamp")


# What a shared event says of further persons

SHARED = Event(
    EventType.KEY_REVOKED,
    NOW_NS,
    "carol",
    {"key_id": "k1"},
    (PersonFields("ann the admin", {"by": "ann the admin"}), PersonFields("bob", {"by": "bob"})),
)


@pytest.fixture(scope="module")
def shared(log_key: LogPrivateKey) -> SmallLog:
    return small_log(log_key, [SHARED, RUN])


def test_each_persons_part_is_opened_and_stands_in_the_statement(shared: SmallLog) -> None:
    verdict = verify(receipt_of(shared, 0), shared)
    assert verdict.statement["others"] == [
        {"who": "ann the admin", "details": {"by": "ann the admin"}},
        {"who": "bob", "details": {"by": "bob"}},
    ]


def test_a_part_that_is_withheld_leaves_the_rest_provable(shared: SmallLog) -> None:
    entry = shared.entries[0]
    mine = receipt.build(replace(entry, others=(None, entry.others[1])), shared.proof(0), shared.checkpoint())
    assert "ann the admin" not in json.dumps(mine)
    verdict = verify(mine, shared)
    assert verdict.statement["others"] == [None, {"who": "bob", "details": {"by": "bob"}}]


@pytest.mark.parametrize(
    "change",
    [
        lambda others: None,
        lambda others: {},
        lambda others: [],
        lambda others: others[:1],
        lambda others: [*others, None],
        lambda others: others[::-1],
        lambda others: [others[0], others[0]],
        lambda others: [others[0], 1],
        lambda others: [others[0], {**others[1], "more": 1}],
        lambda others: [others[0], {"part": others[1]["part"]}],
        lambda others: [others[0], {**others[1], "salt": others[0]["salt"]}],
        lambda others: [others[0], {**others[1], "part": {"subject": "eve", "fields": {"by": "bob"}}}],
        lambda others: [others[0], {**others[1], "part": {"subject": "bob", "fields": {"by": 0.5}}}],
        lambda others: [others[0], {**others[1], "part": "bob"}],
    ],
)
def test_altered_parts_are_refused(change: Callable[[Any], Any], shared: SmallLog) -> None:
    mine = receipt_of(shared, 0)
    assert_refused({**mine, "others": change(mine["others"])}, shared)


def test_parts_can_neither_be_taken_from_an_event_nor_given_to_one(shared: SmallLog) -> None:
    mine = receipt_of(shared, 0)
    assert_refused({name: value for name, value in mine.items() if name != "others"}, shared, "parts")
    assert_refused({**receipt_of(shared, 1), "others": mine["others"]}, shared, "parts")
    assert_refused({**mine, "statement": {**mine["statement"], "others": [None, None]}}, shared, "statement")
