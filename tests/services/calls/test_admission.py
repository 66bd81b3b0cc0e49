"""Waiting for a place: order, bounds, callers that go away, failures, and several processes on one store."""

import asyncio
import itertools
import random

import pytest
from tests.contract.fake_rate_store import FakeRates, FakeRateStore
from tests.limits.reference_providers import Provider
from tests.limits.traffic import Seeded, Traffic
from tests.limits.virtual_time import LoopClock, run

from macroslow.errors import OverloadedError, RateLimitedError, UpstreamUnavailableError
from macroslow.limits.admission import AccountQuota, Charge, Demand, Ended, Pace, Quota, Verdict, Window
from macroslow.limits.allowance import Recent
from macroslow.limits.breaker import FAILURES_IN_A_ROW, REST_NS
from macroslow.services.calls.admission import Admission, Place

S = 10**9
_seeds = itertools.count(1)
ANSWERED = Ended(1, Verdict.ANSWERED)


def quota(**limits) -> Quota:
    return Quota(**{"pace": Pace.MINUTE, **limits})


def admission(*quotas: Quota, **more) -> Admission:
    accounts = [AccountQuota(name, each) for name, each in zip("abc", quotas or (quota(),), strict=False)]
    return Admission({("p", "m"): accounts}, LoopClock(), Seeded(next(_seeds)), **more)


async def enter(
    gates: Admission, principal: str = "p", tokens: int = 1, among: tuple[str, ...] | None = None, **more
) -> Place:
    return await gates.enter("p", "m", Demand(principal, tokens, among=among), **more)


async def open_up(gates: Admission) -> None:
    """One answer, so that it is known that the provider tells no limits."""
    place = await enter(gates)
    gates.heard(place, {})
    gates.leave(place, ANSWERED)


def virtually(test):
    """Run a test in virtual time: pytest sees a plain function."""

    def wrapped(**fixtures):
        run(test(**fixtures))

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@virtually
async def test_without_limits_everyone_enters():
    gates = admission()
    await open_up(gates)
    places = [await enter(gates) for _ in range(100)]
    assert gates.report()[0].in_flight == 100
    for place in places:
        assert (place.account, place.waited_ns) == ("a", 0)
        gates.leave(place, ANSWERED)
    assert gates.most_tokens("p", "m") is None
    assert gates.report()[0].in_flight == 0


@virtually
async def test_a_model_that_is_not_configured_is_one_account_under_the_providers_name():
    place = await admission().enter("other", "model", Demand("p", 10**9))
    assert place.account == "other"


@virtually
async def test_a_limit_that_time_lifts_is_waited_for():
    gates = admission(quota(rpm=60, window=Window.BUCKET))
    for _ in range(58):
        gates.leave(await enter(gates), ANSWERED)
    began_s = asyncio.get_running_loop().time()
    place = await enter(gates)
    assert 0.9 <= asyncio.get_running_loop().time() - began_s <= 1.1
    assert 0.9 * S <= place.waited_ns <= 1.1 * S


@virtually
async def test_principals_take_turns():
    gates, order = admission(quota(concurrent=1)), []
    place = await enter(gates)

    async def caller(principal: str) -> None:
        got = await enter(gates, principal)
        order.append(principal)
        gates.leave(got, ANSWERED)

    tasks = [asyncio.create_task(caller(name)) for name in "aaaabb"]
    await turns()
    gates.leave(place, ANSWERED)
    await asyncio.gather(*tasks)
    assert "".join(order) == "ababaa"


@virtually
async def test_refunds_let_in_who_waits():
    gates = admission(quota(tpm=1000, window=Window.SLIDING, charge=Charge.USED))
    place = await enter(gates, tokens=900)
    waiting = asyncio.create_task(enter(gates, tokens=900))
    await turns()
    assert gates.waiting() == 1
    gates.leave(place, Ended(50, Verdict.ANSWERED))
    await turns()
    assert waiting.done()


@virtually
async def test_a_wait_that_is_surely_too_long_is_refused_at_once_and_the_batch_api_named():
    gates = admission(quota(rpd=1), max_wait_s=60)
    gates.leave(await enter(gates), ANSWERED)
    began_s = asyncio.get_running_loop().time()
    with pytest.raises(RateLimitedError) as caught:
        await enter(gates)
    assert asyncio.get_running_loop().time() == began_s
    assert (caught.value.limit, caught.value.count, caught.value.period_s) == ("requests per day", 1, 86_400)
    assert 86_400 <= caught.value.retry_after_s <= 86_400 + 120
    assert "Batch API" in caught.value.fix


