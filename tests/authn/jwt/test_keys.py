"""Key sets from the network: what is taken of them, what is left out, and what is refused as a whole."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.authn.jwt.tokens import ec_key, ed_key, jwk, jwks, rsa_key, usual_keys

from macroslow.authn.jwt.keys import MAX_KEYS, MAX_SET_BYTES, KeySet, read_key_set
from macroslow.crypto.jose import Algorithm


def names_of(keys: KeySet) -> set[tuple[str, str]]:
    return {(kid, str(algorithm)) for kid, algorithm in keys.keys}


def test_each_key_stands_under_the_algorithms_of_its_type() -> None:
    assert names_of(usual_keys()) == {
        ("rsa", "RS256"),
        ("rsa", "PS256"),
        ("ec", "ES256"),
        ("ed", "EdDSA"),
    }


def test_a_key_that_names_its_algorithm_stands_under_that_one_alone() -> None:
    assert names_of(read_key_set(jwks(jwk(rsa_key(), "rsa", alg="PS256")))) == {("rsa", "PS256")}


LEFT_OUT: list[Any] = [
    jwk(rsa_key(), "x", use="enc"),
    jwk(rsa_key(), "x", use=["sig"]),
    jwk(rsa_key(), "x", key_ops=["encrypt"]),
    jwk(rsa_key(), "x", key_ops="verify"),
    jwk(rsa_key(), "x", alg="HS256"),
    jwk(rsa_key(), "x", alg="none"),
    jwk(rsa_key(), "x", alg="RSA-OAEP"),
    jwk(rsa_key(), "x", alg=["RS256"]),
    jwk(rsa_key(), "x", d="AAAA"),
    jwk(ed_key(), "x", d="AAAA"),
    {"kty": "oct", "kid": "x", "k": "A" * 43},
    {"kty": "oct", "kid": "x", "k": "A" * 43, "alg": "HS256"},
    jwk(rsa_key("weak", 1024), "x"),
    jwk(ec_key(), 5),  # type: ignore[arg-type]
    jwk(ec_key(), "x" * 257),
    {},
    None,
    "text",
    [],
]


@pytest.mark.parametrize("member", LEFT_OUT, ids=range(len(LEFT_OUT)))
def test_what_is_no_usable_public_key_is_left_out_and_said_so(member: Any) -> None:
    keys = read_key_set(jwks(member, jwk(ec_key(), "ec")))
    assert names_of(keys) == {("ec", "ES256")}
    assert len(keys.left_out) == 1
    assert keys.left_out[0].startswith("key 1: ")
    assert "AAAA" not in keys.left_out[0]


def test_of_two_keys_with_one_name_the_first_counts() -> None:
    keys = read_key_set(jwks(jwk(ec_key(), "x"), jwk(ec_key("second"), "x"), jwk(ed_key(), "x")))
    alone = read_key_set(jwks(jwk(ec_key(), "x")))
    assert keys.find("x", Algorithm.ES256) == alone.find("x", Algorithm.ES256)
    assert keys.find("x", Algorithm.EDDSA) is not None


def test_a_set_of_a_thousand_keys_is_refused_as_a_whole() -> None:
    one = jwk(ec_key())
    assert len(read_key_set(jwks(*(one | {"kid": str(n)} for n in range(MAX_KEYS))))) == MAX_KEYS
    with pytest.raises(ValueError, match="1000 keys"):
        read_key_set(jwks(*(one | {"kid": str(n)} for n in range(1000))))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":"x"}',
        b'{"keys":[],"keys":[]}',
        b'{"keys":[' + b"[" * 100_000,
        b'{"keys":[]}' + b" " * MAX_SET_BYTES,
        b'{"keys":[{"kty":"RSA","kty":"EC"}]}',
        b"<html>not found</html>",
        b"\xff\xfe",
    ],
    ids=range(11),
)
def test_what_is_no_key_set_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        read_key_set(raw)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda s: st.lists(s) | st.dictionaries(st.text(), s),
        max_leaves=20,
    )
)
def test_no_json_whatever_raises_anything_but_value_error(value: object) -> None:
    try:
        keys = read_key_set(json.dumps({"keys": [value]}).encode())
    except ValueError:
        return
    assert len(keys) == 0
