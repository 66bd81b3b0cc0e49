"""API keys: their form, their checksum and what is stored of them."""

import hashlib
import hmac
import re
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.authn import api_keys
from macroslow.authn.api_keys import (
    KEY_LENGTH,
    PATTERN,
    LegacyKey,
    SecretHasher,
    checksum,
    holds_credential,
    is_credential,
    is_in_force,
    mint,
    parse,
    parse_legacy,
    without_credentials,
)
from macroslow.authn.ports import KeyRecord

PEPPER = bytes(range(32))


class GivenEntropy:
    """Gives the bytes it was given, in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def random(self, size_bytes: int) -> bytes:
        taken, self._data = self._data[:size_bytes], self._data[size_bytes:]
        assert len(taken) == size_bytes
        return taken


KEYS = st.binary(min_size=40, max_size=40).map(lambda data: mint(GivenEntropy(data)))


def base62(number: int) -> str:
    """The slow, obvious reference."""
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    text = ""
    while number:
        text = digits[number % 62] + text
        number //= 62
    return text


@given(KEYS)
def test_a_minted_key_parses_into_its_own_halves(key: api_keys.MintedKey) -> None:
    parsed = parse(key.text)
    assert parsed is not None
    assert (parsed.id, parsed.secret) == (key.id, key.secret)
    assert len(key.text) == KEY_LENGTH
    assert re.fullmatch(PATTERN, key.text)


@given(st.binary(min_size=40, max_size=40))
def test_id_and_secret_are_all_of_the_entropy(data: bytes) -> None:
    key = mint(GivenEntropy(data))
    assert key.id == base62(int.from_bytes(data[:8], "big")).rjust(12, "0")
    assert key.secret == base62(int.from_bytes(data[8:], "big")).rjust(43, "0")


@given(st.text(alphabet=string.ascii_letters + string.digits + "_", max_size=80))
def test_the_checksum_is_the_crc_32_of_all_before_it(body: str) -> None:
    assert checksum(body) == base62(zlib.crc32(body.encode())).rjust(6, "0")


@given(KEYS, st.data())
def test_one_altered_character_is_no_key(key: api_keys.MintedKey, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(key.text) - 1))
    other = data.draw(st.characters(max_codepoint=0x17F).filter(lambda character: character != key.text[at]))
    assert parse(key.text[:at] + other + key.text[at + 1 :]) is None


@given(KEYS, st.data())
def test_a_cut_or_lengthened_key_is_no_key(key: api_keys.MintedKey, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(key.text) - 1))
    assert parse(key.text[:cut]) is None
    assert parse(key.text + data.draw(st.text(min_size=1, max_size=3))) is None


@given(st.text(max_size=100))
def test_no_other_text_is_a_key_or_breaks_the_parser(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["", "msk_", "msk_\n", "sk-abc", "msk_" + "0" * 62, "msk_" + "é" * 62])
def test_what_only_looks_like_a_key_is_none(text: str) -> None:
    assert parse(text) is None


def test_a_line_end_after_a_key_is_not_forgiven() -> None:
    assert parse(mint(GivenEntropy(bytes(40))).text + "\n") is None


@given(KEYS)
def test_the_stored_hash_is_hmac_sha256_over_id_and_secret(key: api_keys.MintedKey) -> None:
    expected = hmac.new(PEPPER, (key.id + key.secret).encode(), hashlib.sha256).digest()
    assert SecretHasher(PEPPER)(key) == expected
    assert SecretHasher(bytes(32))(key) != expected


def test_neither_half_prints_the_secret() -> None:
    key = mint(GivenEntropy(bytes(range(40))))
    assert key.secret not in repr(key)
    assert key.secret not in repr(parse(key.text))


@pytest.mark.parametrize(
    ("expires_ns", "revoked_ns", "now_ns", "in_force"),
    [(None, None, 5, True), (6, None, 5, True), (5, None, 5, False), (None, 1, 5, False), (9, 1, 5, False)],
)
def test_a_key_is_in_force_until_it_expires_or_is_revoked(
    expires_ns: int | None, revoked_ns: int | None, now_ns: int, in_force: bool
) -> None:
    record = KeyRecord("id", "p", b"", 0, expires_ns=expires_ns, revoked_ns=revoked_ns)
    assert is_in_force(record, now_ns) is in_force


@given(st.binary(max_size=40))
def test_of_a_key_of_another_gateway_only_its_sha256_is_read(rest: bytes) -> None:
    key = parse_legacy(b"sk-" + rest)
    assert key is not None
    assert key.digest == hashlib.sha256(b"sk-" + rest).hexdigest()
    assert SecretHasher(PEPPER)(key) == hmac.new(PEPPER, key.digest.encode(), hashlib.sha256).digest()
    assert re.fullmatch("legacy[0-9a-f]{12}", key.id)
    assert key.id.removeprefix("legacy") not in key.digest
    assert key.digest not in repr(key)


@pytest.mark.parametrize("credential", [b"", b"sk", b"sk_x", b"Sk-x", b"a" * 64, b"sk-" + b"a" * 510])
def test_what_is_no_key_of_another_gateway_is_none(credential: bytes) -> None:
    assert parse_legacy(credential) is None


@pytest.mark.parametrize("digest", ["", "A" * 64, "g" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n"])
def test_what_is_no_sha256_makes_no_legacy_key(digest: str) -> None:
    with pytest.raises(ValueError):
        LegacyKey(digest)


@pytest.mark.parametrize("before", ["", "no key '", "a=", "x "])
@pytest.mark.parametrize(
    "text", ["msk_000000000001_012", "sk-a", "sk-proj-01_23", "eyJhbGciOiJub25lIn0.e30.x_y-z"]
)
def test_what_may_be_a_credential_is_cut_wherever_it_stands(before: str, text: str) -> None:
    assert is_credential(text)
    assert is_credential(f" {text}\n")
    assert without_credentials(f"{before}{text}'") == f"{before}{text[:3]}…'"


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "jwt/dev/a.b.c",
        "legacy0123456789ab",
        "task-list",
        "api.eu.example.org",
        "sk-…",
        "msk_…",
        "a.b.c",
    ],
)
def test_names_are_no_credentials(text: str) -> None:
    assert not is_credential(text)
    assert without_credentials(f"no {text!r}") == f"no {text!r}"


@pytest.mark.parametrize("before", ["", "the key is ", "key="])
@pytest.mark.parametrize(
    "secret",
    [
        f"msk_000000000001_{'0' * 43}",
        "sk-ant-api03-0123456789abcdef",
        "eyJhbGciOiJub25lIn0.e30.x_y-z",
        "AIzaSy" + "0" * 33,
        "AKIA0123456789ABCDEF",
        "ghp_" + "a1" * 18,
        "gsk_" + "a1" * 18,
        "hf_" + "a1" * 17,
        "xai-" + "a1" * 40,
    ],
)
def test_a_secret_within_a_text_is_found_and_cut(before: str, secret: str) -> None:
    text = f"{before}{secret}, found in a repository"
    assert holds_credential(text)
    assert without_credentials(text) == f"{before}{secret[:3]}…, found in a repository"


@pytest.mark.parametrize(
    "text", ["", "sk-learn jobs", "msk_ and sk-… keys", "task-force-of-the-night", "hf_hub"]
)
def test_words_within_a_text_are_no_secrets(text: str) -> None:
    assert not holds_credential(text)
