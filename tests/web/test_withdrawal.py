"""A credential that ends takes everything with it that goes on under it: streams, waiting, slow bodies."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from tests.web.fakes import Answer, House, build, call

from macroslow.authn.refusal import BAD_DETAIL, BAD_FIX
from macroslow.services.calls.call_model import ModelAnswer, ModelStream
from macroslow.services.identity.withdraw_ended import WithdrawEnded
from macroslow.web.messages import Message

CHAT = "/v1/chat/completions"
End = Callable[[House, str], Awaitable[object]]


class Endless:
    """Use cases that never end by themselves, and say how often they were given up."""

    def __init__(self) -> None:
        self.working = asyncio.Event()
        self.given_up = 0

    async def forever(self, *_: object, **__: object) -> ModelAnswer:
        self.working.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        raise AssertionError

    async def stream(self, *_: object, **__: object) -> ModelStream:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await self.forever()

        return ModelStream({"content-type": "text/event-stream"}, chunks())  # type: ignore[arg-type]

    async def mounted(self, *_: object) -> None:
        await self.forever()


@pytest.fixture
def endless() -> Endless:
    return Endless()


@asynccontextmanager
async def watched(house: House) -> AsyncIterator[House]:
    holders = (house.gate.withdraw, house.application.answer_once.withdraw)
    watching = asyncio.create_task(WithdrawEnded(house.authenticate.admits, holders).run(every_s=0.005))
    try:
        async with asyncio.timeout(20):
            yield house
    finally:
        watching.cancel()
        await asyncio.wait({watching})


async def revoke(house: House, key_id: str) -> object:
    return await house.keys.revoke(key_id)


async def rotate(house: House, key_id: str) -> object:
    return await house.keys.rotate(key_id)


async def expire(house: House, _: str) -> None:
    house.clock.pass_s(100)


async def end_overlap(house: House, key_id: str) -> None:
    await house.keys.rotate(key_id, 10**9)
    house.clock.pass_s(2)


async def replace_elsewhere(house: House, key_id: str) -> None:
    """Another process revokes, and this one reads the keys again."""
    other = await build()
    other.keys._books = house.books  # type: ignore[assignment]
    await other.keys.load()
    await other.keys.revoke(key_id)
    await house.keys.load()


async def asked(house: House, endless: Endless, path: str, end: End, **request: object) -> Answer:
    """What a request gets whose key ends while it is under way."""
    key = await house.new_key("alice", expires_ns=house.clock.ns + 50 * 10**9)
    async with watched(house):
        asking = asyncio.create_task(house.ask("POST", path, key=key, body=b"{}", **request))  # type: ignore[arg-type]
        await endless.working.wait()
        await end(house, key[4:16])
        return await asking


@pytest.mark.parametrize("end", [revoke, rotate, expire, end_overlap, replace_elsewhere])
async def test_a_call_whose_key_ends_is_given_up_and_refused(endless: Endless, end: End) -> None:
    house = await build(call_model=endless.forever)
    answer = await asked(house, endless, CHAT, end)
    assert (answer.status, answer.json["error"]["type"]) == (401, "authentication_error")
    assert endless.given_up == 1
    await house.security.flush()
    assert house.books.events[-1].fields["reason"] == "credential-withdrawn"


async def test_only_what_came_with_the_key_ends(endless: Endless) -> None:
    house = await build(call_model=endless.stream)
    spared = await house.new_key("alice")
    staying = asyncio.create_task(house.ask("POST", CHAT, key=spared, body=b"{}"))
    await endless.working.wait()
    endless.working.clear()
    await asked(house, endless, CHAT, revoke)
    assert endless.given_up == 1
    assert not staying.done()
    staying.cancel()
    await asyncio.wait({staying})


@pytest.mark.parametrize(
    ("path", "event", "told"),
    [
        (CHAT, b"data: ", lambda told: told["error"]["type"]),
        ("/v1/responses", b"event: error\ndata: ", lambda told: told["type"] == "error" and told["message"]),
        (
            "/v1/messages",
            b"event: error\ndata: ",
            lambda told: told["type"] == "error" and told["error"]["type"],
        ),
    ],
)
async def test_a_stream_ends_with_an_error_in_the_words_of_its_api_and_is_cut_off(
    endless: Endless, path: str, event: bytes, told: Callable[[dict[str, object]], object]
) -> None:
    house = await build(call_model=endless.stream)
    answer = await asked(house, endless, path, revoke)
    first, last = answer.chunks  # no empty last piece: the server cuts it off
    assert (answer.status, first) == (200, b"data: 1\n\n")
    assert last.startswith(event)
    assert last.endswith(b"\n\n")
    assert told(json.loads(last.removeprefix(event))) in {
        "authentication_error",
        f"{BAD_DETAIL} ({BAD_FIX})",
    }
    assert endless.given_up == 1


async def test_a_mounted_application_is_given_up_too(endless: Endless) -> None:
    house = await build(mcp=endless.mounted)
    answer = await asked(house, endless, "/mcp", revoke)
    assert (answer.status, answer.json["jsonrpc"]) == (401, "2.0")
    assert endless.given_up == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_work_that_goes_on_without_its_caller_ends_as_well(endless: Endless, streamed: bool) -> None:
    """With an Idempotency-Key a hang-up ends nothing; the end of the key does."""
    house = await build(call_model=endless.stream if streamed else endless.forever)

    class Books:
        async def commit(self, *_: object) -> list[object]:
            return []

    object.__setattr__(house.application.answer_once, "books", Books())
    answer = await asked(house, endless, CHAT, revoke, headers=[("idempotency-key", "one")])
    assert answer.status == (200 if streamed else 401)
    while house.application.answer_once._going:
        await asyncio.sleep(0)
    assert endless.given_up == 1


async def test_a_body_that_is_still_on_its_way_is_waited_for_no_longer(house: House) -> None:
    sending = asyncio.Event()

    async def receive() -> Message:
        sending.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    key = await house.new_key("alice")
    headers = [
        (b"host", b"localhost"), (b"x-api-key", key.encode()), (b"content-type", b"application/json"),
        (b"content-length", b"2"), (b"expect", b"100-continue"),
    ]  # fmt: skip
    async with watched(house):
        asking = asyncio.create_task(call(house.gate, "POST", CHAT, headers, receive=receive))
        await sending.wait()
        await house.keys.revoke(key[4:16])
        assert (await asking).status == 401


async def test_who_does_not_read_the_last_event_is_left(endless: Endless, house: House) -> None:
    house = await build(call_model=endless.stream)
    key = await house.new_key("alice")
    messages: list[Message] = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.get_running_loop().create_future()
        return messages.pop(0)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            endless.working.set()
            await asyncio.get_running_loop().create_future()

    headers = [
        (b"host", b"localhost"), (b"x-api-key", key.encode()), (b"content-type", b"application/json"),
        (b"content-length", b"2"),
    ]  # fmt: skip
    scope = {
        "type": "http", "method": "POST", "raw_path": CHAT.encode(), "query_string": b"", "headers": headers,
        "client": None, "state": {},
    }  # fmt: skip
    async with watched(house):
        asking = asyncio.create_task(house.gate(scope, receive, send))
        await endless.working.wait()
        await house.keys.revoke(key[4:16])
        await asking
    assert not house.gate._doorkeeper._present._visits


@pytest.fixture
async def house() -> House:
    return await build()
