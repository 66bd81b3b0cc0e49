"""Requests with an idempotency key: done once, whoever hangs up, and the answer kept."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.contract.fake_books import FakeBooks
from tests.web.fakes import FakeClock, House, build, call

from macroslow.errors import BudgetExhaustedError, LogUnavailableError, UpstreamUnavailableError
from macroslow.metering.ledger import Usage
from macroslow.services.answer_once import MAX_KEPT_BYTES, AnswerOnce
from macroslow.services.settle_call import ModelAnswer, ModelStream

CHAT = "/v1/chat/completions"
BODY = b'{"model":"gpt-4o"}'


class Provider:
    """Answers in turn, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.hold: asyncio.Event | None = None
        self.error: Exception | None = None
        self.refusal: int | None = None
        self.chunks: list[bytes] | None = None
        self.read = 0

    async def __call__(self, *_: object, **__: object) -> ModelAnswer | ModelStream:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        headers = {"content-type": "application/json", "x-macroslow-cost-usd": "0.000001"}
        if self.refusal is not None:
            return ModelAnswer(self.refusal, headers, b"{}", Usage(0, 0, 0), 0, nothing_done=True)
        if self.chunks is not None:
            return ModelStream(headers, self._stream(self.chunks))
        return ModelAnswer(200, headers, b'{"n":%d}' % self.asked, Usage(1, 1, 1), 0)

    async def _stream(self, chunks: list[bytes]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            await asyncio.sleep(0)
            self.read += 1
            yield chunk


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def house(provider: Provider) -> AsyncIterator[House]:
    once = AnswerOnce(FakeBooks(), FakeClock())
    built = await build(call_model=provider, answer_once=once)
    yield built
    await once.close()


def headers(house: House, key: str = "k-1", caller: str = "") -> list[tuple[bytes, bytes]]:
    return [
        (b"authorization", f"Bearer {caller or house.key}".encode()),
        (b"content-type", b"application/json"),
        (b"host", b"127.0.0.1:8000"),
        (b"idempotency-key", key.encode("latin-1")),
    ]


async def ask(house: House, body: bytes = BODY, key: str = "k-1", caller: str = "", path: str = CHAT) -> Any:
    sent = [*headers(house, key, caller), (b"content-length", b"%d" % len(body))]
    return await call(house.gate, "POST", path, sent, body)


async def test_the_same_request_again_gets_the_same_answer_and_asks_nobody(house, provider):
    first, second = await ask(house), await ask(house)
    assert (first.status, first.body) == (second.status, second.body) == (200, b'{"n":1}')
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert second.headers["x-macroslow-cost-usd"] == "0.000001"
    assert provider.asked == 1


async def test_without_a_key_every_request_is_its_own(house, provider):
    for _ in range(2):
        sent = [*headers(house)[:3], (b"content-length", b"%d" % len(BODY))]
        assert (await call(house.gate, "POST", CHAT, sent, BODY)).status == 200
    assert provider.asked == 2


async def test_another_request_under_the_same_key_is_refused(house, provider):
    await ask(house)
    for body, path in ((b'{"model":"x"}', CHAT), (BODY, "/v1/responses")):
        again = await ask(house, body, path=path)
        assert (again.status, again.json["error"]["code"]) == (422, "key-reused")
    assert provider.asked == 1


async def test_keys_of_one_caller_mean_nothing_to_another(house, provider):
    await ask(house)
    assert (await ask(house, caller=house.other_key)).body == b'{"n":2}'


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\x7f", "\xe9"], ids=repr)
async def test_what_is_no_key_is_refused(key, house, provider):
    assert (await ask(house, key=key)).status == 400
    assert not provider.asked


async def test_two_at_once_are_one_call_and_a_conflict(house, provider):
    provider.hold = asyncio.Event()
    first = asyncio.create_task(ask(house))
    while not provider.asked:
        await asyncio.sleep(0)
    assert (await ask(house)).status == 409
    provider.hold.set()
    assert (await first).status == 200
    assert provider.asked == 1


async def test_a_refusal_gives_the_key_back(house, provider):
    provider.error = BudgetExhaustedError(
        "no", budget="b", limit_usd_micros=1, spent_usd_micros=1, held_usd_micros=0, needed_usd_micros=1
    )
    assert (await ask(house)).status == 402
    provider.error = None
    assert (await ask(house)).status == 200


@pytest.mark.parametrize("status", [400, 429, 503])
async def test_a_refusal_of_the_provider_gives_the_key_back(status, house, provider):
    provider.refusal = status
    assert (await ask(house)).status == status
    provider.refusal = None
    assert (await ask(house)).status == 200


async def test_what_could_not_be_recorded_may_have_been_done(house, provider):
    provider.error = LogUnavailableError("the disk is full")
    assert (await ask(house)).status == 503
    provider.error = None
    assert (await ask(house)).status == 409
    assert provider.asked == 1


async def test_an_unknown_outcome_is_never_tried_again_under_its_key(house, provider):
    provider.error = UpstreamUnavailableError("broke off", upstream="openai")
    assert (await ask(house)).status == 502
    provider.error = None
    assert (await ask(house)).status == 409
    assert provider.asked == 1


async def test_an_upstream_that_did_nothing_gives_the_key_back(house, provider):
    provider.error = UpstreamUnavailableError("not reached", upstream="openai", nothing_done=True)
    assert (await ask(house)).status == 502
    provider.error = None
    assert (await ask(house)).status == 200


async def test_who_hangs_up_finds_the_answer_when_he_comes_back(house, provider):
    provider.hold = asyncio.Event()
    left = asyncio.create_task(ask(house))
    while not provider.asked:
        await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait({left})
    provider.hold.set()
    while (again := await ask(house)).status == 409:
        await asyncio.sleep(0)
    assert again.body == b'{"n":1}'
    assert provider.asked == 1


async def test_a_stream_is_kept_whole_and_told_again(house, provider):
    provider.chunks = [b"data: a\n\n", b"data: b\n\n", b"data: [DONE]\n\n"]
    first = await ask(house)
    while (second := await ask(house)).status == 409:  # kept a moment after its last byte
        await asyncio.sleep(0)
    assert first.body == second.body == b"".join(provider.chunks)
    assert provider.asked == 1


async def test_a_stream_that_nobody_reads_any_more_is_read_to_its_end(house, provider):
    provider.chunks = [b"data: %d\n\n" % n for n in range(200)]
    received: list[bytes] = []
    gone = asyncio.Event()

    async def receive() -> dict[str, object]:
        if not received:
            received.append(BODY)
            return {"type": "http.request", "body": BODY, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message.get("body"):
            gone.set()
            await asyncio.sleep(0.01)

    scope = {
        "type": "http",
        "method": "POST",
        "path": CHAT,
        "raw_path": CHAT.encode(),
        "query_string": b"",
        "headers": [*headers(house), (b"content-length", b"%d" % len(BODY))],
        "client": ("127.0.0.1", 1),
        "state": {},
    }
    await house.gate(scope, receive, send)
    while (again := await ask(house)).status == 409:
        await asyncio.sleep(0)
    assert again.body == b"".join(provider.chunks)
    assert provider.read == 200


async def test_an_answer_too_long_to_keep_is_a_conflict_and_not_a_second_call(house, provider):
    provider.chunks = [b"x" * (MAX_KEPT_BYTES // 2), b"y" * (MAX_KEPT_BYTES // 2), b"z"]
    assert len((await ask(house)).body) == MAX_KEPT_BYTES + 1
    assert (await ask(house)).status == 409
    assert provider.asked == 1
