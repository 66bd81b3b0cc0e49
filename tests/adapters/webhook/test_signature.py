"""The signature of Standard Webhooks: the published vector, and keys that are none."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.adapters.webhook import signature, signing_key
from macroslow.errors import ConfigurationError
from macroslow.secretstore.secret import Secret

SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def test_the_published_vector() -> None:
    signed = signature(
        signing_key(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_prefix_is_no_part_of_the_key() -> None:
    assert signing_key(Secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")) == signing_key(SECRET)


@given(
    st.binary(min_size=24, max_size=64),
    st.from_regex("[a-z_]{1,9}", fullmatch=True),
    st.integers(0, 2**40),
    st.binary(),
)
def test_it_is_hmac_sha256_over_id_time_and_body(key: bytes, name: str, time_s: int, body: bytes) -> None:
    version, _, digest = signature(key, name, time_s, body).partition(",")
    expected = hmac.new(key, b".".join([name.encode(), str(time_s).encode(), body]), hashlib.sha256).digest()
    assert (version, base64.b64decode(digest)) == ("v1", expected)


def test_an_id_that_could_be_read_otherwise_is_refused() -> None:
    with pytest.raises(ValueError):
        signature(b"k" * 32, "a.1", 2, b"")


@pytest.mark.parametrize(
    "text",
    ["whsec_", "whsec_no base64!", "whsec_" + base64.b64encode(b"k" * 23).decode(), "hunter2",
     "whsec_" + base64.b64encode(b"k" * 65).decode(), "whsec_é"],
)  # fmt: skip
def test_a_secret_that_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        signing_key(Secret(text))
    assert text.removeprefix("whsec_") == "" or text.removeprefix("whsec_") not in repr(refused.value)
