"""What happens when a provider cannot answer: repeats, other accounts, fall-backs; and who may spend what."""

import asyncio
from dataclasses import replace

import orjson
import pytest
from tests.metering.vocabulary import catalogue
from tests.services.model_fakes import DONE, PRINCIPAL, World, answer, delta, request, usage_event

from macroslow.errors import (
    BudgetExhaustedError,
    InvalidModelRequestError,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from macroslow.inference import RESPONSES
from macroslow.inference.ports import NotReached, ProviderAnswer
from macroslow.limits import backoff
from macroslow.limits.admission import Demand, Quota
from macroslow.limits.breaker import FAILURES_IN_A_ROW
from macroslow.metering.budgets import BudgetRule, Period, Scope

STREAM = [delta("hello"), usage_event(), DONE]
REFUSED_KEY = UpstreamRefusedError("no", upstream="openai", status=401)


def refusal(status: int, **headers: str) -> ProviderAnswer:
    return ProviderAnswer(status, headers, b'{"error":{"message":"no"}}')


def in_turn(*outcomes):
    """A script that answers with each of `outcomes`, then with the last for ever."""
    left = list(outcomes)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(backoff, "BASE_NS", 1000)


# Repeats.


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "first",
    [
        NotReached("refused"),
        refusal(429, **{"retry-after-ms": "1"}),
        refusal(500),
        refusal(503),
        refusal(529),
    ],
    ids=["not reached", "429", "500", "503", "529"],
)
async def test_what_did_no_work_is_sent_again_and_billed_once(first, stream):
    world = World(attempts=3)
    world.provider.script = in_turn(first, list(STREAM) if stream else answer())
    if stream:
        assert (await world.ask_all()).endswith(DONE)
    else:
        assert (await world.ask()).status == 200
    assert len(world.provider.bodies) == 2
    assert len(world.books.settled) == 1
    assert (world.books.events[0]["attempts"], world.books.events[0]["outcome"]) == (2, "ok")
    await world.assert_idle()


@pytest.mark.parametrize(
    ("outcome", "raises"),
    [
        (refusal(502), False),
        (refusal(504), False),
        (refusal(400), False),
        (refusal(429, **{"x-should-retry": "false"}), False),
        (UpstreamUnavailableError("cut", upstream="openai"), True),
    ],
    ids=["502", "504", "400", "told not to", "broke off"],
)
async def test_what_may_have_done_work_is_never_sent_again(outcome, raises):
    world = World(attempts=5)
    world.provider.script = lambda _: outcome
    if raises:
        with pytest.raises(UpstreamUnavailableError):
            await world.ask()
    else:
        await world.ask()
    assert len(world.provider.bodies) == 1
    await world.assert_idle()


async def test_after_the_last_attempt_the_providers_own_answer_is_passed_on():
    world = World(attempts=3)
    world.provider.script = lambda _: refusal(503)
    got = await world.ask()
    assert (got.status, got.usd_micros, len(world.provider.bodies)) == (503, 0, 3)
    await world.assert_idle()


async def test_a_store_of_limits_that_goes_away_between_two_attempts_costs_nothing(monkeypatch):
    world = World(attempts=3)
    enter, entered = world.admission.enter, []

    async def once(*given, **named):
        if entered:
            raise OverloadedError("the shared limits cannot be read")
        entered.append(given)
        return await enter(*given, **named)

    monkeypatch.setattr(world.admission, "enter", once)
    world.provider.script = lambda _: refusal(503)
    got = await world.ask()
    assert (got.status, got.usd_micros) == (503, 0)
    assert world.books.last.outcome == "refused"
    await world.assert_idle()


async def test_who_leaves_between_two_attempts_owes_nothing():
    world = World(attempts=3)
    world.provider.script = lambda _: refusal(429, **{"retry-after": "20"})
    asking = asyncio.create_task(world.ask())
    while not (world.provider.bodies and not world.provider.under_way and world.admission.waiting()):
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await world.assert_idle()
    assert (world.books.last.outcome, world.books.last.usage.usd_micros) == ("aborted", 0)


# Accounts.


@pytest.mark.parametrize(
    "first",
    [REFUSED_KEY, NotReached("refused"), refusal(429, **{"retry-after": "60"}), refusal(500)],
    ids=str,
)
async def test_another_account_answers_where_one_cannot(first):
    world = World(accounts=("openai", "openai#2"), attempts=2)
    outcomes = {"openai": first, "openai#2": answer()}
    for label, provider in world.accounts.items():
        provider.script = lambda _, outcome=outcomes[label]: outcome
    for _ in range(3):
        assert (await world.ask()).status == 200
    assert len(world.accounts["openai#2"].bodies) == 3
    assert {event["account"] for event in world.books.events} == {"openai#2"}
    await world.assert_idle()