@virtually
async def test_a_refusal_says_when_it_would_pass_and_then_it_passes():
    gates = admission(quota(tpm=6000, window=Window.BUCKET), max_wait_s=5)
    await enter(gates, tokens=5800)
    with pytest.raises(RateLimitedError) as caught:
        await enter(gates, tokens=3000)
    assert caught.value.limit == "tokens per minute"
    assert "Batch" not in caught.value.fix
    await asyncio.sleep(caught.value.retry_after_s)
    await enter(gates, tokens=3000, wait_s=0.001)


@virtually
async def test_waiting_ends_at_its_bound_and_leaves_nothing():
    gates = admission(quota(concurrent=1), max_wait_s=2)
    place = await enter(gates)
    for wait_s in (None, 0.5, 0.0):
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(RateLimitedError) as caught:
            await enter(gates, wait_s=wait_s)
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(
            2 if wait_s is None else wait_s, abs=0.01
        )
        assert caught.value.limit == "calls at once"
        assert gates.waiting() == 0
    gates.leave(place, ANSWERED)
    await enter(gates)


@virtually
async def test_a_full_queue_refuses_and_one_principal_cannot_fill_it():
    gates = admission(quota(concurrent=1), max_waiting=10)
    await enter(gates)
    tasks = [asyncio.create_task(enter(gates, "a")) for _ in range(9)]
    await turns()
    with pytest.raises(RateLimitedError):  # alone in the queue, and yet a place is left for others
        await enter(gates, "a")
    tasks.append(asyncio.create_task(enter(gates, "b")))
    await turns()
    assert gates.waiting() == 10
    with pytest.raises(RateLimitedError):
        await enter(gates, "c")
    for task in tasks[:5]:
        task.cancel()
    await turns()
    tasks.append(asyncio.create_task(enter(gates, "a")))
    await turns()
    with pytest.raises(RateLimitedError):  # beside another, half of it is the most
        await enter(gates, "a")
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert gates.waiting() == 0


@virtually
async def test_a_place_given_to_one_that_just_left_goes_to_the_next():
    for order in ("leave first", "cancel first"):
        gates = admission(quota(concurrent=1))
        place = await enter(gates)
        gone, stays = asyncio.create_task(enter(gates)), asyncio.create_task(enter(gates))
        await turns()
        if order == "leave first":
            gates.leave(place, ANSWERED)  # the place is given to `gone`, which has not run since
            gone.cancel()
        else:
            gone.cancel()
            gates.leave(place, ANSWERED)
        await asyncio.wait_for(stays, 5)
        assert gone.cancelled()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_cancelling_at_any_point_leaves_nothing_behind(shared, seed):
    async def main() -> None:
        draw = random.Random(seed)
        store = FakeRateStore(store_in_virtual_time()) if shared else None
        gates = admission(quota(concurrent=2, tpm=2000, rpm=100), store=store)

        async def caller(name: str) -> None:
            place = await enter(gates, name, draw.randint(1, 900))
            try:
                gates.heard(place, {})
                await asyncio.sleep(draw.random())
            finally:
                gates.leave(place, Ended(1, draw.choice([Verdict.ANSWERED, Verdict.UNKNOWN])))

        tasks = [asyncio.create_task(caller(draw.choice("xyz"))) for _ in range(40)]
        while not all(task.done() for task in tasks):
            await (turns(draw.randint(0, 3)) if draw.random() < 0.7 else asyncio.sleep(draw.random()))
            draw.choice(tasks).cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        expected = (asyncio.CancelledError, RateLimitedError, type(None))
        assert all(isinstance(outcome, expected) for outcome in outcomes)
        await turns(50)
        await asyncio.sleep(200)
        await gates.close()
        [report] = gates.report()
        assert (gates.waiting(), report.waiting, report.in_flight) == (0, 0, 0)
        place = await enter(gates, tokens=1900)
        gates.leave(place, ANSWERED)
        await gates.close()

    run(main())


@virtually
async def test_what_is_too_large_for_the_limit_is_refused_at_once():
    gates = admission(quota(tpm=1000))
    assert gates.most_tokens("p", "m") == 968
    with pytest.raises(RateLimitedError) as caught:
        await enter(gates, tokens=969)
    assert caught.value.count == 968


