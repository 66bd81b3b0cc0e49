"""The document signature under attack: everything that is not exactly what was signed is refused."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.crypto import documents, jws
from macroslow.crypto.documents import MARKER
from macroslow.crypto.hybrid import HybridPrivateKey, HybridPublicKey, KeyUse
from macroslow.errors import SignatureRefusedError
from macroslow.ports import DAY_NS

NOW_NS = 1_800_000_000 * 10**9
RAW = b"---\nmaml_version: 2.0.0\n---\n## Intent\nAdd two numbers.\n"

Change = Callable[[bytes], bytes]


def finder(*keys: HybridPrivateKey) -> documents.FindKey:
    known = {key.key_id: key.public for key in keys}
    return known.get


def check(document: bytes, key: HybridPrivateKey, now_ns: int = NOW_NS) -> documents.SignatureFacts:
    signed, signature = documents.split(document)
    assert signature is not None
    return documents.verify(signed, signature, finder(key), now_ns=now_ns)


def assert_refused(document: bytes, key: HybridPrivateKey, now_ns: int = NOW_NS) -> SignatureRefusedError:
    with pytest.raises(SignatureRefusedError) as caught:
        check(document, key, now_ns)
    assert caught.value.step == "signature"
    return caught.value


def forge(document: bytes, change: Callable[[Any], Any]) -> bytes:
    """The document with its signature object changed, written in canonical form again."""
    signed, signature = documents.split(document)
    assert signature is not None
    altered = json.dumps(change(json.loads(signature)), sort_keys=True, separators=(",", ":"))
    return signed + b"\n" + MARKER + b"\n" + altered.encode() + b"\n"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


@pytest.fixture(scope="module")
def signed(document_key: HybridPrivateKey) -> bytes:
    return documents.sign(RAW, document_key, issued_ns=NOW_NS)


def test_a_signed_document_verifies_and_its_exact_bytes_come_out(
    signed: bytes, document_key: HybridPrivateKey
) -> None:
    assert documents.split(signed)[0] == RAW
    assert check(signed, document_key) == documents.SignatureFacts(document_key.key_id, NOW_NS, None)


@settings(max_examples=50, deadline=None)
@given(raw=st.binary(max_size=200).filter(lambda raw: MARKER not in raw))
def test_any_bytes_survive_signing_and_splitting(raw: bytes, document_key: HybridPrivateKey) -> None:
    assert documents.split(raw) == (raw, None)
    document = documents.sign(raw, document_key, issued_ns=NOW_NS)
    assert documents.split(document)[0] == raw
    check(document, document_key)


def test_a_sidecar_is_the_same_object(signed: bytes, document_key: HybridPrivateKey) -> None:
    sidecar = documents.sign_detached(RAW, document_key, issued_ns=NOW_NS)
    facts = documents.verify(RAW, sidecar, finder(document_key), now_ns=NOW_NS)
    assert facts.key_id == document_key.key_id
    assert set(json.loads(sidecar)) == set(json.loads(documents.split(signed)[1] or b""))


def test_a_document_is_signed_once(signed: bytes, document_key: HybridPrivateKey) -> None:
    with pytest.raises(SignatureRefusedError, match="already"):
        documents.sign(signed, document_key, issued_ns=NOW_NS)


def test_a_trailer_and_a_sidecar_together_are_refused(signed: bytes, document_key: HybridPrivateKey) -> None:
    _, signature = documents.split(signed)
    assert signature is not None
    with pytest.raises(SignatureRefusedError):
        documents.verify(signed, signature, finder(document_key), now_ns=NOW_NS)


@pytest.mark.parametrize("use", [KeyUse.ANSWER, KeyUse.HISTORY])
def test_only_a_document_key_signs_documents(use: KeyUse, entropy: Any) -> None:
    with pytest.raises(SignatureRefusedError, match=use.value):
        documents.sign(RAW, HybridPrivateKey.generate(use, entropy), issued_ns=NOW_NS)


# Bytes


def test_any_flipped_bit_of_the_signed_bytes_is_refused(
    signed: bytes, document_key: HybridPrivateKey
) -> None:
    for position in range(len(RAW)):
        altered = bytearray(signed)
        altered[position] ^= 1 << position % 8
        assert_refused(bytes(altered), document_key)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_of_the_trailer_is_refused_or_unsigned(
    data: st.DataObject, signed: bytes, document_key: HybridPrivateKey
) -> None:
    position = data.draw(st.integers(len(RAW), len(signed) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != signed[position]))
    altered = signed[:position] + bytes([value]) + signed[position + 1 :]
    if MARKER not in altered:
        assert documents.split(altered) == (altered, None)  # no marker any more: an unsigned document
    else:
        assert_refused(altered, document_key)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d + b"\n",
        lambda d: d + b" ",
        lambda d: d + b"trailing text\n",
        lambda d: d[:-1],
        lambda d: d[:-2],
        lambda d: d.replace(b"\n", b"\r\n"),
        lambda d: d[:-1] + b"\r\n",
        lambda d: d.replace(MARKER + b"\n", MARKER + b"\r\n"),
        lambda d: d.replace(MARKER, MARKER + b" "),
        lambda d: d.replace(MARKER, b" " + MARKER),
        lambda d: d.replace(b"\n" + MARKER, MARKER),
        lambda d: d.replace(MARKER, b"\n" + MARKER),  # the marker moved one line down
        lambda d: d.replace(b"\n" + MARKER + b"\n", MARKER + b"\n\n"),
        lambda d: d.replace(MARKER, MARKER + b"\n" + MARKER),
        lambda d: MARKER + b"\n" + d,
        lambda d: d + d[len(RAW) :],
        lambda d: d[len(RAW) :] + d,
        lambda d: d.split(MARKER)[0] + MARKER + b"\n",
        lambda d: d.split(MARKER)[0] + MARKER,
        lambda d: MARKER,
        lambda d: b"\n" + MARKER + b"\n",
        lambda d: b"\n" + MARKER + b"\n\n",
        lambda d: d.replace(b"Add", b"Add" + MARKER),
        lambda d: b"\xef\xbb\xbf" + d,
    ],
)
def test_a_damaged_or_moved_trailer_is_refused(
    change: Change, signed: bytes, document_key: HybridPrivateKey
) -> None:
    assert_refused(change(signed), document_key)


def test_a_marker_in_the_text_is_refused_before_any_key_is_looked_for(signed: bytes) -> None:
    for second in (b"Add" + MARKER, b"Add\n" + MARKER + b"\n"):
        with pytest.raises(SignatureRefusedError, match="more than once"):
            documents.split(signed.replace(b"Add", second))


def test_a_signature_of_another_document_is_refused(signed: bytes, document_key: HybridPrivateKey) -> None:
    other = documents.sign(RAW.replace(b"Add", b"Multiply"), document_key, issued_ns=NOW_NS)
    _, signature = documents.split(other)
    assert signature is not None
    assert_refused(RAW + b"\n" + MARKER + b"\n" + signature + b"\n", document_key)


# The signature object


def first_of_other(document: bytes, other: bytes) -> bytes:
    """One of the two signatures, from another document of the same signer."""
    donor = json.loads(documents.split(other)[1] or b"")
    return forge(document, lambda o: {"signatures": [donor["signatures"][0], o["signatures"][1]]})


def test_one_signature_of_another_document_is_refused(signed: bytes, document_key: HybridPrivateKey) -> None:
    other = documents.sign(b"other\n", document_key, issued_ns=NOW_NS)
    assert_refused(first_of_other(signed, other), document_key)
    assert_refused(first_of_other(other, signed), document_key)


@pytest.mark.parametrize(
    "change",
    [
        lambda o: {"signatures": o["signatures"][:1]},
        lambda o: {"signatures": o["signatures"][1:]},
        lambda o: {"signatures": []},
        lambda o: {"signatures": o["signatures"][::-1]},
        lambda o: {"signatures": [o["signatures"][0]] * 2},
        lambda o: {"signatures": [o["signatures"][1]] * 2},
        lambda o: {"signatures": [*o["signatures"], o["signatures"][0]]},
        lambda o: {"signatures": [*o["signatures"], o["signatures"][1]]},
        lambda o: {"signatures": {"0": o["signatures"][0]}},
        lambda o: {"signatures": None},
        lambda o: {**o, "payload": ""},
        lambda o: {**o, "header": {}},
        lambda o: {"signatures": [{**one, "header": {"kid": "x"}} for one in o["signatures"]]},
        lambda o: {"signatures": [{**one, "signature": one["signature"] + "="} for one in o["signatures"]]},
        lambda o: {"signatures": [{**one, "signature": one["signature"] + "A"} for one in o["signatures"]]},
        lambda o: {"signatures": [{**one, "signature": ""} for one in o["signatures"]]},
        lambda o: {"signatures": [{**one, "signature": 1} for one in o["signatures"]]},
        lambda o: {"signatures": [{"protected": one["protected"]} for one in o["signatures"]]},
        lambda o: o["signatures"],
        lambda o: "",
        lambda o: None,
    ],
)
def test_a_signature_object_of_another_shape_is_refused(
    change: Callable[[Any], Any], signed: bytes, document_key: HybridPrivateKey
) -> None:
    assert_refused(forge(signed, change), document_key)


def test_other_bits_beyond_the_last_base64_character_are_refused(
    signed: bytes, document_key: HybridPrivateKey
) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    def change(o: Any) -> Any:
        text = o["signatures"][1]["signature"]  # 64 bytes: four bits of the last character are unused
        last = alphabet[alphabet.index(text[-1]) | 1]
        assert decode(text[:-1] + last) == decode(text)
        o["signatures"][1]["signature"] = text[:-1] + last
        return o

    assert_refused(forge(signed, change), document_key)


@pytest.mark.parametrize(
    "write",
    [
        lambda o: json.dumps(o, sort_keys=True),
        lambda o: json.dumps(o, separators=(",", ":")).replace('"protected"', '"\\u0070rotected"'),
        lambda o: json.dumps(o, sort_keys=True, separators=(",", ":")) + " ",
        lambda o: " " + json.dumps(o, sort_keys=True, separators=(",", ":")),
        lambda o: json.dumps(
            {"signatures": [dict(reversed(one.items())) for one in o["signatures"]]}, separators=(",", ":")
        ),
        lambda o: json.dumps(o, sort_keys=True, separators=(",", ":"))[:-1] + ',"signatures":[]}',
        lambda o: '{"signatures":[],' + json.dumps(o, sort_keys=True, separators=(",", ":"))[1:],
        lambda o: json.dumps(o, sort_keys=True, separators=(",", ":")).replace("-", "+"),
        lambda o: "[" * 100_000,
        lambda o: '{"signatures":' * 500 + "1" + "}" * 500,
        lambda o: "NaN",
        lambda o: json.dumps(o, sort_keys=True, separators=(",", ":")) + "A" * 10_000,
    ],
)
def test_the_same_object_written_otherwise_is_refused(
    write: Callable[[Any], str], signed: bytes, document_key: HybridPrivateKey
) -> None:
    body, signature = documents.split(signed)
    assert signature is not None
    text = write(json.loads(signature))
    if text.encode() == signature:
        pytest.fail("the change changes nothing")
    assert_refused(body + b"\n" + MARKER + b"\n" + text.encode() + b"\n", document_key)


# Headers, signed by somebody who has the key or knows a known one


def sign_with_header(
    key: HybridPrivateKey,
    first: Callable[[dict[str, Any]], Any],
    second: Callable[[dict[str, Any]], Any] | None = None,
) -> bytes:
    """A document whose protected headers are changed before both keys sign them."""
    base = {
        "crit": ["sigset"],
        "iat": NOW_NS // 10**9,
        "kid": key.key_id,
        "sigset": ["ML-DSA-65", "Ed25519"],
        "typ": documents.TYP,
    }
    signatures = []
    for alg, change, sign in (
        ("ML-DSA-65", first, key.ml_dsa_65.sign),
        ("Ed25519", second or first, key.ed25519.sign),
    ):
        header = change({**base, "alg": alg})
        raw = (
            header
            if isinstance(header, bytes)
            else json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        )
        protected = encode(raw)
        signatures.append(
            {"protected": protected, "signature": encode(sign(f"{protected}.{encode(RAW)}".encode()))}
        )
    envelope = json.dumps({"signatures": signatures}, sort_keys=True, separators=(",", ":")).encode()
    return RAW + b"\n" + MARKER + b"\n" + envelope + b"\n"


def without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda header: {key: value for key, value in header.items() if key != name}


def test_the_forging_helper_forges_well(document_key: HybridPrivateKey) -> None:
    check(sign_with_header(document_key, lambda header: header), document_key)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: {**h, "alg": "none"},
        lambda h: {**h, "alg": "HS256"},
        lambda h: {**h, "alg": "EdDSA"},
        lambda h: {**h, "alg": "ML-DSA-44"},
        lambda h: {**h, "alg": "ML-DSA-87"},
        lambda h: {**h, "alg": "ml-dsa-65"},
        lambda h: {**h, "alg": None},
        lambda h: {**h, "sigset": ["Ed25519"]},
        lambda h: {**h, "sigset": ["ML-DSA-65"]},
        lambda h: {**h, "sigset": ["Ed25519", "ML-DSA-65"]},
        lambda h: {**h, "sigset": ["ML-DSA-65", "Ed25519", "none"]},
        lambda h: {**h, "sigset": []},
        lambda h: {**h, "crit": []},
        lambda h: {**h, "crit": ["sigset", "b64"]},
        lambda h: {**h, "crit": ["exp"]},
        lambda h: {**h, "b64": False},
        lambda h: {**h, "jwk": {}},
        lambda h: {**h, "x5c": []},
        lambda h: {**h, "typ": "macroslow-answer+jws"},
        lambda h: {**h, "typ": "JWT"},
        lambda h: {**h, "typ": "application/macroslow-document+jws"},
        lambda h: {**h, "kid": "somebody-else"},
        lambda h: {**h, "kid": None},
        lambda h: {**h, "kid": ["a"]},
        lambda h: {**h, "iat": str(h["iat"])},
        lambda h: {**h, "iat": True},
        lambda h: {**h, "iat": -1.5},
        lambda h: {**h, "iat": 10**30},
        lambda h: {**h, "exp": "never"},
        lambda h: {**h, "exp": None},
        lambda h: {**h, "exp": False},
        *[without(name) for name in ("alg", "crit", "iat", "kid", "sigset", "typ")],
        lambda h: {},
        lambda h: [h],
        lambda h: json.dumps(h).encode(),  # spaces
        lambda h: json.dumps(dict(reversed(h.items())), separators=(",", ":")).encode(),
        lambda h: json.dumps(h, sort_keys=True, separators=(",", ":")).encode()[:-1] + b',"typ":"x"}',
        lambda h: b"\xff" + json.dumps(h).encode(),
        lambda h: {**h, "typ": "x" * 5000},
    ],
)
def test_a_header_that_says_anything_else_is_refused_though_both_keys_signed_it(
    change: Callable[[dict[str, Any]], Any], document_key: HybridPrivateKey
) -> None:
    assert_refused(sign_with_header(document_key, change), document_key)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: {**h, "kid": "other"},
        lambda h: {**h, "iat": h["iat"] - 1},
        lambda h: {**h, "exp": h["iat"] + 1000},
        lambda h: {**h, "alg": "HS256"},
    ],
)
def test_two_headers_that_differ_in_more_than_the_algorithm_are_refused(
    change: Callable[[dict[str, Any]], Any], document_key: HybridPrivateKey
) -> None:
    assert_refused(sign_with_header(document_key, lambda h: h, change), document_key)
    assert_refused(sign_with_header(document_key, change, lambda h: h), document_key)


@pytest.mark.parametrize(
    "write",
    [
        lambda h: json.dumps(h, sort_keys=True).encode(),
        lambda h: json.dumps(dict(reversed(h.items())), separators=(",", ":")).encode(),
        lambda h: json.dumps(h, sort_keys=True, separators=(",", ":")).replace("typ", "\\u0074yp").encode(),
    ],
)
def test_one_header_that_is_not_canonical_is_refused(
    write: Callable[[dict[str, Any]], bytes], document_key: HybridPrivateKey
) -> None:
    assert_refused(sign_with_header(document_key, write, lambda header: header), document_key)
    assert_refused(sign_with_header(document_key, lambda header: header, write), document_key)


# Keys


def test_an_unknown_key_is_refused(signed: bytes, other_document_key: HybridPrivateKey) -> None:
    assert "not known" in assert_refused(signed, other_document_key).detail


def test_a_finder_that_returns_another_key_is_not_believed(
    signed: bytes, other_document_key: HybridPrivateKey
) -> None:
    body, signature = documents.split(signed)
    assert signature is not None
    with pytest.raises(SignatureRefusedError, match="not known"):
        documents.verify(body, signature, lambda _: other_document_key.public, now_ns=NOW_NS)


def test_a_key_of_another_use_is_refused(answer_key: HybridPrivateKey, history_key: HybridPrivateKey) -> None:
    for key in (answer_key, history_key):
        document = sign_with_header(key, lambda header: header)
        assert f"signing a {key.use}" in assert_refused(document, key).detail


@pytest.mark.parametrize("stolen", ["ed25519", "ml_dsa_65"])
def test_one_of_the_two_private_keys_is_not_enough(
    stolen: str, document_key: HybridPrivateKey, other_document_key: HybridPrivateKey
) -> None:
    """The thief signs with one true key and one of his own, under the victim's identifier."""

    class Thief:
        key_id = document_key.key_id
        ed25519 = (document_key if stolen == "ed25519" else other_document_key).ed25519
        ml_dsa_65 = (document_key if stolen == "ml_dsa_65" else other_document_key).ml_dsa_65

    thief: Any = Thief()
    assert "does not verify" in assert_refused(sign_with_header(thief, lambda h: h), document_key).detail


# Time


def test_an_expired_signature_is_refused_from_the_second_on(document_key: HybridPrivateKey) -> None:
    document = documents.sign(RAW, document_key, issued_ns=NOW_NS, expires_ns=NOW_NS + DAY_NS)
    assert check(document, document_key, NOW_NS + DAY_NS - 1).expires_ns == NOW_NS + DAY_NS
    assert "expired" in assert_refused(document, document_key, NOW_NS + DAY_NS).detail


def test_a_signature_from_the_future_is_refused_beyond_a_minute(
    signed: bytes, document_key: HybridPrivateKey
) -> None:
    check(signed, document_key, NOW_NS - jws.CLOCK_SKEW_NS)
    assert "future" in assert_refused(signed, document_key, NOW_NS - jws.CLOCK_SKEW_NS - 1).detail


# Others' implementation


def test_the_key_file_of_a_signer_is_all_that_a_verifier_needs(
    signed: bytes, document_key: HybridPrivateKey
) -> None:
    public = HybridPublicKey.from_jwks(document_key.public.to_jwks(), use="document")
    body, signature = documents.split(signed)
    assert signature is not None
    documents.verify(body, signature, {public.key_id: public}.get, now_ns=NOW_NS)