async def fill(world: World, account: str) -> None:
    """Take a place of this account."""
    await world.admission.enter("openai", "gpt-4o", Demand("other", 1, among=(account,)))


@pytest.mark.parametrize("first", [NotReached("refused"), refusal(500)], ids=["not reached", "500"])
async def test_a_call_goes_on_where_it_failed_if_the_other_key_has_no_room(first):
    world = World(accounts=("openai", "openai#2"), attempts=2, quota=Quota(concurrent=1))
    await fill(world, "openai#2")
    world.provider.script = in_turn(first, answer())
    assert (await world.ask()).status == 200
    assert (world.books.events[0]["attempts"], world.books.events[0].get("waited_ms", 0) < 5000) == (2, True)
    assert not world.accounts["openai#2"].bodies


async def test_a_key_that_was_refused_is_not_tried_again_while_the_other_has_no_room():
    world = World(accounts=("openai", "openai#2"), attempts=9, quota=Quota(concurrent=1), queue_s=0.05)
    await fill(world, "openai#2")
    world.provider.script = lambda _: REFUSED_KEY
    with pytest.raises(UpstreamRefusedError):
        await world.ask()
    assert len(world.provider.bodies) == 1


async def test_a_key_that_was_refused_does_not_keep_another_from_being_repeated():
    world = World(accounts=("openai", "openai#2"), attempts=5)
    world.accounts["openai"].script = lambda _: REFUSED_KEY
    world.accounts["openai#2"].script = in_turn(refusal(500), answer())
    for _ in range(2):
        assert (await world.ask()).status == 200
    assert len(world.accounts["openai"].bodies) <= 2
    await world.assert_idle()


async def test_a_key_that_no_account_accepts_is_refused_once():
    world = World(attempts=5)
    world.provider.script = lambda _: REFUSED_KEY
    with pytest.raises(UpstreamRefusedError):
        await world.ask()
    assert len(world.provider.bodies) == 1
    await world.assert_idle()


# Fall-backs.


def chain(**fallbacks: tuple[str, ...]):
    return catalogue().with_names({}, {name.replace("_", "-"): names for name, names in fallbacks.items()})


def by_model(**outcomes):
    return lambda body: outcomes[body["model"].replace("-", "_")]


@pytest.mark.parametrize(
    "first", [NotReached("refused"), refusal(500), REFUSED_KEY], ids=["not reached", "500", "key refused"]
)
async def test_a_model_that_cannot_answer_gives_way_to_its_fall_back(first):
    world = World(models=chain(gpt_4o=("gpt-4o-mini",)))
    world.provider.script = by_model(gpt_4o=first, gpt_4o_mini=answer())
    assert (await world.ask()).status == 200
    assert [body["model"] for body in world.provider.bodies] == ["gpt-4o", "gpt-4o-mini"]
    assert [(e["model"], e["outcome"]) for e in world.books.events] == [
        ("gpt-4o", "refused"),
        ("gpt-4o-mini", "ok"),
    ]
    await world.assert_idle()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_each_alias_has_fall_backs_of_its_own_and_the_answer_says_who_gave_it(stream):
    names = {"y1": "gpt-4o", "y2": "gpt-4o", "мой": "gpt-4o-mini"}
    world = World(models=catalogue().with_names(names, {"y1": ("gpt-4.1",), "y2": ("gpt-4o-mini",)}))

    def script(body):
        ok = list(STREAM) if stream else answer()
        return NotReached("refused") if body["model"] == "gpt-4o" else ok

    world.provider.script = script
    got = {}
    for asked in ("y1", "y2", "gpt-4o-mini", "мой"):
        reply = await world.ask(request(model=asked, stream=stream))
        got[asked] = reply.headers.get("x-macroslow-model")
        if stream:
            await reply.chunks.aclose()
    assert got == {"y1": "gpt-4.1", "y2": "gpt-4o-mini", "gpt-4o-mini": None, "мой": "gpt-4o-mini"}
    told = [
        (e.get("asked_model", e["model"]), e["model"])
        for e in world.books.events
        if e["outcome"] != "refused"
    ]
    assert told == [(asked, model or asked) for asked, model in got.items()]
    with pytest.raises(UpstreamUnavailableError):
        await world.ask(request(model="gpt-4o", stream=stream))
    await world.assert_idle()


async def test_a_models_name_that_no_header_can_carry_is_escaped():
    odd = replace(catalogue().find("gpt-4o"), name="мой 4", aliases=())
    world = World(models=replace(catalogue(), models={"мой 4": odd}, renamed={"x": "мой 4"}))
    assert (await world.ask(request(model="x"))).headers["x-macroslow-model"].isascii()


async def test_a_fall_back_is_not_asked_where_work_may_have_been_done():
    world = World(models=chain(gpt_4o=("gpt-4o-mini",)))
    world.provider.script = lambda _: UpstreamUnavailableError("cut", upstream="openai")
    with pytest.raises(UpstreamUnavailableError):
        await world.ask()
    assert len(world.provider.bodies) == 1


