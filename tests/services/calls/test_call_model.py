"""One paid completion: the order of its steps, and that every path settles."""

import asyncio
import gc
import hashlib
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.sqlite.support import open_books
from tests.metering.vocabulary import catalogue, counter
from tests.services.model_fakes import (
    DONE,
    PRINCIPAL,
    USAGE,
    World,
    answer,
    delta,
    request,
    usage_event,
)

from macroslow.authn.principal import Principal
from macroslow.errors import (
    BudgetExhaustedError,
    InvalidModelRequestError,
    LogUnavailableError,
    MissingScopeError,
    NotFoundError,
    RateLimitedError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from macroslow.inference import CHAT_COMPLETIONS
from macroslow.inference.ports import NotReached, ProviderAnswer
from macroslow.limits.admission import Quota
from macroslow.metering.count import LEAST_DRIFT_TOKENS
from macroslow.metering.ledger import OpenAccount
from macroslow.metering.money import usd
from macroslow.services.calls.settle_call import ModelAnswer

MODEL = catalogue().find("gpt-4o")
INPUT_TOKENS = 8  # of `request()`
MOST_INPUT_TOKENS = INPUT_TOKENS + LEAST_DRIFT_TOKENS  # what a provider may report and be believed
INPUT_USD_MICROS = MODEL.estimate(MOST_INPUT_TOKENS, 0)
RESERVED = MODEL.estimate(MOST_INPUT_TOKENS, 100)
STREAM = [delta("hello"), delta(" world"), usage_event(), DONE]


async def test_a_plain_answer_passes_byte_for_byte_and_costs_what_it_used():
    world = World()
    got = await world.ask(tag="team-a", run_id="run-1")
    assert isinstance(got, ModelAnswer)
    assert got.body == answer().body
    assert got.usage.usd_micros == got.usd_micros == 9 * 2.5 // 1 + 1 + 50
    assert got.headers == {"content-type": "application/json", "x-macroslow-cost-usd": "0.000073"}
    assert world.books.last.usage == got.usage
    assert (await world.books.account("key/k1")).spent_usd_micros == got.usd_micros
    await world.assert_idle()


async def test_the_log_says_all_about_the_call():
    world = World()
    got = await world.ask(tag="team-a", run_id="run-1")
    assert got.log_index == 0
    assert world.books.events == [
        {
            "request_id": "r1",
            "principal": "ann",
            "key_id": "k1",
            "operation": "chat.completions",
            "provider": "openai",
            "model": "gpt-4o",
            "input_tokens": 9,
            "output_tokens": 5,
            "usd_micros": 73,
            "status": 200,
            "outcome": "ok",
            "tag": "team-a",
            "run_id": "run-1",
            "request_sha256": hashlib.sha256(request()).hexdigest(),
            "answer_sha256": hashlib.sha256(got.body).hexdigest(),
        }
    ]


async def test_an_alias_is_sent_under_the_providers_name_and_the_bound_is_kept():
    world = World()
    await world.ask(request(model="gpt-4o-2025-10-15"))
    assert world.provider.bodies[0]["model"] == "gpt-4o"
    assert world.provider.bodies[0]["max_tokens"] == 100


async def test_an_emulators_answers_say_so():
    world = World()
    world.provider.emulator = True
    assert (await world.ask()).headers["x-macroslow-emulator"] == "true"
    world.provider.script = lambda _: list(STREAM)
    stream = await world.ask(request(stream=True))
    assert stream.headers["x-macroslow-emulator"] == "true"
    await stream.chunks.aclose()
    assert world.books.events[0]["emulator"] is True
    await world.assert_idle()


async def test_another_account_can_pay():
    world = World()
    world.books.open_account("run/1", 10_000, "key/k1")
    await world.ask(account="run/1")
    assert (await world.books.account("run/1")).spent_usd_micros == 73


# Refusals before anything is held or sent.


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", InvalidModelRequestError),
        (request(colour="red"), InvalidModelRequestError),
        (request(model="gpt-9"), NotFoundError),
        (request(max_tokens=16_385), InvalidModelRequestError),
        (request(max_tokens=2**52), InvalidModelRequestError),
        (request(messages=[{"role": "user", "content": "word " * 130_000}]), InvalidModelRequestError),
    ],
)
async def test_what_cannot_be_served_is_refused_before_anything_is_held(body, error):
    world = World()
    with pytest.raises(error):
        await world.ask(body)
    assert not world.provider.bodies
    assert not world.books.settled
    await world.assert_idle()