@virtually
async def test_a_refusal_upstream_is_waited_out_and_says_nothing_about_health():
    gates = admission(quota())
    await open_up(gates)
    for _ in range(3 * FAILURES_IN_A_ROW):
        gates.leave(await enter(gates), Ended(0, Verdict.LIMITED, 2 * S))
    assert gates.report()[0].breaker == "closed"
    assert gates.report()[0].held_s == pytest.approx(2, abs=0.01)
    place = await enter(gates)
    assert place.waited_ns == pytest.approx(2 * S, abs=S // 100)


@virtually
async def test_an_account_that_fails_rests_others_serve_and_one_call_tries_it_again():
    gates = admission(quota(), quota())
    await open_up(gates)
    for _ in range(FAILURES_IN_A_ROW):
        place = await enter(gates, among=("a",))
        assert place.account == "a"
        gates.leave(place, Ended(0, Verdict.FAILED))
    assert [each.breaker for each in gates.report()] == ["open", "closed"]
    for _ in range(4):
        place = await enter(gates)
        assert place.account == "b"
        gates.heard(place, {})
    for _ in range(FAILURES_IN_A_ROW):
        gates.leave(await enter(gates), Ended(0, Verdict.FAILED))
    with pytest.raises(UpstreamUnavailableError) as caught:
        await enter(gates)
    assert caught.value.upstream == "p"
    assert "5.0 s" in caught.value.fix
    assert caught.value.retry_after_s == REST_NS / S
    await asyncio.sleep(caught.value.retry_after_s)
    probe = await enter(gates)
    gates.leave(probe, Ended(1, Verdict.ANSWERED))
    await enter(gates)
    assert "closed" in [each.breaker for each in gates.report()]


@virtually
async def test_those_who_wait_are_told_when_the_last_account_comes_to_rest():
    gates = admission(quota(concurrent=FAILURES_IN_A_ROW))
    places = [await enter(gates) for _ in range(4)]
    places.append(await enter(gates, wait_s=10))  # the first seconds let few in
    waiting = asyncio.create_task(enter(gates))
    await turns()
    for place in places:
        gates.leave(place, Ended(0, Verdict.FAILED))
    # Some place came free before the last failed, so the waiting one may be in already.
    outcome = (await asyncio.gather(waiting, return_exceptions=True))[0]
    assert isinstance(outcome, UpstreamUnavailableError | Place)
    with pytest.raises(UpstreamUnavailableError):
        await enter(gates)


@virtually
async def test_observing_counts_and_never_waits_or_refuses():
    gates = admission(quota(rpm=10, tpm=100, concurrent=1), observe=True)
    places = [await enter(gates, tokens=1000) for _ in range(50)]
    assert gates.most_tokens("p", "m") is None
    [report] = gates.report()
    assert report.in_flight == 50
    assert {limit.name: limit.remaining for limit in report.limits} == {"rpm": 0, "tpm": 0, "concurrent": 0}
    for place in places:
        gates.leave(place, ANSWERED)
    assert gates.report()[0].in_flight == 0


@virtually
async def test_calls_of_before_a_restart_still_count():
    gates = admission(quota(tpm=1000, window=Window.SLIDING), quota(tpm=1000, window=Window.SLIDING))
    gates.seed("p", "m", [Recent(20 * S, 500, 500), Recent(30 * S, 900, 900)])
    assert [each.limits[0].remaining for each in gates.report()] == [100, 500]


@virtually
async def test_limits_are_learned_from_the_first_answer():
    gates = admission(Quota())
    places = [await enter(gates, tokens=100) for _ in range(4)]
    rest = [asyncio.create_task(enter(gates, tokens=100)) for _ in range(50)]
    await turns()
    assert not any(task.done() for task in rest)
    head = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "600"}
    gates.heard(places[0], {**head, "x-ratelimit-reset-tokens": "24s"})
    await turns()
    assert sum(task.done() for task in rest) == 4  # three, and the first of the last quarter
    assert gates.most_tokens("p", "m") == 968
    for task in rest:
        task.cancel()
    await asyncio.wait(rest)


# Several processes on one store


def store_in_virtual_time() -> FakeRates:
    rates, clock = FakeRates(), LoopClock()
    rates.now_ns = lambda: clock.now_ns() + 7777 * S  # the store's clock is nobody else's
    return rates


@virtually
async def test_two_processes_share_places_and_tokens():
    rates = store_in_virtual_time()
    limits = quota(concurrent=2, tpm=1000, window=Window.SLIDING, charge=Charge.USED)
    one, two = (admission(limits, store=FakeRateStore(rates)) for _ in range(2))
    first = await enter(one, tokens=100)
    second = await enter(two, tokens=100)
    with pytest.raises(RateLimitedError) as caught:
        await enter(one, wait_s=1)
    assert caught.value.limit == "calls at once"
    waiting = asyncio.create_task(enter(one, tokens=700))
    await asyncio.sleep(1)
    two.leave(second, Ended(100, Verdict.ANSWERED))
    third = await asyncio.wait_for(waiting, 1)
    one.leave(first, Ended(100, Verdict.ANSWERED))
    with pytest.raises(RateLimitedError):
        await enter(two, tokens=200, wait_s=1)
    one.leave(third, Ended(100, Verdict.ANSWERED))
    last = await enter(two, tokens=700, wait_s=1)
    two.leave(last, ANSWERED)
    await asyncio.gather(one.close(), two.close())
    assert one.report()[0].waiting == 0


