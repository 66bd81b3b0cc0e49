"""Keys of an issuer over real sockets: hostile answers, an issuer that is away, how often it is asked."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from tests.authn.jwt.tokens import ec_key, ed_key, jwk, jwks
from tests.services.key_house import SetClock

from macroslow.adapters.jwks import fetch as fetching
from macroslow.adapters.jwks.fetch import fetch, fresh_for_s
from macroslow.adapters.jwks.fetched_keys import KEEP_S, RENEW_EVERY_S, FetchedKeys
from macroslow.authn.jwt.keys import EMPTY, MAX_SET_BYTES
from macroslow.errors import UpstreamUnavailableError
from macroslow.ports import NS_PER_S

OLD = jwks(jwk(ed_key(), "old"))
NEW = jwks(jwk(ed_key("second"), "new"))


@dataclass
class Issuer:
    """An issuer whose answers are set by hand. `gate` holds them back until it is set."""

    url: str = ""
    body: bytes = OLD
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def down(self) -> None:
        self.status = 503


@dataclass
class House:
    issuer: Issuer
    clock: SetClock
    source: FetchedKeys
    session: aiohttp.ClientSession

    def later(self, seconds: float) -> None:
        self.clock.time_ns += int(seconds * NS_PER_S)

    def names(self) -> set[str]:
        return {kid for kid, _ in self.source.keys.keys}


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    issuer = Issuer()
    issuer.gate.set()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        issuer.asked.append(request.path)
        await issuer.gate.wait()
        return web.Response(status=issuer.status, headers=issuer.headers, body=issuer.body)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    clock = SetClock()
    async with aiohttp.ClientSession() as session:
        try:
            yield House(issuer, clock, FetchedKeys("main", issuer.url, session, clock), session)
        finally:
            issuer.gate.set()
            await runner.cleanup()


async def test_a_thousand_callers_with_unknown_keys_cause_one_fetch() -> None:
    async with house() as at:
        at.issuer.gate.clear()
        callers = [asyncio.create_task(at.source.renew()) for _ in range(1000)]
        await asyncio.sleep(0)
        at.issuer.gate.set()
        await asyncio.gather(*callers)
        await at.source.renew()
        assert len(at.issuer.asked) == 1
        at.later(RENEW_EVERY_S - 1)
        await at.source.renew()
        assert len(at.issuer.asked) == 1
        at.later(1)
        await at.source.renew()
        assert len(at.issuer.asked) == 2


async def test_rotated_keys_take_the_place_of_the_old_ones() -> None:
    async with house() as at:
        await at.source.renew()
        assert at.names() == {"old"}
        at.issuer.body = NEW
        at.later(RENEW_EVERY_S)
        await at.source.renew()
        assert at.names() == {"new"}


async def test_the_same_keys_stay_the_same_object() -> None:
    async with house() as at:
        await at.source.renew()
        before = at.source.keys
        at.later(RENEW_EVERY_S)
        await at.source.renew()
        assert at.source.keys is before


async def test_an_issuer_that_is_away_keeps_its_keys_for_a_day_and_then_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with house() as at:
        await at.source.renew()
        at.issuer.down()
        with caplog.at_level(logging.WARNING):
            for _ in range(5):
                at.later(KEEP_S / 5)
                await at.source.renew()
        assert at.names() == {"old"}
        assert len(caplog.records) == 1
        at.later(1)
        assert at.source.keys is EMPTY
        at.issuer.status = 200
        at.later(RENEW_EVERY_S)
        await at.source.renew()
        assert at.names() == {"old"}


async def test_before_anything_came_there_are_no_keys_and_nothing_is_raised() -> None:
    async with house() as at:
        at.issuer.down()
        assert at.source.keys is EMPTY
        await at.source.renew()
        assert at.source.keys is EMPTY
        assert at.source.wait_s() == RENEW_EVERY_S


async def test_a_caller_who_leaves_does_not_end_the_fetch_of_the_others() -> None:
    async with house() as at:
        at.issuer.gate.clear()
        first = asyncio.create_task(at.source.renew())
        second = asyncio.create_task(at.source.renew())
        while not at.issuer.asked:
            await asyncio.sleep(0.001)
        first.cancel()
        at.issuer.gate.set()
        await second
        assert at.names() == {"old"}


HOSTILE = {
    "a thousand keys": jwks(*({**jwk(ec_key()), "kid": str(n)} for n in range(1000))),
    "too large": b" " * (MAX_SET_BYTES + 1),
    "no JSON": b"<html>",
    "no set": b"{}",
    "a member twice": b'{"keys":[],"keys":[]}',
    "deep": b'{"keys":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_set_is_refused_as_a_whole_and_the_old_one_stays(name: str) -> None:
    async with house() as at:
        await at.source.renew()
        before = at.source.keys
        at.issuer.body = HOSTILE[name]
        at.later(RENEW_EVERY_S)
        await at.source.renew()
        assert len(at.issuer.asked) == 2
        assert at.source.keys is before


async def test_a_redirect_is_not_followed() -> None:
    async with house() as at:
        at.issuer.status, at.issuer.headers = 302, {"location": "/elsewhere"}
        with pytest.raises(UpstreamUnavailableError) as caught:
            await fetch(at.session, at.issuer.url)
        assert caught.value.reason == "status 302"
        assert at.issuer.asked == ["/keys"]


async def test_an_answer_that_never_ends_is_cut_off() -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        sent = 0
        while sent < 20 * MAX_SET_BYTES:
            await answer.write(b" " * 65536)
            sent += 65536
        pytest.fail("all of it was taken")

    runner = web.ServerRunner(web.Server(endless))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(UpstreamUnavailableError, match="no keys") as caught:
                await fetch(session, f"http://127.0.0.1:{runner.addresses[0][1]}/")
            assert "more than" in caught.value.reason
    finally:
        await runner.cleanup()


async def test_nobody_there_is_said_without_the_url() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UpstreamUnavailableError) as caught:
            await fetch(session, "http://127.0.0.1:1/secret-path")
    assert "secret-path" not in caught.value.reason + caught.value.detail
    assert caught.value.reason == "nobody answers there"


async def test_whoever_speaks_no_tls_is_said_so() -> None:
    async with house() as at:
        with pytest.raises(UpstreamUnavailableError) as caught:
            await fetch(at.session, at.issuer.url.replace("http:", "https:"))
    assert caught.value.reason == "no TLS with it, or none that can be trusted"


async def test_a_silent_issuer_is_waited_for_no_longer_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", aiohttp.ClientTimeout(total=0.01))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel connects, and nobody reads
        async with aiohttp.ClientSession() as session:
            with pytest.raises(UpstreamUnavailableError) as caught:
                await fetch(session, f"http://127.0.0.1:{silent.getsockname()[1]}/")
    assert caught.value.reason == "no whole answer in 0.01 s"


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("", 3600),
        ("public, max-age=7200, must-revalidate", 7200),
        ("max-age=0", 300),
        ("max-age=1", 300),
        ("MAX-AGE=600", 600),
        ('max-age="600"', 600),
        ("max-age=999999999", 86400),
        ("max-age=99999999999999999999", 3600),
        ("max-age=-5", 3600),
        ("s-maxage=10", 3600),
        ("no-store", 300),
        ("no-cache, max-age=7200", 300),
    ],
)
def test_how_long_a_set_counts_as_fresh_is_bounded_both_ways(cache_control: str, seconds: int) -> None:
    assert fresh_for_s(cache_control) == seconds


async def test_the_background_asks_again_before_the_time_is_over() -> None:
    async with house() as at:
        at.issuer.headers = {"cache-control": "max-age=1000"}
        running = asyncio.create_task(at.source.run())
        while not at.names():
            await asyncio.sleep(0.001)
        assert at.source.wait_s() == pytest.approx(900)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