async def test_a_credential_without_the_scope_is_refused():
    world = World()
    with pytest.raises(MissingScopeError):
        await world.ask(principal=Principal("ann", "key/k1"))


@pytest.mark.parametrize("tag", ["x" * 65, "a b", "-x", "a\nb", "\x1b[2J", "\u00e9", "\udc80", "\x00"])
async def test_a_tag_that_the_log_could_not_take_is_refused(tag):
    with pytest.raises(InvalidModelRequestError):
        await World().ask(tag=tag)


async def test_a_model_without_a_provider_is_unknown():
    world = World()
    world.call.quote.providers.clear()
    with pytest.raises(NotFoundError):
        await world.ask()


# Budgets.


async def test_a_budget_without_room_says_which_and_how_much():
    world = World(limit_usd_micros=RESERVED - 1)
    with pytest.raises(BudgetExhaustedError) as caught:
        await world.ask()
    error = caught.value
    assert (error.budget, error.limit_usd_micros, error.needed_usd_micros) == (
        "key/k1",
        RESERVED - 1,
        RESERVED,
    )
    assert (error.spent_usd_micros, error.held_usd_micros) == (0, 0)
    assert not world.provider.bodies
    await world.assert_idle()


async def test_choices_multiply_what_is_held():
    world = World(limit_usd_micros=MODEL.estimate(MOST_INPUT_TOKENS, 300) - 1)
    with pytest.raises(BudgetExhaustedError):
        await world.ask(request(n=3))
    await world.ask(request(n=2))
    await world.assert_idle()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2 * RESERVED), st.integers(1, 4), st.integers(1, 30))
def test_no_budget_is_ever_passed_by_calls_at_once(limit, choices, calls):
    async def run() -> None:
        world = World(limit_usd_micros=limit)  # which the books hold
        world.provider.turns = 3
        most = {"prompt_tokens": MOST_INPUT_TOKENS, "completion_tokens": 100 * choices}
        world.provider.script = lambda _: answer(usage=most)
        got = await asyncio.gather(
            *(world.ask(request(n=choices)) for _ in range(calls)), return_exceptions=True
        )
        answered = [each for each in got if isinstance(each, ModelAnswer)]
        assert all(isinstance(each, (ModelAnswer, BudgetExhaustedError)) for each in got)
        assert len(answered) == min(calls, limit // MODEL.estimate(MOST_INPUT_TOKENS, 100 * choices))
        await world.assert_idle()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, 16_384),
        (10**9, 16_384),
        (INPUT_USD_MICROS + 10 * 500, 500),
        (INPUT_USD_MICROS + 10 * 16, 16),
        (INPUT_USD_MICROS + 10 * 16 - 1, None),
        (0, None),
    ],
)
async def test_a_request_without_a_bound_gets_what_the_budget_allows(limit, expected):
    world = World(limit_usd_micros=limit)
    if expected is None:
        with pytest.raises(BudgetExhaustedError) as caught:
            await world.ask(request(max_tokens=None))
        assert caught.value.needed_usd_micros == INPUT_USD_MICROS + 10 * 16  # and so much would do
        assert not world.provider.bodies
    else:
        await world.ask(request(max_tokens=None))
        assert world.provider.bodies[0]["max_tokens"] == expected
    await world.assert_idle()


