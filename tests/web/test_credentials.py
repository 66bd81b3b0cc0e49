"""What a request shows: two headers are read, and wherever else a credential stands it is refused."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.authn.refusal import BAD_DETAIL, Refusal
from macroslow.errors import CredentialError
from macroslow.services.identity.authenticate import Credentials
from macroslow.web.credentials import OTHER_KINDS, QUERY_NAMES, read_credentials

KEY = b"msk_000000000000_" + b"a" * 49
GOOD = {b"x-api-key": KEY}


def refused(headers: dict[bytes, bytes], query: bytes = b"") -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        read_credentials(headers, query, "192.0.2.1")
    assert caught.value.detail == BAD_DETAIL
    return caught.value


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
@pytest.mark.parametrize("value", [KEY, b"", b"a b", b"\x00\xff", b"eyJhbGciOiJub25lIn0.e30."])
def test_a_bearer_is_taken_as_it_is_whatever_it_is(scheme: bytes, value: bytes) -> None:
    headers = {b"host": b"x", b"authorization": scheme + b" " + value, b"user-agent": b"openai"}
    assert read_credentials(headers, b"", "192.0.2.1") == Credentials(None, value, "192.0.2.1")
    both = headers | {b"x-api-key": b"k"}
    assert read_credentials(both, b"limit=5&after=x", "") == Credentials(b"k", value, "")


def test_spaces_around_a_bearer_are_none_of_it_and_others_are() -> None:
    shown = read_credentials({b"authorization": b"Bearer   x\t "}, b"", "")
    assert shown == Credentials(bearer=b"x\t")


def test_a_request_without_credentials_shows_none_and_an_empty_one_shows_an_empty_one() -> None:
    assert read_credentials({b"host": b"x"}, b"", "") == Credentials()
    assert read_credentials({b"x-api-key": b""}, b"", "") == Credentials(b"")


@pytest.mark.parametrize(
    "value", [b"", b"Bearer", b"Basic Zm9v", b"Bearer\tx", b" Bearer x", b"Token " + KEY, KEY]
)
def test_another_scheme_is_refused_beside_a_good_key_too(value: bytes) -> None:
    assert refused({**GOOD, b"authorization": value}).reason == Refusal.OTHER_KIND


@pytest.mark.parametrize("name", sorted(OTHER_KINDS))
def test_a_header_for_another_kind_is_refused_beside_a_good_key_too(name: bytes) -> None:
    assert refused({**GOOD, name: KEY}).reason == refused({name: b""}).reason == Refusal.OTHER_KIND


@pytest.mark.parametrize(
    "query",
    [
        *(name.encode() + b"=1" for name in sorted(QUERY_NAMES)),
        *(b"x=2&" + name.upper().encode() for name in sorted(QUERY_NAMES)),
        b"x=" + KEY,
        KEY,
        KEY + b"=1",
        b"x=msk%5Fabc",
        b"x=%6d%73%6B_abc",
        b"x=a+msk_b",
        b"a=1&" * 200,
    ],
)
def test_a_key_in_the_query_is_refused_even_beside_a_good_one(query: bytes) -> None:
    assert refused(GOOD, query).reason == refused({}, query).reason == Refusal.IN_QUERY


WORDS = st.text(max_size=30).filter(lambda text: "msk_" not in text and text.lower() not in QUERY_NAMES)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5), st.data())
def test_a_key_is_found_wherever_it_stands_in_a_query_and_no_other_is_refused(
    fields: list[tuple[str, str]], data: st.DataObject
) -> None:
    assert read_credentials(GOOD, urlencode(fields).encode(), "") == Credentials(KEY)
    at = data.draw(st.integers(0, len(fields) - 1))
    name, value = fields[at]
    cut = data.draw(st.integers(0, len(value)))
    planted = [(name, value[:cut] + KEY.decode() + value[cut:]), (name + KEY.decode(), value)]
    for field in planted:
        query = urlencode([*fields[:at], field, *fields[at + 1 :]]).encode()
        assert refused(GOOD, query).reason == Refusal.IN_QUERY


def test_what_was_shown_is_never_printed() -> None:
    shown = read_credentials({**GOOD, b"authorization": b"Bearer e30.e30.e30"}, b"", "192.0.2.1")
    assert repr(shown) == "Credentials(address='192.0.2.1')"
