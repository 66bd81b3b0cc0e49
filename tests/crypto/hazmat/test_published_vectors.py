"""Published vectors against our thin wrappers: Wycheproof, NIST ACVP, the reference KATs, our own.

Whole sets, every time. Two kinds cannot be run through these wrappers: AES-GCM nonces of other
than 96 bits and keys of other than 256 (we take nothing else), and ACVP's signature sets, which
use the internal interface.
"""

import base64
import gzip
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from macroslow.crypto.hazmat import aes_gcm, cobblestone, hkdf
from macroslow.crypto.hazmat.ed25519 import Ed25519PublicKey
from macroslow.crypto.hazmat.ml_dsa import (
    MLDSA44PrivateKey,
    MLDSA44PublicKey,
    MLDSA65PrivateKey,
    MLDSA65PublicKey,
)
from macroslow.errors import DecryptionFailedError, VerificationError

SMALL = Path(__file__).parents[2] / "vectors"
ML_DSA = {"44": (MLDSA44PrivateKey, MLDSA44PublicKey), "65": (MLDSA65PrivateKey, MLDSA65PublicKey)}


def load(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()))


def cases(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for group in load(path)["testGroups"]:
        for case in group["tests"]:
            yield group, case


def is_accepted(function: Any, *arguments: object) -> bool:
    try:
        function(*arguments)
    except (VerificationError, DecryptionFailedError, ValueError):
        return False
    return True


def test_every_wycheproof_ed25519_verdict_is_ours() -> None:
    count = 0
    for group, case in cases(SMALL / "wycheproof_ed25519_test.json.gz"):
        key = Ed25519PublicKey(bytes.fromhex(group["publicKey"]["pk"]))
        accepted = is_accepted(key.verify, bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
        assert accepted is (case["result"] == "valid"), case["tcId"]
        count += 1
    assert count == 151


def test_every_wycheproof_aes_gcm_verdict_for_our_key_and_nonce_size_is_ours() -> None:
    count = 0
    for group, case in cases(SMALL / "wycheproof_aes_gcm_test.json.gz"):
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue
        key, nonce, data = (bytes.fromhex(case[name]) for name in ("key", "iv", "aad"))
        sealed = bytes.fromhex(case["ct"] + case["tag"])
        if case["result"] == "valid":
            assert aes_gcm.decrypt(key, nonce, sealed, data).hex() == case["msg"]
            assert aes_gcm.encrypt(key, nonce, bytes.fromhex(case["msg"]), data) == sealed
        else:
            assert not is_accepted(aes_gcm.decrypt, key, nonce, sealed, data), case["tcId"]
        count += 1
    assert count == 66


def test_aes_gcm_takes_no_other_key_or_nonce_size() -> None:
    for key_bytes, nonce_bytes in ((16, 12), (24, 12), (32, 8), (32, 16), (32, 0)):
        with pytest.raises(ValueError, match="32 bytes"):
            aes_gcm.encrypt(bytes(key_bytes), bytes(nonce_bytes), b"", b"")


def test_every_wycheproof_hkdf_sha512_output_is_ours() -> None:
    count = 0
    for _, case in cases(SMALL / "wycheproof_hkdf_sha512_test.json.gz"):
        secret = hmac.digest(bytes.fromhex(case["salt"]), bytes.fromhex(case["ikm"]), "sha512")  # Extract
        info, size = bytes.fromhex(case["info"]), case["size"]
        if case["result"] == "valid":
            assert hkdf.expand(secret, info, size).hex() == case["okm"]
        else:
            assert not is_accepted(hkdf.expand, secret, info, size)
        count += 1
    assert count == 83


@pytest.mark.parametrize(("parameter_set", "count"), [("44", 180), ("65", 210)])
def test_every_wycheproof_ml_dsa_verdict_is_ours(vectors: Path, parameter_set: str, count: int) -> None:
    public_type = ML_DSA[parameter_set][1]

    def verify(public: str, signature: str, message: str, context: str) -> None:
        key = public_type(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), bytes.fromhex(message), bytes.fromhex(context))

    checked = 0
    for group, case in cases(vectors / f"wycheproof_mldsa_{parameter_set}_verify_test.json.gz"):
        accepted = is_accepted(verify, group["publicKey"], case["sig"], case["msg"], case.get("ctx", ""))
        assert accepted is (case["result"] == "valid"), case["tcId"]
        checked += 1
    assert checked == count


@pytest.mark.parametrize(("parameter_set", "count"), [("44", 75), ("65", 85)])
def test_every_wycheproof_ml_dsa_seed_gives_the_published_key_and_signs(
    vectors: Path, parameter_set: str, count: int
) -> None:
    private_type, public_type = ML_DSA[parameter_set]
    checked = 0
    for group in load(vectors / f"wycheproof_mldsa_{parameter_set}_sign_seed_test.json.gz")["testGroups"]:
        seed = bytes.fromhex(group["privateSeed"])
        if len(seed) != 32:
            assert not is_accepted(private_type, seed)
            continue
        key = private_type(seed)
        assert key.public.raw.hex() == group["publicKey"]
        assert key.seed() == seed
        for case in group["tests"]:
            if "msg" not in case:  # given as external mu alone
                continue
            message, context = bytes.fromhex(case["msg"]), bytes.fromhex(case.get("ctx", ""))
            if case["result"] == "valid":
                public_type(key.public.raw).verify(bytes.fromhex(case["sig"]), message, context)
                key.public.verify(key.sign(message, context), message, context)
            else:
                assert not is_accepted(key.sign, message, context), case["tcId"]
            checked += 1
    assert checked == count


def kat_records(path: Path) -> Iterator[dict[str, str]]:
    for block in gzip.decompress(path.read_bytes()).decode().split("count = ")[1:]:
        yield dict(line.split(" = ", 1) for line in block.splitlines() if " = " in line)


@pytest.mark.parametrize("parameter_set", ["44", "65"])
def test_every_known_answer_of_ml_dsa_verifies_under_the_key_of_its_seed(
    vectors: Path, parameter_set: str
) -> None:
    count = 0
    for record in kat_records(vectors / f"kat_MLDSA_{parameter_set}_det_pure.rsp.gz"):
        key = ML_DSA[parameter_set][0](bytes.fromhex(record["xi"]))
        message, signed = bytes.fromhex(record["msg"]), bytes.fromhex(record["sm"])
        signature = signed[: len(signed) - len(message)]
        assert key.public.raw.hex() == record["pk"].lower()
        key.public.verify(signature, message, bytes.fromhex(record.get("ctx", "")))
        count += 1
    assert count == 100


@pytest.mark.parametrize("parameter_set", ["44", "65"])
def test_every_acvp_seed_gives_the_published_ml_dsa_key(vectors: Path, parameter_set: str) -> None:
    prompt = load(vectors / "acvp_ML-DSA-keyGen-FIPS204_prompt.json.gz")
    expected = load(vectors / "acvp_ML-DSA-keyGen-FIPS204_expectedResults.json.gz")
    answers = {case["tcId"]: case["pk"] for group in expected["testGroups"] for case in group["tests"]}
    count = 0
    for group in prompt["testGroups"]:
        if group["parameterSet"] != f"ML-DSA-{parameter_set}":
            continue
        for case in group["tests"]:
            key = ML_DSA[parameter_set][0](bytes.fromhex(case["seed"]))
            assert key.public.raw.hex() == answers[case["tcId"]].lower()
            count += 1
    assert count == 25


def test_every_cobblestone_256_vector_opens_or_is_refused_as_published(vectors: Path) -> None:
    counts = {"success": 0, "failure": 0}
    for case in load(vectors / "own_cobblestone256_vectors.json.gz")["vectors"]:
        key, context = bytes.fromhex(case["key"]), bytes.fromhex(case["context_hex"])
        sealed = base64.b64decode(case["ciphertext_b64"])
        if case["expect"] == "success":
            opened = cobblestone.decrypt(key, sealed, context)
            expected = hashlib.shake_256(case["payload_shake256_tag"].encode()).digest(case["payload_length"])
            assert opened == expected
        else:
            assert not is_accepted(cobblestone.decrypt, key, sealed, context), case["name"]
        counts[case["expect"]] += 1
    assert counts == {"success": 8, "failure": 14}