async def test_the_sum_that_a_refusal_names_would_do_and_one_less_would_not():
    for n in (1, 4):
        with pytest.raises(BudgetExhaustedError) as caught:
            await World(limit_usd_micros=1).ask(request(max_tokens=None, n=n))
        needed = caught.value.needed_usd_micros
        world = World(limit_usd_micros=needed)
        await world.ask(request(max_tokens=None, n=n))
        assert world.provider.bodies[0]["max_tokens"] == 16
        with pytest.raises(BudgetExhaustedError):
            await World(limit_usd_micros=needed - 1).ask(request(max_tokens=None, n=n))


async def test_a_bound_is_filled_in_for_each_choice():
    world = World(limit_usd_micros=INPUT_USD_MICROS + 10 * 500)
    await world.ask(request(max_tokens=None, n=4))
    assert world.provider.bodies[0]["max_tokens"] == 125


async def test_the_budget_of_a_parent_bounds_a_child_that_has_none():
    world = World(limit_usd_micros=INPUT_USD_MICROS + 10 * 50)
    world.books.open_account("run/1", None, "key/k1")
    await world.ask(request(max_tokens=None), account="run/1")
    assert world.provider.bodies[0]["max_tokens"] == 50


async def test_a_bound_is_filled_in_so_that_the_providers_limit_can_admit_it():
    world = World(quota=Quota(tpm=1000))
    await world.ask(request(max_tokens=None))
    assert (
        world.provider.bodies[0]["max_tokens"]
        == world.admission.most_tokens("openai", "gpt-4o") - INPUT_TOKENS
    )
    assert 900 <= world.admission.most_tokens("openai", "gpt-4o") <= 1000


async def test_what_the_providers_limit_could_never_admit_is_refused_at_once():
    world = World(quota=Quota(tpm=50))
    with pytest.raises(InvalidModelRequestError) as caught:
        await world.ask()
    assert caught.value.param == "max_tokens"


# Usage.


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": -9, "completion_tokens": 5},
        {"prompt_tokens": 9, "completion_tokens": 10**15},
    ],
)
async def test_usage_that_is_missing_or_impossible_is_counted_here(usage):
    world = World()
    world.provider.script = lambda _: answer(content="one two three", usage=usage)
    got = await world.ask()
    assert got.usage.output_tokens == counter().text("one two three")
    assert got.usage.input_tokens == INPUT_TOKENS
    await world.assert_idle()


@pytest.mark.parametrize("stream", [False, True])
async def test_our_own_count_is_of_the_models_tokens_where_its_vocabulary_is_anothers(stream):
    estimated = replace(MODEL, counting="estimate", tokens_per_1000_counted=1_500)
    world = World(models=replace(catalogue(), models={**catalogue().models, "gpt-4o": estimated}))
    text = "one two three four"
    whole = answer(content=text, usage=None)
    world.provider.script = lambda asked: [delta(text), DONE] if asked.get("stream") else whole
    await (world.ask_all() if stream else world.ask())
    assert world.books.last.usage.output_tokens == counter().text(text) * 3 // 2
    await world.assert_idle()


async def test_our_own_count_is_never_charged_above_the_reservation():
    world = World()
    world.provider.script = lambda _: answer(content="word " * 50_000, usage=None)
    assert (await world.ask()).usd_micros == MODEL.estimate(INPUT_TOKENS, 100) <= RESERVED


# Providers that fail.


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500, 503])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_by_the_provider_is_passed_on_and_costs_nothing(status, stream):
    world = World()
    refusal = ProviderAnswer(status, {"retry-after": "7"}, b'{"error":{"message":"no"}}')
    world.provider.script = lambda _: refusal
    got = await world.ask(request(stream=stream))
    assert (got.status, got.body, got.usd_micros) == (status, refusal.body, 0)
    assert got.headers["retry-after"] == "7"
    assert (world.books.last.outcome, world.books.events[0]["status"]) == ("refused", status)
    await world.assert_idle()