@pytest.mark.parametrize("algorithm", ["bucket", "sliding"])
def test_processes_on_one_store_never_exceed_a_limit_and_leave_little_unused(algorithm):
    async def main() -> tuple[Provider, int]:
        rates, provider = store_in_virtual_time(), Provider(300, 40_000, algorithm)
        limits = Quota(rpm=300, tpm=40_000)
        traffics = [
            Traffic(provider, limits, clients=10, parallel=2, until_s=120, seed=seed) for seed in (1, 2, 3)
        ]
        for traffic in traffics:
            accounts = {("p", "m"): [AccountQuota("a", limits)]}
            traffic.admission = Admission(
                accounts, LoopClock(), Seeded(traffic.seed), store=FakeRateStore(rates), max_waiting=1000
            )
        outcomes = await asyncio.gather(*(traffic.run() for traffic in traffics))
        await asyncio.gather(*(traffic.admission.close() for traffic in traffics if traffic.admission))
        return provider, sum(outcome.refused_upstream for outcome in outcomes)

    provider, refused = run(main())
    assert refused == 0
    assert provider.share(60, 120) >= (0.95 if algorithm == "bucket" else 0.6)


@virtually
async def test_a_process_that_dies_leaks_no_place():
    rates = store_in_virtual_time()
    dead, alive = (admission(quota(concurrent=1), store=FakeRateStore(rates)) for _ in range(2))
    await enter(dead)
    await dead.close()  # its timers are gone, so it renews nothing
    with pytest.raises(RateLimitedError):
        await enter(alive, wait_s=60)
    await enter(alive, wait_s=60)


@virtually
async def test_a_process_that_lives_keeps_its_place_for_as_long_as_its_call_lasts():
    rates = store_in_virtual_time()
    busy, other = (admission(quota(concurrent=1), store=FakeRateStore(rates)) for _ in range(2))
    place = await enter(busy)
    with pytest.raises(RateLimitedError):
        await enter(other, wait_s=500)
    busy.leave(place, ANSWERED)
    await enter(other, wait_s=1)
    await asyncio.gather(busy.close(), other.close())


class Broken(FakeRateStore):
    """A store that is out of reach while `broken`, before or after it has written."""

    broken = ""

    async def change(self, key, decide):
        if self.broken == "before":
            raise OverloadedError("out of reach")
        result = await super().change(key, decide)
        if self.broken == "after":
            raise OverloadedError("out of reach")
        return result


@pytest.mark.parametrize("when", ["before", "after"])
def test_without_the_store_nobody_is_let_in_and_afterwards_nothing_is_lost(when):
    async def main() -> None:
        store = Broken(store_in_virtual_time())
        gates = admission(
            quota(concurrent=2, tpm=1000, window=Window.SLIDING, charge=Charge.USED), store=store
        )
        place = await enter(gates, tokens=900)
        store.broken = when
        for _ in range(3):
            with pytest.raises(OverloadedError):
                await enter(gates, tokens=1)
        gates.leave(place, Ended(100, Verdict.ANSWERED))
        await asyncio.sleep(10)
        store.broken = ""
        await asyncio.sleep(100)  # places that were written and never told of have run out
        first, second = await enter(gates, tokens=400), await enter(gates, tokens=400)
        gates.leave(first, ANSWERED)
        gates.leave(second, ANSWERED)
        await gates.close()
        assert gates.report()[0].in_flight == 0

    run(main())


@virtually
async def test_a_store_that_knows_is_not_seeded_and_one_that_lost_everything_is():
    rates = store_in_virtual_time()
    limits = quota(tpm=1000, window=Window.SLIDING)
    one = admission(limits, store=FakeRateStore(rates))
    one.seed("p", "m", [Recent(S, 700, 700)])
    one.leave(await enter(one, tokens=10), ANSWERED)
    await one.close()
    assert one.report()[0].limits[0].remaining == 290
    two = admission(limits, store=FakeRateStore(rates))
    two.seed("p", "m", [Recent(S, 700, 700)])
    two.leave(await enter(two, tokens=10), ANSWERED)
    await two.close()
    assert two.report()[0].limits[0].remaining == 280
