"""From where a credential may be used: hostile spellings of peers and networks."""

import pytest

from macroslow.authn.addresses import is_from, neighbourhood, read_address, read_network


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        ((), "192.0.2.1", True),
        ((), "", True),
        (("10.0.0.0/8",), "10.255.0.1", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
        (("10.0.0.0/8",), "::10.0.0.1", False),
        (("::/0",), "10.0.0.1", False),
        (("0.0.0.0/0",), "::1", False),
        (("192.0.2.7",), "192.0.2.7", True),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("0.0.0.0/0", "::/0"), "", False),
        (("0.0.0.0/0", "::/0"), "local", False),
        (("0.0.0.0/0",), "010.0.0.1", False),
        (("0.0.0.0/0",), "10.0.0.1 ", False),
        (("0.0.0.0/0",), "167772161", False),
    ],
)
def test_a_peer_is_in_a_network_or_refused(networks: tuple[str, ...], address: str, allowed: bool) -> None:
    assert is_from(networks, address) is allowed


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0.1/8", "10.0.0.0/33", "::ffff:10.0.0.0/104", "example.org", "10/8", "1.2.3.4/-1", "none"],
)
def test_what_is_no_network_is_said_so(text: str) -> None:
    with pytest.raises(ValueError):
        read_network(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10.0.0.7/8", "10.0.0.7/8 names a host: did you mean 10.0.0.0/8, or 10.0.0.7 alone?"),
        ("2001:db8::7/32", "2001:db8::7/32 names a host: did you mean 2001:db8::/32, or 2001:db8::7 alone?"),
        ("home", "'home' is no network such as 192.0.2.0/24 or 2001:db8::/32"),
        ("msk_0123456789ab_cd", "'msk…' is no network such as 192.0.2.0/24 or 2001:db8::/32"),
    ],
)
def test_what_is_wrong_with_a_network_is_said_in_words_and_without_a_key(text: str, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_network(text)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
    ],
)
def test_an_address_stands_for_all_that_its_caller_may_have(one: str, other: str, same: bool) -> None:
    found = [neighbourhood(read) for text in (one, other) if (read := read_address(text)) is not None]
    assert (found[0] == found[1]) is same
