"""Statements and documents are told apart in both directions; nothing but the signed claims comes out."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.crypto import base64url, documents, jws, statements
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import SignatureRefusedError, VerificationError
from macroslow.ports import Statement

NOW_NS = 1_800_000_000 * 10**9
CLAIMS = {"run_id": "r1", "outcome": "success", "index": 7, "rights": ["api://openai"], "nested": {"a": None}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def verify(text: str, key: HybridPrivateKey, use: str) -> Statement:
    return statements.verify(text, {key.key_id: key.public}.get, use=use)[0]


def test_a_statement_verifies_for_ever(answer_key: HybridPrivateKey) -> None:
    text = statements.sign(Statement(CLAIMS), answer_key, issued_ns=NOW_NS)
    statement, facts = statements.verify(text, {answer_key.key_id: answer_key.public}.get, use="answer")
    assert statement == Statement(CLAIMS)
    assert facts == jws.SignatureFacts(answer_key.key_id, NOW_NS, None)


@settings(max_examples=40, deadline=None)
@given(claims=st.dictionaries(st.text("abcdef_", max_size=5), json_values, max_size=4))
def test_any_claims_of_the_profile_come_out_again(
    claims: dict[str, object], history_key: HybridPrivateKey
) -> None:
    text = statements.sign(Statement(claims), history_key, issued_ns=NOW_NS)
    assert verify(text, history_key, "history").claims == claims


@pytest.mark.parametrize(
    "claims", [{"a": 1.5}, {"é": 1}, {"a": 2**53}, {"a": b"x"}, {1: 2}, {"a": "x" * 70_000}, {"a": "\ud800"}]
)
def test_claims_outside_the_profile_are_not_signed(claims: Any, answer_key: HybridPrivateKey) -> None:
    with pytest.raises(ValueError):
        statements.sign(Statement(claims), answer_key, issued_ns=NOW_NS)


def test_a_document_key_makes_no_statements(document_key: HybridPrivateKey) -> None:
    with pytest.raises(ValueError, match="makes no statements"):
        statements.sign(Statement(CLAIMS), document_key, issued_ns=NOW_NS)
    with pytest.raises(ValueError, match="makes no statements"):
        statements.verify("{}", lambda _: document_key.public, use="document")


def test_an_answer_is_no_history(answer_key: HybridPrivateKey, history_key: HybridPrivateKey) -> None:
    text = statements.sign(Statement(CLAIMS), answer_key, issued_ns=NOW_NS)
    with pytest.raises(VerificationError):
        verify(text, answer_key, "history")
    with pytest.raises(VerificationError):
        verify(text, history_key, "answer")


def test_a_statement_is_no_document_signature(answer_key: HybridPrivateKey) -> None:
    members = json.loads(statements.sign(Statement(CLAIMS), answer_key, issued_ns=NOW_NS))
    payload = base64url.decode(members["payload"])
    find = {answer_key.key_id: answer_key.public}.get
    detached = json.dumps({"signatures": members["signatures"]}, separators=(",", ":")).encode()
    for signature in (detached, json.dumps(members, separators=(",", ":")).encode()):
        with pytest.raises(SignatureRefusedError):
            documents.verify(payload, signature, find, now_ns=NOW_NS)


def test_a_document_signature_is_no_statement(document_key: HybridPrivateKey) -> None:
    raw = b'{"outcome":"success"}'
    signatures = json.loads(documents.sign_detached(raw, document_key, issued_ns=NOW_NS))["signatures"]
    text = json.dumps({"payload": base64url.encode(raw), "signatures": signatures}, separators=(",", ":"))
    for use in (KeyUse.ANSWER, KeyUse.HISTORY):
        with pytest.raises(VerificationError):
            verify(text, document_key, use)


@pytest.mark.parametrize(
    "change",
    [
        lambda o: {**o, "payload": base64url.encode(b'{"outcome":"failed"}')},
        lambda o: {**o, "payload": o["payload"] + "="},
        lambda o: {**o, "payload": 1},
        lambda o: {**o, "header": {}},
        lambda o: {"payload": o["payload"]},
        lambda o: {**o, "signatures": o["signatures"][:1]},
        lambda o: {**o, "signatures": o["signatures"][1:]},
        lambda o: [o],
        lambda o: None,
    ],
)
def test_an_altered_statement_is_refused(change: Callable[[Any], Any], answer_key: HybridPrivateKey) -> None:
    members = json.loads(statements.sign(Statement(CLAIMS), answer_key, issued_ns=NOW_NS))
    text = json.dumps(change(members), sort_keys=True, separators=(",", ":"))
    with pytest.raises(VerificationError):
        verify(text, answer_key, "answer")


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "x" * 300_000, "\ud800", '{"payload":"","payload":""}']
)
def test_what_is_no_statement_at_all_is_refused(text: str, answer_key: HybridPrivateKey) -> None:
    with pytest.raises(VerificationError):
        verify(text, answer_key, "answer")


@pytest.mark.parametrize(
    "payload", [b"[]", b'{"a":1,"a":2}', b'{ "a":1}', b'{"a":1.5}', b"\xff", b'{"b":1,"a":1}']
)
def test_a_payload_that_is_not_canonical_claims_is_refused_though_signed(
    payload: bytes, answer_key: HybridPrivateKey
) -> None:
    signatures = jws.sign(payload, answer_key, typ="macroslow-answer+jws", issued_ns=NOW_NS)
    members = {"payload": base64url.encode(payload), "signatures": signatures}
    with pytest.raises(VerificationError):
        verify(json.dumps(members, sort_keys=True, separators=(",", ":")), answer_key, "answer")