@pytest.mark.parametrize("status", [502, 504])
async def test_an_intermediary_that_lost_the_provider_leaves_the_outcome_unknown(status):
    world = World()
    world.provider.script = lambda _: ProviderAnswer(status, {}, b"{}")
    assert (await world.ask()).usd_micros == RESERVED
    assert world.books.last.outcome == "unknown"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("outcome", "raised", "settled", "cost"),
    [
        (NotReached("refused"), UpstreamUnavailableError, "refused", 0),
        (UpstreamRefusedError("no", upstream="openai", status=401), UpstreamRefusedError, "refused", 0),
        (UpstreamUnavailableError("cut", upstream="openai"), UpstreamUnavailableError, "unknown", RESERVED),
        (RuntimeError("a defect"), RuntimeError, "unknown", RESERVED),
        (ProviderAnswer(200, {}, b"<html>"), UpstreamUnavailableError, "unknown", RESERVED),
    ],
)
async def test_every_failure_settles(stream, outcome, raised, settled, cost):
    world = World()
    world.provider.script = lambda _: outcome
    with pytest.raises(raised) as caught:
        await world.ask(request(stream=stream))
    await world.assert_idle()
    assert (world.books.last.outcome, world.books.last.usage.usd_micros) == (settled, cost)
    if isinstance(caught.value, UpstreamUnavailableError):
        assert (f"charged in full: ${usd(RESERVED)}" in caught.value.detail) == (cost > 0)


async def test_a_provider_that_answers_a_plain_call_with_a_stream_leaves_no_reservation():
    world = World()
    world.provider.script = lambda _: STREAM
    with pytest.raises(AssertionError, match="a plain call opens no stream"):
        await world.ask()
    assert (world.books.last.outcome, world.books.last.usage.usd_micros) == ("unknown", RESERVED)
    await world.assert_idle()


async def test_without_a_log_nothing_is_sent():
    world = World()
    world.books.broken = True
    with pytest.raises(LogUnavailableError):
        await world.ask()
    assert not world.provider.bodies


async def test_without_a_log_entry_no_answer_leaves():
    world = World()

    def break_the_disk(_):
        world.books.broken = True
        return answer()

    world.provider.script = break_the_disk
    with pytest.raises(LogUnavailableError):
        await world.ask()
    assert world.books.held  # found and charged at the next start


# Streams.


@pytest.mark.parametrize("asked", [False, True])
async def test_a_stream_passes_and_its_usage_is_shown_to_whoever_asked(asked):
    world = World()
    world.provider.script = lambda _: list(STREAM)
    options = {"include_usage": True} if asked else None
    got = await world.ask_all(request(stream=True, stream_options=options))
    assert got == b"".join(STREAM if asked else [*STREAM[:2], DONE])
    assert world.provider.bodies[0]["stream_options"] == {"include_usage": True}
    assert world.books.last.usage.output_tokens == USAGE["completion_tokens"]
    assert world.books.events[0]["answer_sha256"] == hashlib.sha256(got).hexdigest()
    assert world.books.events[0]["stream"] is True
    await world.assert_idle()


async def test_the_closing_event_leaves_after_the_settlement():
    world = World()
    world.provider.script = lambda _: list(STREAM)
    stream = await world.ask(request(stream=True))
    async for chunk in stream.chunks:
        assert bool(world.books.settled) == (chunk == DONE)


async def test_a_stream_without_usage_is_charged_by_its_text():
    world = World()
    world.provider.script = lambda _: [delta("one two three"), DONE]
    await world.ask_all()
    assert world.books.last.usage.output_tokens == counter().text("one two three")
    assert world.books.last.outcome == "ok"


