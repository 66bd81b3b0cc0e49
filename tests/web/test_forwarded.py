"""Forwarding headers: only a trusted proxy's, only as far back as trust reaches."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.authn.addresses import read_network
from macroslow.web.forwarded import MAX_HOPS, Origin, TrustedProxies

PROXIES = TrustedProxies([read_network("10.0.0.0/8"), read_network("2001:db8:1::/48")])
PEER = "10.0.0.1"


def origin(*values: str, proto: str | None = None) -> Origin:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in values]
    if proto is not None:
        headers.append((b"x-forwarded-proto", proto.encode()))
    return PROXIES.origin(PEER, headers)


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ((), PEER),
        (("",), PEER),
        (("192.0.2.1",), "192.0.2.1"),
        (("192.0.2.1:50000",), "192.0.2.1"),
        (("[2001:db8::7]:443",), "2001:db8::7"),
        (("2001:db8::7",), "2001:db8::7"),
        (("::ffff:192.0.2.1",), "192.0.2.1"),
        (("198.51.100.9, 192.0.2.1",), "192.0.2.1"),
        (("198.51.100.9", "192.0.2.1"), "192.0.2.1"),
        (("192.0.2.1, 10.1.1.1, 2001:db8:1::5",), "192.0.2.1"),
        (("10.2.2.2, 10.1.1.1",), "10.2.2.2"),
        (("192.0.2.1, nonsense",), PEER),
        (("192.0.2.1, nonsense, 10.1.1.1",), "10.1.1.1"),
        (("unknown",), PEER),
        (("192.0.2.1, ",), PEER),
        (("192.0.2.1\t",), "192.0.2.1"),
        (("127.0.0.1",), "127.0.0.1"),
        (("\xff",), PEER),
    ],
)
def test_the_last_address_that_is_no_proxy_is_the_callers(values, address):
    assert origin(*values).address == address


def test_what_the_caller_wrote_before_it_is_never_read():
    for forged in ("10.9.9.9", "127.0.0.1", "x" * 10_000, "1.2.3.4, 5.6.7.8"):
        assert origin(f"{forged}, 192.0.2.1").address == "192.0.2.1"


@given(st.lists(st.sampled_from(["10.1.1.1", "192.0.2.1", "junk", "", "2001:db8:1::1"]), max_size=50))
def test_the_answer_is_always_an_address(hops):
    found = origin(",".join(hops)).address
    assert str(ip_address(found)) == found


def test_a_long_list_costs_no_more_than_its_end():
    assert origin("192.0.2.1, " + ", ".join(["10.0.0.2"] * MAX_HOPS)).address == "10.0.0.2"


@pytest.mark.parametrize(
    ("proto", "https"),
    [
        (None, False),
        ("https", True),
        ("HTTPS", True),
        ("http", False),
        ("https, http", False),
        ("http, https", True),
    ],
)
def test_the_nearest_proxy_says_whether_it_was_encrypted(proto, https):
    assert origin("192.0.2.1", proto=proto).https is https


def test_nobody_is_trusted_unless_named():
    assert not TrustedProxies().trusts("127.0.0.1")
    assert PROXIES.trusts("10.255.0.1")
    assert PROXIES.trusts("::ffff:10.0.0.1")
    assert not PROXIES.trusts("192.0.2.1")
    assert not PROXIES.trusts("")
