"""Key files: what is written is read again, and nothing else is."""

import copy
import json
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest

from macroslow.crypto import hybrid
from macroslow.crypto.hybrid import HybridPrivateKey, HybridPublicKey, KeyUse
from macroslow.errors import BadRequestError


def test_a_private_key_survives_its_file(document_key: HybridPrivateKey) -> None:
    again = HybridPrivateKey.from_json(document_key.to_json(), use="document")
    assert again.public == document_key.public
    assert again.ed25519.seed() == document_key.ed25519.seed()
    assert again.ml_dsa_65.seed() == document_key.ml_dsa_65.seed()


def test_a_public_key_survives_its_file_and_shows_no_seed(document_key: HybridPrivateKey) -> None:
    text = document_key.public.to_jwks()
    assert HybridPublicKey.from_jwks(text, use="document") == document_key.public
    members = json.loads(text)["keys"]
    assert [set(member) & {"d", "priv"} for member in members] == [set(), set()]
    assert {member["kid"] for member in members} == {document_key.key_id}


def test_the_same_seeds_for_another_use_are_another_key(document_key: HybridPrivateKey) -> None:
    seeds = document_key.ed25519.seed(), document_key.ml_dsa_65.seed()
    ids = {HybridPrivateKey(use, *seeds).key_id for use in KeyUse}
    assert len(ids) == 3


@pytest.mark.parametrize("use", ["answer", "history"])
def test_a_key_of_another_use_is_refused_on_load(use: str, document_key: HybridPrivateKey) -> None:
    with pytest.raises(BadRequestError, match="for 'document'"):
        HybridPrivateKey.from_json(document_key.to_json(), use=use)
    with pytest.raises(BadRequestError, match="for 'document'"):
        HybridPublicKey.from_jwks(document_key.public.to_jwks(), use=use)


def relabelled(text: str, use: str) -> str:
    return text.replace('"document"', f'"{use}"')


def test_a_relabelled_key_is_refused(document_key: HybridPrivateKey) -> None:
    with pytest.raises(BadRequestError, match="do not fit"):
        HybridPrivateKey.from_json(relabelled(document_key.to_json(), "answer"), use="answer")
    with pytest.raises(BadRequestError, match="kid"):
        HybridPublicKey.from_jwks(relabelled(document_key.public.to_jwks(), "answer"), use="answer")


def test_a_private_key_given_as_public_is_refused_by_name(document_key: HybridPrivateKey) -> None:
    text = json.dumps({"keys": json.loads(document_key.to_json())["keys"]})
    with pytest.raises(BadRequestError, match="private key"):
        HybridPublicKey.from_jwks(text, use="document")


@pytest.mark.parametrize(
    "change",
    [
        lambda o: {**o, "extra": 1},
        lambda o: {},
        lambda o: [],
        lambda o: None,
        lambda o: {**o, "keys": o["keys"][:1]},
        lambda o: {**o, "keys": o["keys"][::-1]},
        lambda o: {**o, "keys": o["keys"] * 2},
        lambda o: {**o, "keys": [o["keys"][0]] * 2},
        lambda o: {**o, "keys": {}},
        lambda o: {**o, "keys": [1, 2]},
        lambda o: {**o, "keys": [{**key, "kty": "RSA"} for key in o["keys"]]},
        lambda o: {
            **o,
            "keys": [{**key, "x": "AA", "pub": "AA", "d": "AA", "priv": "AA"} for key in o["keys"]],
        },
        lambda o: {**o, "keys": [{**key, "x": 1, "pub": 1, "d": 1, "priv": 1} for key in o["keys"]]},
        lambda o: {**o, "keys": [{**key, "x": "=", "pub": "=", "d": "=", "priv": "="} for key in o["keys"]]},
    ],
)
def test_damaged_key_files_are_refused(change: Callable[[Any], Any], document_key: HybridPrivateKey) -> None:
    with pytest.raises(BadRequestError):
        HybridPrivateKey.from_json(json.dumps(change(json.loads(document_key.to_json()))), use="document")
    with pytest.raises(BadRequestError):
        HybridPublicKey.from_jwks(
            json.dumps(change(json.loads(document_key.public.to_jwks()))), use="document"
        )


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[" * 50_000, "x" * 20_000, '{"keys":1,"keys":2}', "\ud800"]
)
def test_what_is_no_json_is_no_key(text: str) -> None:
    with pytest.raises(BadRequestError):
        HybridPrivateKey.from_json(text, use="document")
    with pytest.raises(BadRequestError):
        HybridPublicKey.from_jwks(text, use="document")


def test_a_mixed_pair_is_another_key(
    document_key: HybridPrivateKey, other_document_key: HybridPrivateKey
) -> None:
    mixed = HybridPublicKey(KeyUse.DOCUMENT, document_key.public.ed25519, other_document_key.public.ml_dsa_65)
    assert mixed.key_id not in {document_key.key_id, other_document_key.key_id}


def test_a_fingerprint_can_be_read_over_the_telephone(document_key: HybridPrivateKey) -> None:
    assert re.fullmatch(r"([A-Z2-7]{4}-){7}[A-Z2-7]{4}", document_key.public.fingerprint)


def test_one_key_set_holds_many_keys(answer_key: HybridPrivateKey, history_key: HybridPrivateKey) -> None:
    keys = json.loads(hybrid.jwks([answer_key.public, history_key.public]))["keys"]
    assert [key["macroslow_use"] for key in keys] == ["answer"] * 2 + ["history"] * 2


def test_a_private_key_does_not_print_pickle_copy_or_compare(document_key: HybridPrivateKey) -> None:
    for secret in (document_key, document_key.ed25519, document_key.ml_dsa_65):
        assert repr(secret) == f"{type(secret).__name__}(…)"
        with pytest.raises(TypeError):
            pickle.dumps(secret)
        with pytest.raises(TypeError):
            copy.copy(secret)
        with pytest.raises(TypeError):
            _ = secret == document_key
