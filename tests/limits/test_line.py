"""Who goes where next: order, promises kept, accounts that rest."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from macroslow.errors import RateLimitedError, UpstreamUnavailableError
from macroslow.limits.admission import AccountQuota, Charge, Demand, Ended, Pace, Quota, Verdict, Window
from macroslow.limits.allowance import Allowance
from macroslow.limits.line import Planner, Rests
from macroslow.limits.queue import FairQueue

S = 10**9
NOW = 10**14


def allowance(name: str = "a", **quota) -> Allowance:
    made = Allowance(AccountQuota(name, Quota(**{"pace": Pace.MINUTE, "charge": Charge.MOST, **quota})))
    long_ago_ns = NOW - 600 * S
    made.leave(made.enter("first", 0, long_ago_ns), Ended(0, Verdict.ANSWERED), long_ago_ns)
    return made


def demand(principal: str, tokens: int, among: tuple[str, ...] | None = None) -> Demand:
    return Demand(principal, tokens, among=among)


def queue_of(*demands: Demand) -> FairQueue:
    queue = FairQueue()
    for each in demands:
        queue.push(each)
    return queue


def planner(*allowances: Allowance, now_ns: int = NOW, rests: Rests | None = None) -> Planner:
    awake = Rests((0,) * len(allowances), frozenset())
    names = itertools.count()
    return Planner("p", allowances, rests or awake, now_ns, (f"{now_ns}-{number}" for number in names))


def names(plan) -> list[str]:
    return [grant.demand.principal for grant in plan.grants]


def test_those_who_fit_go_in_the_order_of_the_queue():
    plan = planner(allowance(rpm=600, tpm=100_000)).plan(queue_of(*(demand(name, 10) for name in "abcab")))
    assert "".join(names(plan)) == "abcab"
    assert plan.again_ns is None


def test_a_small_call_passes_a_large_one_only_into_room_that_the_large_one_will_not_need():
    one = allowance(tpm=1000, rpm=600, window=Window.SLIDING)
    old = one.enter("old", 600, NOW - 30 * S)
    assert old.tokens == 600
    queue = queue_of(demand("large", 900), demand("small", 100), demand("middle", 150), demand("tiny", 1))
    plan = planner(one).plan(queue)
    assert names(plan) == ["small"]  # 900 + 100 fit when the 600 have gone; nothing else does
    assert NOW + 30 * S <= plan.again_ns <= NOW + 32 * S


def test_nobody_passes_where_the_first_waits_for_another_to_leave():
    one = allowance(concurrent=2)
    one.enter("x", 1, NOW)
    one.enter("y", 1, NOW)
    plan = planner(one).plan(queue_of(demand("a", 5), demand("b", 1)))
    assert (plan.grants, plan.again_ns) == ([], None)


def test_one_who_passes_does_not_take_the_last_place():
    one = allowance(tpm=1000, concurrent=2)
    one.enter("old", 900, NOW)
    plan = planner(one).plan(queue_of(demand("large", 900), demand("small", 10)))
    assert plan.grants == []


calls = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from([1, 20, 100, 400, 960]), st.integers(0, 8 * S)),
    min_size=4,
    max_size=20,
)


@settings(max_examples=25, deadline=None)
@given(calls, st.sampled_from(Window), st.sampled_from([*Charge, None]), st.sampled_from([12, 600]))
@example([("a", 1, 0), ("a", 20, 0), ("a", 960, 0), ("b", 1, 1)], Window.BUCKET, Charge.MOST, 600)
def test_the_first_that_waits_is_never_delayed_by_those_who_pass_it(arrivals, window, charge, rpm):
    """Its promised start never moves away while its turn is the next, and then it goes."""
    one = allowance(tpm=1000, rpm=rpm, window=window, charge=charge, pace=None)
    queue, now_ns, waiting = FairQueue(), NOW, sorted(arrivals, key=lambda call: call[2])
    promised: tuple[Demand | None, int] = None, 0
    for _ in range(400):
        while waiting and NOW + waiting[0][2] <= now_ns:
            principal, tokens, _ = waiting.pop(0)
            queue.push(demand(principal, tokens))
        turn = queue.walk().demand
        plan = planner(one, now_ns=now_ns).plan(queue)
        for grant in plan.grants:
            queue.take(grant.demand)
        first = queue.walk().demand
        if first is None and not waiting:
            break
        if first is not None:
            start_ns = one.fits_ns(first.tokens, now_ns)
            assert start_ns > now_ns
            if first is turn is promised[0]:  # else one with an older right to go has come
                assert start_ns <= promised[1]
            promised = first, start_ns
        soon = [NOW + waiting[0][2]] if waiting else []
        now_ns = min(soon + ([plan.again_ns] if plan.again_ns is not None else []))
    else:
        pytest.fail("somebody starves")


def test_the_account_with_most_room_is_taken():
    first, second = allowance("a", tpm=1000), allowance("b", tpm=1000)
    first.enter("x", 500, NOW)
    plan = planner(first, second).plan(queue_of(demand("p", 100)))
    assert plan.grants[0].account == 1


def test_a_call_goes_only_to_the_accounts_that_are_named():
    first, second = allowance("a", rpm=1000), allowance("b", rpm=1)
    waiting = [demand("p", 1, among=("b",)), demand("q", 1, among=("b",)), demand("r", 1)]
    plan = planner(first, second).plan(queue_of(*waiting))
    assert [(grant.demand, grant.account) for grant in plan.grants] == [(waiting[0], 1), (waiting[2], 0)]
    assert plan.again_ns is not None


def test_other_accounts_are_free_while_one_is_promised():
    first, second = allowance("a", tpm=1000), allowance("b", tpm=100)
    first.enter("x", 900, NOW)
    plan = planner(first, second).plan(
        queue_of(demand("large", 900), demand("small", 90), demand("more", 150))
    )
    assert [(grant.demand.principal, grant.account) for grant in plan.grants] == [("small", 1)]


def test_accounts_that_rest_are_passed_over_and_when_all_do_it_says_until_when():
    first, second = allowance("a"), allowance("b")
    plan = planner(first, second, rests=Rests((S, 0), frozenset({0}))).plan(queue_of(demand("p", 1)))
    assert plan.grants[0].account == 1
    plan = planner(first, second, rests=Rests((3 * S, 5 * S), frozenset({0, 1}))).plan(
        queue_of(demand("p", 1))
    )
    [(_, error)] = plan.refusals
    assert isinstance(error, UpstreamUnavailableError)
    assert "3.0 s" in error.fix
    assert error.retry_after_s == 3.0
    assert error.nothing_done, "it was not sent: its idempotency key is given back"


def test_while_the_trial_of_the_only_account_is_under_way_others_come_back_in_no_less_than_a_second():
    plan = planner(allowance("a"), rests=Rests((0,), frozenset({0}))).plan(
        queue_of(demand("p", 1), demand("p", 1))
    )
    assert len(plan.grants) == 1
    [(_, error)] = plan.refusals
    assert isinstance(error, UpstreamUnavailableError)
    assert error.retry_after_s == 1.0


def test_an_account_on_trial_gets_one_call():
    first, second = allowance("a"), allowance("b", tpm=100)
    second.enter("x", 50, NOW)
    queue = queue_of(*(demand("p", 1) for _ in range(4)))
    plan = planner(first, second, rests=Rests((0, 0), frozenset({0}))).plan(queue)
    assert [grant.account for grant in plan.grants] == [0, 1, 1, 1]


def test_a_call_that_no_account_can_take_is_refused_by_its_size():
    plan = planner(allowance("a", tpm=100), allowance("b", tpm=200)).plan(queue_of(demand("p", 500)))
    [(_, error)] = plan.refusals
    assert isinstance(error, RateLimitedError)
    assert error.count == 193
    assert "waiting does not help" in error.fix


def test_a_plan_changes_nothing_of_the_queue():
    queue = queue_of(*(demand(name, 10) for name in "abcab"))
    before = (len(queue), queue.tokens, queue.walk().demand)
    planner(allowance(tpm=40)).plan(queue)
    assert (len(queue), queue.tokens, queue.walk().demand) == before