async def test_a_stream_that_ends_after_its_usage_is_whole():
    world = World()
    world.provider.script = lambda _: STREAM[:3]
    assert await world.ask_all() == b"".join(STREAM[:2])
    assert world.books.last.outcome == "ok"


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [delta("a")],
        [delta("a"), delta("b")[:-3]],
        [delta("a"), b"data: [DO"],
        [delta("a"), UpstreamUnavailableError("cut", upstream="openai")],
        [delta("a"), b"data: " + b"x" * 2_000_000],
        [delta("a"), b'data: {"error": {"message": "sk-canary"}}\n\n'],
        [delta("a"), b'data: {"usage": \n\n'],
        [usage_event(), b"data: half"],
        [delta("a"), b"data: <html>\n\n", DONE],  # without a usage that could be believed
    ],
)
async def test_a_stream_that_breaks_off_is_charged_in_full(chunks):
    world = World()
    world.provider.script = lambda _: list(chunks)
    stream = await world.ask(request(stream=True))
    got: list[bytes] = []

    async def read() -> None:
        async for chunk in stream.chunks:
            got.append(chunk)  # noqa: PERF401 - what came before the failure is looked at

    with pytest.raises(UpstreamUnavailableError) as caught:
        await read()
    assert b"sk-canary" not in b"".join(got) + str(vars(caught.value)).encode()
    assert f"charged in full: ${usd(RESERVED)}" in caught.value.detail
    assert b"".join(got) in (b"", delta("a"), delta("a") + b"data: <html>\n\n")
    assert (world.books.last.outcome, world.books.last.usage.usd_micros) == ("unknown", RESERVED)
    await world.assert_idle()


async def test_crlf_streams_pass_as_they_are():
    world = World()
    stream = [chunk.replace(b"\n", b"\r\n") for chunk in STREAM]
    whole = b"".join(stream)
    world.provider.script = lambda _: [whole[at : at + 7] for at in range(0, len(whole), 7)]
    got = await world.ask_all()
    assert got.replace(b"\r\n", b"\n") == b"".join([*STREAM[:2], DONE])
    assert world.books.last.usage.output_tokens == 5


async def test_an_error_answer_to_a_stream_is_a_plain_answer():
    world = World()
    world.provider.script = lambda _: answer(429)
    assert (await world.ask(request(stream=True))).status == 429


# Callers that hang up.


async def test_a_reader_that_closes_a_stream_pays_for_what_was_written():
    world = World()
    never = asyncio.Event()
    world.provider.script = lambda _: [delta("hello " * 10), never]
    stream = await world.ask(request(stream=True))
    assert await anext(stream.chunks) == delta("hello " * 10)
    await stream.chunks.aclose()
    await world.assert_idle()
    assert world.books.last.outcome == "aborted"
    assert counter().text("hello " * 10) <= world.books.last.usage.output_tokens < 100
    assert world.books.events[0]["answer_sha256"] == hashlib.sha256(delta("hello " * 10)).hexdigest()


async def test_a_hang_up_after_the_usage_is_charged_by_it():
    world = World()
    world.provider.script = lambda _: [delta("a") + usage_event() + delta("b"), asyncio.Event()]
    stream = await world.ask(request(stream=True))
    await anext(stream.chunks)
    await stream.chunks.aclose()
    assert world.books.last.usage.usd_micros == 73
    await world.assert_idle()


async def test_a_stream_that_is_never_read_is_settled():
    world = World()
    world.provider.script = lambda _: [delta("a"), asyncio.Event()]
    stream = await world.ask(request(stream=True))
    assert world.books.held
    del stream
    gc.collect()
    while world.books.held:
        await asyncio.sleep(0)
    await world.assert_idle()
    assert world.books.last.outcome == "aborted"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("again", [None, 1, 3])
