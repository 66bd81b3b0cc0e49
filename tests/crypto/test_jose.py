"""Signatures of others: the published examples, and keys that are none."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from macroslow.crypto import base64url
from macroslow.crypto.jose import Algorithm, SharedSecret, public_key, verify
from macroslow.errors import VerificationError

PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

RSA = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-y"
    "RT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS"
    "-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2et"
    "hFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
ED = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

PUBLISHED: list[Any] = [
    pytest.param(
        RSA,
        Algorithm.RS256,
        "eyJhbGciOiJSUzI1NiJ9",
        PAYLOAD,
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb"
        "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383"
        "LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy"
        "wlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        id="RFC 7515 A.2",
    ),
    pytest.param(
        EC,
        Algorithm.ES256,
        "eyJhbGciOiJFUzI1NiJ9",
        PAYLOAD,
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        id="RFC 7515 A.3",
    ),
    pytest.param(
        ED,
        Algorithm.EDDSA,
        "eyJhbGciOiJFZERTQSJ9",
        "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        id="RFC 8037 A.4",
    ),
]


@pytest.mark.parametrize(("jwk", "algorithm", "header", "payload", "signed"), PUBLISHED)
def test_the_published_example_verifies_and_not_with_a_bit_changed(
    jwk: dict[str, str], algorithm: Algorithm, header: str, payload: str, signed: str
) -> None:
    key, algorithms = public_key(jwk)
    assert algorithm in algorithms
    signature = base64url.decode(signed)
    verify(key, algorithm, signature, f"{header}.{payload}".encode())
    with pytest.raises(VerificationError):
        verify(key, algorithm, signature, f"{header}.{payload[:-1]}R".encode())
    with pytest.raises(VerificationError):
        verify(key, algorithm, signature[:-1] + bytes([signature[-1] ^ 1]), f"{header}.{payload}".encode())


def test_the_published_hmac_verifies() -> None:
    """RFC 7515, A.1."""
    message = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}".encode()
    secret = base64url.decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    )
    signature = base64url.decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    verify(SharedSecret(secret), Algorithm.HS256, signature, message)


@pytest.mark.parametrize("jwk", [RSA, EC, ED], ids=["RSA", "EC", "OKP"])
def test_a_key_verifies_with_the_algorithms_of_its_type_alone(jwk: dict[str, str]) -> None:
    key, algorithms = public_key(jwk)
    for algorithm in frozenset(Algorithm) - frozenset(algorithms):
        with pytest.raises(VerificationError, match="another type"):
            verify(key, algorithm, bytes(64), b"")


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA"},
        RSA | {"e": "AA"},
        RSA | {"e": "Ag"},
        RSA | {"e": base64url.encode(b"\x01" * 9)},
        RSA | {"n": RSA["n"][:-20]},
        RSA | {"n": base64url.encode(b"\xff" * 1025)},
        RSA | {"n": RSA["n"] + "="},
        RSA | {"n": 5},
        EC | {"crv": "P-384"},
        EC | {"crv": "secp256k1"},
        EC | {"y": EC["x"]},
        EC | {"x": "AAAA"},
        EC | {"x": "A" * 43, "y": "A" * 43},
        ED | {"crv": "X25519"},
        ED | {"crv": "Ed448"},
        ED | {"x": "AAAA"},
        {"kty": "AKP"},
        {"kty": ["RSA"]},
    ],
    ids=str,
)
def test_what_is_no_public_key_of_ours_is_refused(jwk: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        public_key(jwk)


def test_a_key_of_1024_bits_is_refused() -> None:
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    with pytest.raises(ValueError, match="1024 bits"):
        public_key({"kty": "RSA", "e": "AQAB", "n": base64url.encode(numbers.n.to_bytes(128, "big"))})