async def test_when_nobody_answers_the_error_says_what_was_tried():
    world = World(models=chain(gpt_4o=("gpt-4o-mini",)))
    world.provider.script = lambda _: NotReached("refused")
    with pytest.raises(UpstreamUnavailableError) as caught:
        await world.ask()
    assert "gpt-4o at openai" in caught.value.detail
    assert caught.value.nothing_done
    await world.assert_idle()


async def test_when_everybody_rests_the_error_says_when_to_come_back_and_what_was_tried():
    world = World(models=chain(gpt_4o=("gpt-4o-mini",)))
    world.provider.script = lambda _: NotReached("refused")
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(UpstreamUnavailableError) as caught:
            await world.ask()
    asked = len(world.provider.bodies)
    with pytest.raises(UpstreamUnavailableError) as caught:
        await world.ask()
    assert len(world.provider.bodies) == asked
    assert "gpt-4o at openai" in caught.value.detail
    assert caught.value.nothing_done
    assert caught.value.retry_after_s is not None
    assert 0 < caught.value.retry_after_s <= 5
    await world.assert_idle()


async def test_a_full_queue_gives_way_to_the_fall_back_and_without_one_says_when():
    world = World(models=chain(gpt_4o=("gpt-4o-mini",)), quota=Quota(rpm=1), max_waiting=0)
    assert (await world.ask()).status == 200
    assert (await world.ask()).status == 200
    assert [body["model"] for body in world.provider.bodies] == ["gpt-4o", "gpt-4o-mini"]
    alone = World(quota=Quota(rpm=1), max_waiting=0)
    await alone.ask()
    with pytest.raises(RateLimitedError) as caught:
        await alone.ask()
    assert caught.value.retry_after_s > 1


# Budgets beside the account.


RULES = [
    BudgetRule(Scope.TAG, "ci", Period.DAY, 2000),
    BudgetRule(Scope.TEAM, "*", Period.MONTH, 3000),
    BudgetRule(Scope.ALL, "*", Period.TOTAL, 4000),
]


@pytest.mark.parametrize(
    ("tag", "team", "budget", "calls"),
    [("ci", "", "tag/ci/day", 1), ("", "red", "team/red/month", 2), ("x", "", "all/total", 3)],
)
async def test_every_budget_holds_and_a_refusal_names_it(tag, team, budget, calls):
    world = World(rules=RULES)
    most = {"prompt_tokens": 24, "completion_tokens": 100}
    world.provider.script = lambda _: answer(usage=most)  # as much as is reserved: 1060 micro-dollars
    caller = replace(PRINCIPAL, team=team)
    for _ in range(calls):
        await world.ask(principal=caller, tag=tag)
    with pytest.raises(BudgetExhaustedError) as caught:
        await world.ask(principal=caller, tag=tag)
    assert caught.value.budget.startswith(budget)
    assert (caught.value.resets_s is None) == (budget == "all/total")
    assert caught.value.spent_usd_micros == calls * 1060
    await world.assert_idle()


async def test_who_listens_hears_once_of_a_call_that_a_budget_refuses():
    world, heard = World(limit_usd_micros=100), []
    world.call = replace(world.call, refusals=[heard.append])
    with pytest.raises(BudgetExhaustedError) as caught:
        await world.ask(request(max_tokens=None))
    assert heard == [caught.value]
    await world.ask(request(max_tokens=1))
    assert len(heard) == 1


async def test_a_keys_own_day_is_a_budget():
    world = World()
    with pytest.raises(BudgetExhaustedError) as caught:
        await world.ask(principal=replace(PRINCIPAL, day_usd_micros=1000))
    assert caught.value.budget.startswith("key/k1/day/")
    assert caught.value.resets_s is not None
    await world.assert_idle()


async def test_first_requests_at_once_do_not_pass_a_budget_that_has_no_counter_yet():
    world = World(rules=[BudgetRule(Scope.TAG, "*", Period.DAY, 5 * 1060)])
    world.provider.turns = 5
    world.provider.script = lambda _: answer(usage={"prompt_tokens": 24, "completion_tokens": 100})
    got = await asyncio.gather(*(world.ask(tag="new") for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(each, BudgetExhaustedError) for each in got) == 45
    await world.assert_idle()


async def test_who_only_observes_refuses_nothing_and_counts_everything():
    world = World(
        rules=RULES, enforced=False, observe=True, limit_usd_micros=10, quota=Quota(rpm=1), max_waiting=0
    )
    for _ in range(5):
        assert (await world.ask(tag="ci")).status == 200
    assert (await world.books.account("key/k1")).spent_usd_micros == 5 * 73
    assert {event["would_refuse"] for event in world.books.events} == {"key/k1"}
    world.books.open_account("key/k1", None)
    await world.ask()
    assert "would_refuse" not in world.books.events[-1]
    await world.assert_idle()


# Stored answers.


def stored(body: dict[str, object]) -> ProviderAnswer:
    said = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "output": [],
        "usage": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14},
    }
    return ProviderAnswer(200, {"content-type": "application/json"}, orjson.dumps(said))