async def test_a_caller_that_goes_away_at_any_moment_leaves_nothing_open(stream, again):
    finished = 0
    for turns in range(60):
        world = World(quota=Quota(concurrent=1))
        world.provider.turns = 2
        world.provider.script = lambda _: list(STREAM) if stream else answer()

        async def call(world: World = world) -> bytes:
            return await world.ask_all() if stream else (await world.ask()).body

        task = asyncio.create_task(call())
        for _ in range(turns):
            await asyncio.sleep(0)
        finished += task.done()
        task.cancel()
        if again is not None:  # and is cancelled once more while it cleans up
            for _ in range(again):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait({task})
        await world.call.close()
        await world.assert_idle()
        assert all(settle.usage.usd_micros <= RESERVED for settle in world.books.settled)
        # Whoever left, the next one is served.
        assert await asyncio.wait_for(call(), 5)
        await world.assert_idle()
    assert 0 < finished < 60


async def test_who_goes_away_while_waiting_for_a_place_has_held_nothing():
    world = World(quota=Quota(concurrent=1))
    world.provider.hold = asyncio.Event()
    first = asyncio.create_task(world.ask())
    while not world.provider.bodies:
        await asyncio.sleep(0)
    second = asyncio.create_task(world.ask())
    while not world.admission.waiting():
        await asyncio.sleep(0)
    assert len(await world.books.open_reservations()) == 1
    second.cancel()
    await asyncio.wait({second})
    assert world.admission.waiting() == 0
    world.provider.hold.set()
    assert (await first).status == 200
    await world.assert_idle()
    assert len(world.books.settled) == 1


async def test_calls_wait_for_a_place_instead_of_being_refused():
    world = World(quota=Quota(concurrent=2))
    world.provider.turns = 3
    got = await asyncio.gather(*(world.ask() for _ in range(20)))
    assert [each.status for each in got] == [200] * 20
    assert world.provider.most_under_way == 2
    await world.assert_idle()


async def test_who_waited_too_long_is_told_when_to_come_back():
    world = World(quota=Quota(rpm=1), max_wait_s=0.01)
    await world.ask()
    with pytest.raises(RateLimitedError) as caught:
        await world.ask()
    assert 50 < caught.value.retry_after_s <= 70
    assert caught.value.limit == "requests per minute"
    assert len(world.books.settled) == 1


async def test_large_bodies_are_read_in_a_thread_and_served():
    world = World()
    body = request(messages=[{"role": "user", "content": "word " * 20_000}])
    world.provider.script = lambda _: answer(usage=None)
    got = await world.ask(body)
    assert got.usage.input_tokens == counter().text("word " * 20_000) + 7
    assert orjson.loads(body)["messages"] == world.provider.bodies[0]["messages"]
    assert PRINCIPAL.name == "ann"


async def test_calls_at_once_and_callers_that_leave_keep_real_books_in_order(tmp_path):
    books = await open_books(tmp_path / "books.sqlite")
    await books.commit(OpenAccount("key/k1", 20 * RESERVED))
    world = World(books=books)
    world.provider.books = None
    world.provider.turns = 20
    world.provider.script = lambda body: list(STREAM) if body.get("stream") else answer()

    async def call(number: int) -> None:
        got = await world.call(
            PRINCIPAL, CHAT_COMPLETIONS, request(stream=number % 2 == 0), request_id=f"r{number}"
        )
        if not isinstance(got, ModelAnswer):
            async for _ in got.chunks:
                pass

    tasks = [asyncio.create_task(call(number)) for number in range(200)]
    for number, task in enumerate(tasks):
        if number % 3 == 0:
            await asyncio.sleep(0.0005 * (number % 7))
            task.cancel()
    done, _ = await asyncio.wait(tasks, timeout=60)
    await world.call.close()
    await books.close()
    assert len(done) == 200

    books = await open_books(tmp_path / "books.sqlite")
    account = await books.account("key/k1")
    [used] = await books.usage("key")
    head = await books.head()
    assert account.held_usd_micros == 0
    assert 0 < account.spent_usd_micros == used.usd_micros <= 20 * RESERVED
    assert used.calls == head.size  # one entry for each settlement
    assert await books.open_reservations() == []
    assert await books.audit_ledger() == []
    await books.close()
