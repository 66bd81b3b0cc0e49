"""Headers before anybody is asked who it is: a host that is served, however often it was named before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.errors import BadRequestError, OriginRefusedError
from macroslow.web.framing import MAX_KNOWN_HOSTS, HostRule, read_framing
from macroslow.web.media_types import media_type_of
from macroslow.web.messages import Request

SERVED = frozenset({"localhost", "127.0.0.1", "[::1]", "api.example"})
FOREIGN = [
    b"evil.example",
    b"localhost.evil.example",
    b"localhost:80:80",
    b"localhost:123456",
    b"localhost:x",
]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_foreign_host_is_refused_behind_any_number_of_served_ones(foreign: bytes) -> None:
    rule = HostRule(SERVED)
    for port in range(2 * MAX_KNOWN_HOSTS):
        for _ in range(2):
            rule.check({b"host": b"LocalHost:%d" % port})
        with pytest.raises(OriginRefusedError):
            rule.check({b"host": foreign})
    for nothing in ({}, {b"host": b""}):
        with pytest.raises(BadRequestError):
            rule.check(nothing)


def test_who_names_a_host_in_all_ways_does_not_grow_what_is_known() -> None:
    rule = HostRule(SERVED)
    for port in range(10 * MAX_KNOWN_HOSTS):
        rule.check({b"host": b"localhost:%d" % port})
    assert len(rule._known) == MAX_KNOWN_HOSTS
    rule.check({b"host": b"api.example"})


@given(
    st.lists(st.tuples(st.sampled_from([b"localhost:8000", b"API.example", *FOREIGN, b""]), st.booleans()))
)
def test_what_was_asked_before_decides_nothing(asked: list[tuple[bytes, bool]]) -> None:
    used = HostRule(SERVED)
    for host, same in asked:
        headers = {b"host": host, b"origin": b"http://" + (host if same else b"evil.example")}
        assert _refusal(used, headers) == _refusal(HostRule(SERVED), headers)


def _refusal(rule: HostRule, headers: dict[bytes, bytes]) -> str:
    try:
        rule.check(headers)
    except (BadRequestError, OriginRefusedError) as error:
        return error.detail
    return ""


def test_a_known_host_lets_no_other_origin_in() -> None:
    rule = HostRule(SERVED)
    for _ in range(2):
        rule.check({b"host": b"API.example:443", b"origin": b"https://api.EXAMPLE:443"})
        with pytest.raises(OriginRefusedError):
            rule.check({b"host": b"API.example:443", b"origin": b"https://api.example"})


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (b"application/json", "application/json"),
        (b" Application/JSON ; charset=utf-8", "application/json"),
        (b"application/json;", "application/json"),
        (b"text/markdown", "text/markdown"),
        (b"application/jsonx", "application/jsonx"),
        (b"", ""),
        (b"\xff/\xfe", "\xff/\xfe"),
    ],
)
def test_a_media_type_has_no_parameters_and_no_case(said: bytes, read: str) -> None:
    assert media_type_of(said) == read


def test_of_several_copies_of_a_header_all_can_be_had_and_the_first_is_the_header() -> None:
    headers = [(b"host", b"x"), (b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    by_name, body_bytes = read_framing(headers)
    request = Request("GET", "/", b"", headers, by_name, {}, "", b"", None, "id")
    assert (request.header(b"a"), list(request.values(b"a"))) == (b"1", [b"1", b"3"])
    assert (request.header(b"c"), list(request.values(b"c"))) == (None, [])
    assert (by_name[b"a"], body_bytes) == (b"3", 0)
