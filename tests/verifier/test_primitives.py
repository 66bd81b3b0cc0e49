"""The page's own primitives against published vectors, and against this machine's library."""

import gzip
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import ROOT
from tests.tlog.logs import octets
from tests.verifier.page import Page

from macroslow.crypto.hazmat.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from macroslow.crypto.hazmat.ml_dsa import MLDSA44PrivateKey

ED25519 = ROOT / "tests" / "vectors" / "wycheproof_ed25519_test.json.gz"
# Around the ends of the blocks of each hash: 64, 128, 136 and 168 bytes.
LENGTHS = sorted(
    {0, 1, 3, 1000} | {block + by for block in (56, 64, 112, 128, 136, 168, 272) for by in (-1, 0, 1)}
)


def wycheproof(path: Path) -> list[tuple[bytes, dict[str, Any]]]:
    """All cases, each with its public key."""
    groups = json.loads(gzip.decompress(path.read_bytes()))["testGroups"]
    keys = [
        group["publicKey"]["pk"] if isinstance(group["publicKey"], dict) else group["publicKey"]
        for group in groups
    ]
    return [
        (bytes.fromhex(key), case) for key, group in zip(keys, groups, strict=True) for case in group["tests"]
    ]


def test_the_examples_of_the_standards(page: Page) -> None:
    """FIPS 180-4 and FIPS 202 (NIST's example values), RFC 4231 (2)."""
    sha512 = (
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    )
    known = {
        ("sha256", b"abc"): "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ("sha512", b"abc"): sha512,
        ("(data) => shake128(data)(16)", b""): "7f9c2ba4e88f827d616045507605853e",
        ("(data) => shake256(data)(16)", b""): "46b9dd2b0ba88d13233b3feb743eeb24",
    }
    for (function, data), digest in known.items():
        assert page.call(function, data).hex() == digest
    mac = page.call("hmacSha256", b"Jefe", b"what do ya want for nothing?")
    assert mac.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@pytest.mark.parametrize("length", LENGTHS)
def test_hashes_are_right_at_every_edge_of_a_block(length: int, page: Page) -> None:
    data = octets("hashed", length)
    assert page.call("sha256", data) == hashlib.sha256(data).digest()
    assert page.call("sha512", data) == hashlib.sha512(data).digest()
    assert page.call("hmacSha256", data, data) == hmac.digest(data, data, "sha256")
    for bits, reference in ((128, hashlib.shake_128), (256, hashlib.shake_256)):
        whole = page.call(f"(data) => {{ const s = shake{bits}(data); return [s(1), s(2), s(400)]; }}", data)
        assert b"".join(whole) == reference(data).digest(403)


def test_ed25519_agrees_with_every_vector_of_wycheproof(page: Page) -> None:
    cases = wycheproof(ED25519)
    assert len(cases) == 151
    for key, case in cases:
        said = page.call("ed25519Verifies", key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
        assert said == (case["result"] == "valid"), case


def test_ml_dsa_44_agrees_with_every_vector_of_wycheproof(page: Page, vectors: Path) -> None:
    cases = wycheproof(vectors / "wycheproof_mldsa_44_verify_test.json.gz")
    assert len(cases) == 180
    assert sum("ctx" in case for _, case in cases) == 8
    for key, case in cases:
        parts = [bytes.fromhex(case.get(name, "")) for name in ("msg", "sig", "ctx")]
        assert page.call("mlDsa44Verifies", key, *parts) == (case["result"] == "valid"), case["comment"]


P = 2**255 - 19
SMALL_ORDER = [
    0,
    1,
    P - 1,
    int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    ),
    int.from_bytes(
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
    ),
]


@pytest.mark.parametrize("y", [*SMALL_ORDER, *(y | 1 << 255 for y in SMALL_ORDER), P, P + 1, 2, 2**256 - 1])
def test_points_of_small_order_and_what_is_no_encoding_of_a_point_are_no_keys(y: int, page: Page) -> None:
    key = y.to_bytes(32, "little")
    assert page.call("ed25519Point", key) is None
    with pytest.raises(ValueError, match="no key can have"):
        Ed25519PublicKey(key)
    for r in (key, bytes(32), (1).to_bytes(32, "little")):
        assert not page.call("ed25519Verifies", key, b"message", r + bytes(32))


@settings(max_examples=50)
@given(st.binary(min_size=32, max_size=32))
def test_what_can_be_a_public_key_is_the_same_here_and_there(page: Page, raw: bytes) -> None:
    try:
        ours = Ed25519PublicKey(raw).raw == raw
    except ValueError:
        ours = False
    assert (page.call("ed25519Point", raw) is not None) == ours


@settings(max_examples=25)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=300), flip=st.integers(0, 511))
def test_ed25519_signatures_of_the_library_verify_and_no_changed_bit_does(
    page: Page, seed: bytes, message: bytes, flip: int
) -> None:
    key = Ed25519PrivateKey(seed)
    signature = key.sign(message)
    altered = (int.from_bytes(signature, "big") ^ 1 << flip).to_bytes(64, "big")
    assert page.call("ed25519Verifies", key.public.raw, message, signature)
    assert not page.call("ed25519Verifies", key.public.raw, message, altered)
    assert not page.call("ed25519Verifies", key.public.raw, message + b"\0", signature)


@settings(max_examples=15)
@given(
    seed=st.binary(min_size=32, max_size=32),
    message=st.binary(max_size=300),
    context=st.binary(max_size=255),
    flip=st.integers(0, 2420 * 8 - 1),
)
def test_ml_dsa_44_signatures_of_the_library_verify_and_no_changed_bit_does(
    page: Page, seed: bytes, message: bytes, context: bytes, flip: int
) -> None:
    key = MLDSA44PrivateKey(seed)
    signature = key.sign(message, context)
    altered = (int.from_bytes(signature, "big") ^ 1 << flip).to_bytes(2420, "big")
    assert page.call("mlDsa44Verifies", key.public.raw, message, signature, context)
    assert not page.call("mlDsa44Verifies", key.public.raw, message, altered, context)
    assert not page.call("mlDsa44Verifies", key.public.raw, message, signature, context + b"\0")
