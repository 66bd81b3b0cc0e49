"""Keys and signatures against another implementation (npm jose), in both directions."""

import json
from pathlib import Path
from typing import Any

import pytest

from macroslow.crypto import base64url, jwk
from macroslow.crypto.hazmat.ed25519 import Ed25519PublicKey
from macroslow.crypto.hazmat.ml_dsa import MLDSA65PrivateKey, MLDSA65PublicKey

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "own_jose_hpke_cross_vectors.json").read_bytes()
)


def verify_compact(text: str, key: MLDSA65PublicKey) -> bytes:
    protected, payload, signature = text.split(".")
    key.verify(base64url.decode(signature), f"{protected}.{payload}".encode())
    return base64url.decode(payload)


def test_the_other_side_computes_the_same_thumbprint() -> None:
    theirs: dict[str, Any] = VECTORS["python_to_js"]
    public = base64url.decode(theirs["jwk"]["pub"])
    assert jwk.ml_dsa_65(public) == {name: theirs["jwk"][name] for name in ("kty", "alg", "pub")}
    assert jwk.thumbprint(jwk.ml_dsa_65(public)) == theirs["tp"]


def test_the_ed25519_thumbprint_is_that_of_rfc_8037_appendix_a() -> None:
    public = base64url.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
    assert jwk.thumbprint(jwk.ed25519(public)) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_both_signatures_of_their_general_jws_verify() -> None:
    theirs = VECTORS["python_to_js"]
    first, second = theirs["gen"]["signatures"]
    payload = theirs["gen"]["payload"]
    ml_dsa_65 = MLDSA65PublicKey(base64url.decode(theirs["jwk"]["pub"]))
    ed25519 = Ed25519PublicKey(base64url.decode(theirs["edjwk"]["x"]))
    ml_dsa_65.verify(base64url.decode(first["signature"]), f"{first['protected']}.{payload}".encode())
    ed25519.verify(base64url.decode(second["signature"]), f"{second['protected']}.{payload}".encode())


def test_their_compact_jws_verifies_and_their_seed_gives_their_key() -> None:
    theirs = VECTORS["js_to_python"]
    key = MLDSA65PrivateKey(base64url.decode(theirs["priv"]["priv"]))
    assert key.public.raw == base64url.decode(theirs["priv"]["pub"])
    assert verify_compact(theirs["jws"], key.public) == b"from node"


@pytest.mark.parametrize("text", ["QQ==", "QR", "Q", "+/", "QQ\n", " QQ", "QQ ", "é", "\ud800", "QQ."])
def test_base64url_has_one_form(text: str) -> None:
    assert base64url.decode("QQ") == b"A"
    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(text)
