"""A provider's reports: all pages of them, or an error."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import orjson
import pytest
from tests.outbound.raw import Peer, serving

from macroslow.adapters.model_api import UsageAPI, usage_client
from macroslow.errors import ConfigurationError, UpstreamRefusedError, UpstreamUnavailableError
from macroslow.inference.dialect import Dialect
from macroslow.secretstore.secret import Secret

KEY = "sk-admin-canary-0123456789"
Pages = Callable[[dict[str, list[str]]], object]


@asynccontextmanager
async def reporting(
    pages: Pages, *, status: int = 200, dialect: Dialect = Dialect.OPENAI
) -> AsyncIterator[tuple[UsageAPI, list[bytes]]]:
    """A provider that answers a query with `pages(query)`, and the heads of what it was asked."""
    heads: list[bytes] = []

    async def talk(peer: Peer) -> None:
        while True:
            heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
            target = heads[-1].split(b" ")[1].decode()
            page = pages(parse_qs(target.partition("?")[2]))
            body = page if isinstance(page, bytes) else orjson.dumps(page)
            await peer.say(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

    async with serving(talk) as server:
        api = UsageAPI("up", f"http://127.0.0.1:{server.port}/v1", Secret(KEY), dialect=dialect)
        yield api, heads
        await api.close()


def in_pages(count: int) -> Pages:
    """Pages 0 to `count` - 1, one row on each."""

    def page(query: dict[str, list[str]]) -> object:
        number = int(query.get("page", ["0"])[0])
        more = number + 1 < count
        return {"data": [number], "has_more": more, "next_page": str(number + 1) if more else None}

    return page


@pytest.mark.parametrize(
    ("dialect", "credential"),
    [(Dialect.OPENAI, "Authorization: Bearer "), (Dialect.ANTHROPIC, "x-api-key: ")],
)
async def test_a_report_is_asked_for_with_the_admin_key(dialect, credential):
    async with reporting(lambda query: query, dialect=dialect) as (api, heads):
        query = {"start_time": 1730419200, "group_by[]": ["model", "api key"], "bucket_width": "1d"}
        got = await api.get_json("/organization/usage/completions", query, deadline_s=5)
    assert got == {"start_time": ["1730419200"], "group_by[]": ["model", "api key"], "bucket_width": ["1d"]}
    assert heads[0].startswith(
        b"GET /v1/organization/usage/completions?start_time=1730419200&group_by%5B%5D="
    )
    assert f"{credential}{KEY}\r\n".encode() in heads[0]
    assert (b"anthropic-version: 2023-06-01\r\n" in heads[0]) == (dialect == Dialect.ANTHROPIC)
    assert b"content-length" not in heads[0].lower()


async def test_a_query_can_be_empty():
    async with reporting(lambda _: []) as (api, heads):
        assert await api.get_json("/organization/costs", {}, deadline_s=5) == []
    assert heads[0].startswith(b"GET /v1/organization/costs HTTP/1.1\r\n")


@pytest.mark.parametrize("value", ["a\r\nX: y", "a b", "ä&=?#", "\x00"])
async def test_whatever_is_asked_stays_within_the_query(value):
    async with reporting(lambda query: query) as (api, heads):
        assert await api.get_json("/organization/costs", {"q": value}, deadline_s=5) == {"q": [value]}
    assert heads[0].count(b"\r\n") == 7


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_pages_are_followed_to_the_last(count):
    async with reporting(in_pages(count)) as (api, heads):
        assert await api.get_pages("/organization/costs", {"limit": 1}, deadline_s=5) == list(range(count))
    assert len(heads) == count
    assert all(b"limit=1" in head for head in heads)


async def test_pages_without_an_end_are_an_error(monkeypatch):
    monkeypatch.setattr(usage_client, "MAX_PAGES", 7)
    async with reporting(in_pages(10**9)) as (api, heads):
        with pytest.raises(UpstreamUnavailableError, match="too many pages"):
            await api.get_pages("/organization/costs", {}, deadline_s=5)
    assert len(heads) == 7


@pytest.mark.parametrize(
    "page",
    [
        [],
        {},
        {"data": {}},
        {"data": None, "has_more": False},
        {"data": [], "has_more": True},
        {"data": [], "has_more": True, "next_page": None},
        {"data": [], "has_more": True, "next_page": 7},
        {"data": [1], "has_more": True, "next_page": "same"},
    ],
)
async def test_a_page_that_leads_nowhere_is_an_error_and_no_half_report(page):
    async with reporting(lambda _: page) as (api, _):
        with pytest.raises(UpstreamUnavailableError, match="cannot be read"):
            await api.get_pages("/organization/costs", {}, deadline_s=5)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff", b"[" * 100_000])
async def test_what_is_no_json_is_an_error(body):
    async with reporting(lambda _: body) as (api, _):
        with pytest.raises(UpstreamUnavailableError, match="cannot be read"):
            await api.get_json("/organization/costs", {}, deadline_s=5)


async def test_a_page_above_the_bound_is_an_error():
    async with reporting(lambda _: b" " * (usage_client.MAX_PAGE_BYTES + 1)) as (api, _):
        with pytest.raises(UpstreamUnavailableError, match="more than"):
            await api.get_json("/organization/costs", {}, deadline_s=20)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UpstreamRefusedError),
        (403, UpstreamRefusedError),
        (302, UpstreamRefusedError),
        (204, UpstreamUnavailableError),
        (404, UpstreamRefusedError),
        (429, UpstreamRefusedError),
        (500, UpstreamUnavailableError),
    ],
)
async def test_every_other_status_is_an_error_that_quotes_nothing(status, kind):
    quoting = f'{{"error":"{KEY}"}}'.encode() if status != 204 else b""
    async with reporting(lambda _: quoting, status=status) as (api, _):
        with pytest.raises(kind) as caught:
            await api.get_json("/organization/costs", {}, deadline_s=5)
    if isinstance(caught.value, UpstreamRefusedError):
        assert caught.value.status == status
    assert "canary" not in repr(caught.value) + str(vars(caught.value))


async def test_nobody_there_and_no_time_left_are_errors():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    api = UsageAPI("up", f"http://127.0.0.1:{port}", Secret(KEY), setting="usage_url")
    with pytest.raises(UpstreamUnavailableError, match="cannot be reached") as caught:
        await api.get_json("/organization/costs", {}, deadline_s=5)
    assert (
        caught.value.reason == f"http://127.0.0.1:{port}: connection refused; see usage_url of providers.up"
    )
    async with reporting(in_pages(3)) as (slow, _):
        with pytest.raises(UpstreamUnavailableError):
            await slow.get_pages("/organization/costs", {}, deadline_s=0)
    await api.close()


async def test_the_deadline_is_for_all_pages_together():
    def endless(query: dict[str, list[str]]) -> object:
        return {"data": [], "has_more": True, "next_page": query.get("page", [""])[0] + "x"}

    async with reporting(endless) as (api, _):
        with pytest.raises(UpstreamUnavailableError):
            await asyncio.wait_for(api.get_pages("/organization/costs", {}, deadline_s=0.05), 5)


def test_a_provider_that_cannot_be_asked_is_refused():
    with pytest.raises(ConfigurationError):
        UsageAPI("up", "ftp://host", Secret(KEY))