def respond(**more) -> bytes:
    return orjson.dumps({"model": "gpt-4o", "input": "hi", "max_output_tokens": 50, **more})


async def test_a_stored_answer_is_gone_on_from_by_its_own_principal_alone():
    world = World()
    world.provider.script = stored
    await world.ask(respond(), operation=RESPONSES)
    await world.ask(respond(previous_response_id="resp_1"), operation=RESPONSES)
    assert world.provider.bodies[1]["previous_response_id"] == "resp_1"
    stranger = replace(PRINCIPAL, name="bob")
    for caller, answer_id in ((stranger, "resp_1"), (PRINCIPAL, "resp_2")):
        with pytest.raises(NotFoundError) as caught:
            await world.ask(respond(previous_response_id=answer_id), principal=caller, operation=RESPONSES)
        assert "no answer of that id" in caught.value.detail
    assert len(world.provider.bodies) == 2
    await world.assert_idle()


async def test_an_answer_is_gone_on_from_at_the_key_that_has_it():
    world = World(accounts=("openai", "openai#2"), quota=Quota(concurrent=5))
    for account in world.accounts.values():
        account.script = stored
    await fill(world, "openai")
    await world.ask(respond(), operation=RESPONSES)
    await fill(world, "openai#2")
    await fill(world, "openai#2")
    await world.ask(respond(previous_response_id="resp_1"), operation=RESPONSES)
    assert [len(account.bodies) for account in world.accounts.values()] == [0, 2]


async def test_what_an_answer_goes_on_from_is_reserved_for_too():
    world = World()
    world.provider.script = stored
    await world.ask(respond(), operation=RESPONSES)
    limit = (await world.books.account("key/k1")).spent_usd_micros + 24 * 2.5 + 50 * 10
    world.books.open_account("key/k1", int(limit))
    with pytest.raises(BudgetExhaustedError):
        await world.ask(respond(previous_response_id="resp_1"), operation=RESPONSES)


async def test_an_id_that_a_provider_gives_twice_stays_its_first_owners():
    world = World()
    world.provider.script = stored
    await world.ask(respond(), operation=RESPONSES)
    world.books.open_account("key/k2", None)
    stranger = replace(PRINCIPAL, name="bob", account="key/k2")
    assert (await world.ask(respond(), principal=stranger, operation=RESPONSES)).status == 200
    with pytest.raises(NotFoundError):
        await world.ask(respond(previous_response_id="resp_1"), principal=stranger, operation=RESPONSES)


# What a provider reports.


async def test_a_report_that_cannot_be_is_disputed_in_the_log():
    world = World()
    world.provider.script = lambda _: answer(usage={"prompt_tokens": 1000, "completion_tokens": 5})
    got = await world.ask()
    assert got.usage.input_tokens == 8
    assert world.books.events[0]["disputed"] is True


async def test_a_model_that_does_not_serve_an_operation_is_not_found_for_it():
    world = World()
    body = orjson.dumps({"model": "text-embedding-3-small", "messages": [{"role": "user", "content": "x"}]})
    with pytest.raises((NotFoundError, InvalidModelRequestError)):
        await world.ask(body)
    assert request()


async def test_an_answer_is_gone_on_from_with_its_own_model_alone():
    world = World()
    world.provider.script = stored
    await world.ask(respond(), operation=RESPONSES)
    with pytest.raises(InvalidModelRequestError) as caught:
        await world.ask(respond(model="gpt-4o-mini", previous_response_id="resp_1"), operation=RESPONSES)
    assert caught.value.param == "model"
    assert len(world.provider.bodies) == 1


async def test_who_cannot_pay_takes_nothing_of_the_providers_limits():
    world = World(limit_usd_micros=1, quota=Quota(rpm=3, rpd=3, tpm=2000), max_waiting=0)
    for _ in range(20):
        with pytest.raises(BudgetExhaustedError):
            await world.ask()
    world.books.open_account("key/k1", 10**6)
    assert (await world.ask()).status == 200


async def test_a_reservation_outlives_the_queue_and_every_model_of_its_chain():
    world = World(models=chain(gpt_4o=("gpt-4o-mini",)), deadline_s=100.0)
    seen = []

    def script(_):
        seen.extend(world.books._state.reservations.values())
        return answer()

    world.provider.script = script
    await world.ask()
    assert seen[0].expires_ns - seen[0].created_ns >= 2 * (100 + 30) * 10**9
