"""Requests with an idempotency key: done once, whoever hangs up, and the answer kept."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from tests.contract.fake_books import FakeBooks
from tests.web.fakes import FakeClock, House, build, call

from macroslow.errors import (
    BudgetExhaustedError,
    LogUnavailableError,
    OverloadedError,
    UpstreamUnavailableError,
)
from macroslow.limits.byte_budget import ByteBudget, Ration
from macroslow.metering.ledger import Usage
from macroslow.services.calls import answer_once
from macroslow.services.calls.answer_once import MAX_KEPT_BYTES, AnswerOnce
from macroslow.services.calls.settle_call import ModelAnswer, ModelStream

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

    async def _stream(self, chunks: list[bytes]) -> AsyncGenerator[bytes, None]:
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


async def leave(house: House, provider: Provider, body: bytes, key: str, caller: str = "") -> None:
    """Ask, and hang up as soon as the provider was asked."""
    asked = provider.asked
    left = asyncio.create_task(ask(house, body, key, caller))
    while provider.asked == asked:
        await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait({left})


@pytest.fixture
def small_room(monkeypatch) -> None:
    """Room for two bodies of one principal and for three in all."""
    monkeypatch.setattr(answer_once, "UNDER_WAY_SHARE_BYTES", 2 * len(BODY))
    monkeypatch.setattr(answer_once, "UNDER_WAY_BYTES", 3 * len(BODY))
    monkeypatch.setattr(answer_once, "UNDER_WAY_EACH_BYTES", 0)


async def test_bodies_whose_callers_left_count_until_their_work_is_over(small_room, house, provider):
    provider.hold = asyncio.Event()
    for key in ("k-1", "k-2"):
        await leave(house, provider, BODY, key)
    refused = await ask(house, key="k-3")
    assert (refused.status, refused.json["error"]["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    await leave(house, provider, BODY, "k-1", house.other_key)  # another principal has his own share
    assert (await ask(house, key="k-2", caller=house.other_key)).status == 503  # but there is no more in all
    assert provider.asked == 3
    provider.hold.set()
    while (again := await ask(house, key="k-3")).status == 503:  # its key was not taken
        await asyncio.sleep(0)
    assert again.status == 200
    assert "idempotency-replayed" not in again.headers


async def test_the_room_comes_back_however_a_request_ends(small_room, house, provider):
    for n in range(4):
        provider.refusal = 400
        assert (await ask(house, key=f"a-{n}")).status == 400
        provider.refusal, provider.error = None, UpstreamUnavailableError("broke off", upstream="openai")
        assert (await ask(house, key=f"b-{n}")).status == 502
        assert (await ask(house, key=f"b-{n}")).status == 409
        provider.error, provider.chunks = None, [b"a", b"b"]
        assert (await ask(house, key=f"c-{n}")).body == b"ab"
        while (await ask(house, key=f"c-{n}")).status != 200:
            await asyncio.sleep(0)
        provider.chunks = None
        assert (await ask(house, key="no key")).status == 400


async def test_a_stream_that_is_still_read_counts_although_its_caller_left(small_room, house, provider):
    more = asyncio.Event()
    first = asyncio.Event()

    async def slowly(_: list[bytes]) -> AsyncGenerator[bytes, None]:
        first.set()
        yield b"a"
        await more.wait()
        yield b"b"

    provider.chunks, provider._stream = [], slowly
    for key in ("k-1", "k-2"):
        first.clear()
        left = asyncio.create_task(ask(house, key=key))
        await first.wait()
        left.cancel()
        await asyncio.wait({left})
    assert (await ask(house, key="k-3")).status == 503
    more.set()
    while (again := await ask(house, key="k-1")).status in (409, 503):
        await asyncio.sleep(0)
    assert again.body == b"ab"


async def test_a_stream_whose_caller_left_before_it_began_is_read_to_its_end(house, provider):
    provider.hold, provider.chunks = asyncio.Event(), [b"data: %d\n\n" % n for n in range(200)]
    await leave(house, provider, BODY, "k-1")
    provider.hold.set()
    while (again := await ask(house)).status == 409:
        await asyncio.sleep(0)
    assert again.body == b"".join(provider.chunks)


@pytest.mark.parametrize(
    "error", [LogUnavailableError("the disk is full"), ValueError("headers")], ids=["ours", "any"]
)
async def test_a_stream_that_cannot_be_kept_ends_for_its_reader(error, house, provider, monkeypatch):
    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(AnswerOnce, "keep", fails)
    provider.chunks = [b"data: a\n\n", b"data: [DONE]\n\n"]
    assert (await ask(house)).body == b"".join(provider.chunks)
    assert (await ask(house)).status == 409


async def test_a_principals_answers_are_kept_up_to_its_ration_of_a_day(monkeypatch, provider):
    size_bytes = len(b'{"n":1}')
    monkeypatch.setattr(answer_once, "KEPT_SHARE_BYTES", 2 * size_bytes)
    clock = FakeClock()
    once = AnswerOnce(FakeBooks(), clock)
    house = await build(call_model=provider, answer_once=once)
    for key, again in (("k-1", 200), ("k-2", 200), ("k-3", 409)):
        assert (await ask(house, key=key)).status == 200
        assert (await ask(house, key=key)).status == again
    assert (await ask(house, caller=house.other_key)).status == 200
    assert (await ask(house, caller=house.other_key)).headers["idempotency-replayed"] == "true"
    clock.pass_s(25 * 3600)
    for _ in range(2):
        assert (await ask(house, key="k-4")).status == 200
    assert provider.asked == 5
    await once.close()


async def test_the_bytes_of_answers_are_bounded_for_all_together_too(monkeypatch, provider):
    monkeypatch.setattr(answer_once, "KEPT_BYTES", 2 * len(b'{"n":1}'))
    once = AnswerOnce(FakeBooks(), FakeClock())
    house = await build(call_model=provider, answer_once=once)
    for key, caller, again in (("k-1", "", 200), ("k-2", "", 200), ("k-3", house.other_key, 409)):
        assert (await ask(house, key=key, caller=caller)).status == 200
        assert (await ask(house, key=key, caller=caller)).status == again
    await once.close()


@pytest.fixture
async def few_keys(monkeypatch, provider) -> AsyncIterator[House]:
    """Two keys for a principal in 24 hours, and three for all."""
    monkeypatch.setattr(answer_once, "KEYS", 3)
    monkeypatch.setattr(answer_once, "KEYS_SHARE", 2)
    once = AnswerOnce(FakeBooks(), FakeClock())
    yield await build(call_model=provider, answer_once=once)
    await once.close()


async def test_a_new_key_too_many_is_refused_and_no_old_one_forgotten(few_keys, provider):
    for key in ("k-1", "k-2"):
        assert (await ask(few_keys, key=key)).status == 200
    refused = await ask(few_keys, key="k-3")
    assert (refused.status, refused.json["error"]["code"]) == (429, "rate-limited")
    assert 24 * 3600 < int(refused.headers["retry-after"]) <= 25 * 3600
    for key in ("k-1", "k-2"):
        assert (await ask(few_keys, key=key)).headers["idempotency-replayed"] == "true"
    assert (await ask(few_keys, body=b"{}", key="k-1")).status == 422
    assert provider.asked == 2


async def test_a_flood_of_keys_of_one_leaves_room_for_others_up_to_the_whole(few_keys, provider):
    for n in range(20):
        assert (await ask(few_keys, key=f"k-{n}")).status == (200 if n < 2 else 429)
    assert (await ask(few_keys, key="o-1", caller=few_keys.other_key)).status == 200
    assert (await ask(few_keys, key="o-2", caller=few_keys.other_key)).status == 429
    assert (await ask(few_keys, key="o-1", caller=few_keys.other_key)).status == 200
    assert provider.asked == 3


async def test_a_claim_under_way_whose_caller_left_is_a_conflict_however_many_keys_come(few_keys, provider):
    provider.hold = asyncio.Event()
    await leave(few_keys, provider, BODY, "k-1")
    await leave(few_keys, provider, BODY, "k-2")
    for n in range(3, 10):
        assert (await ask(few_keys, key=f"k-{n}")).status == 429
    assert (await ask(few_keys, key="k-1")).status == 409
    provider.hold.set()
    while (again := await ask(few_keys, key="k-1")).status == 409:
        await asyncio.sleep(0)
    assert again.status == 200
    assert provider.asked == 2


async def test_keys_that_were_given_back_and_repetitions_do_not_count(few_keys, provider):
    for n in range(5):
        provider.refusal = 400
        assert (await ask(few_keys, key=f"r-{n}")).status == 400
    provider.refusal = None
    for _ in range(5):
        assert (await ask(few_keys, key="k-1")).status == 200
    assert (await ask(few_keys, key="k-2")).status == 200
    assert (await ask(few_keys, key="k-3")).status == 429


async def test_there_is_room_again_when_the_keys_have_expired(few_keys, provider):
    for key in ("k-1", "k-2"):
        assert (await ask(few_keys, key=key)).status == 200
    wait_s = int((await ask(few_keys, key="k-3")).headers["retry-after"])
    clock = few_keys.application.answer_once.clock
    clock.pass_s(wait_s - 2)
    assert (await ask(few_keys, key="k-3")).status == 429
    clock.pass_s(2)
    assert (await ask(few_keys, key="k-3")).status == 200
    assert provider.asked == 3


async def test_bodies_of_no_size_count_too(monkeypatch, provider):
    monkeypatch.setattr(answer_once, "UNDER_WAY_SHARE_BYTES", 2 * answer_once.UNDER_WAY_EACH_BYTES + 3)
    once = AnswerOnce(FakeBooks(), FakeClock())
    house = await build(call_model=provider, answer_once=once)
    provider.hold = asyncio.Event()
    for key in ("k-1", "k-2"):
        await leave(house, provider, b"1", key)
    assert (await ask(house, b"1", key="k-3")).status == 503
    provider.hold.set()
    while (await ask(house, b"1", key="k-3")).status == 503:
        await asyncio.sleep(0)
    await once.close()


def test_in_no_span_of_a_day_is_more_used_up_than_the_ration():
    hour_ns = 3600 * 10**9
    ration, taken = Ration(25, 10, 24), []
    for step in range(400):
        now_ns = step * hour_ns // 3
        for units, who in ((1 + step % 4, "ann"), (1, f"p{step}")):
            if ration.take(units, who, now_ns):
                taken.append((now_ns, units, who))
            if step % 7 == 0 and taken:
                at_ns, back, holder = taken.pop()
                ration.give_back(back, holder, at_ns)
        inside = [(units, who) for at_ns, units, who in taken if at_ns > now_ns - 24 * hour_ns]
        assert sum(units for units, who in inside if who == "ann") <= 10
        assert sum(units for units, _ in inside) <= 25
        assert len(ration._hours) <= 26
    assert taken[-1][0] > 100 * hour_ns


def test_what_did_not_fit_takes_nothing():
    budget = ByteBudget(10, 6)
    budget.take(6, "ann")
    for size_bytes, holder in ((1, "ann"), (5, "bob")):
        with pytest.raises(OverloadedError):
            budget.take(size_bytes, holder)
    budget.give_back(6, "ann")
    assert budget.held_bytes == 0
