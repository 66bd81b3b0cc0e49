"""No place takes all connections, and counting them costs what they are."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.fakes import build
from tests.web.raw import GOOD, listening, say, statuses

from macroslow.authn.addresses import read_network
from macroslow.web import connection
from macroslow.web.connection import Bounds
from macroslow.web.crowd import NOWHERE, Crowd, place_of
from macroslow.web.forwarded import TrustedProxies


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.sampled_from(["a", "b", NOWHERE]))))
def test_all_are_bounded_and_each_place_to_half(moves: list[tuple[bool, int, str]]) -> None:
    crowd, inside = Crowd(10), dict[int, str]()
    for enters, who, place in moves:
        if not enters:
            crowd.leave(who)
            inside.pop(who, None)
        elif who not in inside:
            full = len(inside) >= 10 or (place != NOWHERE and list(inside.values()).count(place) >= 5)
            assert bool(crowd.enter(who, place)) == full
            if not full:
                inside[who] = place


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::1", place_of("2001:db8:1:2:ffff::2")),
        ("fe80::1%eth0", place_of("fe80::2")),
        ("127.0.0.1", NOWHERE),
        ("127.9.9.9", NOWHERE),
        ("::1", NOWHERE),
        ("::ffff:127.0.0.1", NOWHERE),
        ("", NOWHERE),
    ],
)
def test_a_place_is_an_address_or_a_network_that_one_caller_owns(address: str, place: str) -> None:
    assert place_of(address) == place
    assert place_of("2001:db8:1:2::1") != place_of("2001:db8:1:3::1")


async def heard(one: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    said = b""
    while piece := await asyncio.get_running_loop().sock_recv(one, 4096):
        said += piece
    return said


async def test_one_address_gets_its_share_others_and_proxies_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback's addresses stand for those of other machines."""
    monkeypatch.setattr(connection, "place_of", str)
    house = await build()
    bounds = Bounds(connections=8, proxies=TrustedProxies([read_network("127.0.0.3/32")]))
    listener = await listening(house.gate, bounds, house.gate.refused)

    def connect(source: str) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", listener.port), source_address=(source, 0))
        one.settimeout(0)
        return one

    greedy = [connect("127.0.0.2") for _ in range(7)]
    assert all([b" 503 " in await heard(one) for one in greedy[4:]])
    assert listener.connections == 4
    proxies = [connect("127.0.0.3") for _ in range(3)]
    assert statuses(await say(listener.port, GOOD)) == [200]
    proxies += [connect("127.0.0.3") for _ in range(2)]
    assert b" 503 " in await heard(proxies[-1])
    assert listener.connections == 8
    for one in (*greedy, *proxies):
        one.close()
    await listener.close(0)
    page = (await house.application.metrics.text(await house.application.figures())).decode()
    assert 'macroslow_refusals_total{reason="overloaded"} 4.0' in page


async def test_refusals_of_what_is_no_request_are_counted_and_summed_up_in_one_entry() -> None:
    house = await build()
    listener = await listening(house.gate, Bounds(), house.gate.refused)
    for at in range(50):
        assert statuses(await say(listener.port, b"HELO %d\r\n\r\n" % at)) == [400]
    assert statuses(await say(listener.port, b"GET /%b HTTP/1.1\r\n\r\n" % (b"x" * 9000))) == [414]
    await listener.close(0)
    page = (await house.application.metrics.text(await house.application.figures())).decode()
    assert 'macroslow_refusals_total{reason="bad-request"} 50.0' in page
    assert 'macroslow_refusals_total{reason="too-large"} 1.0' in page
    await house.security.flush(closing=True)
    noted = [(event.fields["reason"], event.fields["count"]) for event in house.books.events[-2:]]
    assert sorted(noted) == [("bad-request", 50), ("too-large", 1)]


async def test_who_may_not_connect_at_all_hears_nothing_and_is_counted() -> None:
    house = await build()
    listener = await listening(house.gate, Bounds(networks=("192.0.2.0/24",)), house.gate.refused)
    assert await say(listener.port, GOOD) == b""
    await listener.close(0)
    page = (await house.application.metrics.text(await house.application.figures())).decode()
    assert 'macroslow_refusals_total{reason="address-refused"} 1.0' in page
