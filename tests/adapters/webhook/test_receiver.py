"""A receiver over real sockets: what it gets verifies, and nothing it answers does harm."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from tests.services.key_house import SetClock

from macroslow.adapters.webhook import WebhookReceiver, signature
from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError

KEY = b"k" * 32
BODY = '{"type":"budget.reached","data":{"budget":"team/ü"}}'.encode()


@dataclass
class House:
    """A receiver's side, whose answers are set by hand."""

    receiver: WebhookReceiver
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    async def handle(request: web.Request) -> web.Response:
        opened.got.append(
            ({name.lower(): value for name, value in request.headers.items()}, await request.read())
        )
        return web.Response(status=opened.status, headers=opened.headers, body=b"x" * 100_000)

    server = web.Server(handle)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as session:
        opened = House(
            WebhookReceiver(f"http://127.0.0.1:{port}/hook/s3cret-path?a=b", KEY, session, SetClock())
        )
        try:
            yield opened
        finally:
            await runner.cleanup()


async def test_what_is_delivered_verifies() -> None:
    async with house() as opened:
        await opened.receiver.post("alert_1", BODY)
        ((headers, body),) = opened.got
    assert body == BODY
    assert headers["content-type"] == "application/json"
    sent_s = int(headers["webhook-timestamp"])
    assert headers["webhook-id"] == "alert_1"
    assert headers["webhook-signature"] == signature(KEY, "alert_1", sent_s, body)
    assert "authorization" not in headers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_taken(status: int) -> None:
    async with house() as opened:
        opened.status = status
        await opened.receiver.post("alert_1", BODY)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 429, 500, 503])
async def test_every_other_answer_is_a_failure_and_a_redirect_is_not_followed(status: int) -> None:
    async with house() as opened:
        opened.status = status
        opened.headers = {"location": "/elsewhere"}
        with pytest.raises(UpstreamUnavailableError) as refused:
            await opened.receiver.post("alert_1", BODY)
        assert len(opened.got) == 1
    assert "s3cret-path" not in f"{refused.value!r}{refused.value.detail}{opened.receiver!r}"
    assert opened.receiver.name == "127.0.0.1"


async def test_gone_means_never_again() -> None:
    async with house() as opened:
        opened.status = 410
        with pytest.raises(UpstreamRefusedError):
            await opened.receiver.post("alert_1", BODY)


async def test_nobody_there_is_a_failure_that_does_not_tell_the_url() -> None:
    async with house() as opened:
        receiver = opened.receiver
        await receiver.post("alert_1", BODY)
    async with aiohttp.ClientSession() as session:
        gone = WebhookReceiver(receiver.url, KEY, session, SetClock())
        with pytest.raises(UpstreamUnavailableError) as refused:
            await gone.post("alert_1", BODY)
    assert "s3cret-path" not in f"{refused.value!r}{refused.value.detail}"


async def test_who_hangs_up_without_an_answer_is_a_failure() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, aiohttp.ClientSession() as session:
        port = server.sockets[0].getsockname()[1]
        receiver = WebhookReceiver(f"http://127.0.0.1:{port}/", KEY, session, SetClock())
        with pytest.raises(UpstreamUnavailableError):
            await receiver.post("alert_1", BODY)
