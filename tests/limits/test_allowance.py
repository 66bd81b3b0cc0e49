"""One account's limits together: places, leases, holds, a day, a second, and the first calls."""

import random

import orjson
import pytest

from macroslow.limits.admission import AccountQuota, Charge, Ended, Pace, Quota, Verdict, Window
from macroslow.limits.allowance import (
    DAY_NS,
    FIRST_CALLS,
    LONGEST_CALL_NS,
    MAX_HOLD_NS,
    Allowance,
    Recent,
)

S = 10**9
NOW = 10**15
ANSWERED = Ended(1, Verdict.ANSWERED)


def allowance(**quota) -> Allowance:
    return Allowance(AccountQuota("a", Quota(**{"pace": Pace.MINUTE, **quota})))


@pytest.mark.parametrize(("head_ns", "least_per_s"), [(S // 50, 3.8), (2 * S, 2.5)])
def test_no_second_sees_more_than_its_share_of_the_minute_however_long_calls_are_on_their_way(
    head_ns, least_per_s
):
    one, now_ns, arrived, heads = allowance(rpm=200, tpm=10**6, pace=None), NOW, [], []
    draw = random.Random(1)
    while now_ns < NOW + 30 * S:
        fits_ns = one.fits_ns(1, now_ns)
        if heads and heads[0][0] <= fits_ns:
            now_ns, granted = heads.pop(0)
            one.heard(granted, {}, now_ns, 0)
            continue
        now_ns = fits_ns
        granted = one.enter(str(len(arrived)), 1, now_ns)
        arrived.append(now_ns + draw.randint(0, min(head_ns, S // 2)))
        heads.append((now_ns + head_ns, granted))
    for at_ns in arrived:
        assert sum(at_ns <= other < at_ns + S for other in arrived) <= 4
    assert len(arrived) >= 30 * least_per_s


def test_requests_come_as_they_come_where_the_operator_says_so():
    free = allowance(rpm=200, tpm=10**6, pace=Pace.MINUTE)
    for number in range(190):
        assert free.admits(1, NOW)
        free.enter(str(number), 1, NOW)


def test_a_day_is_any_twenty_four_hours():
    one, now_ns = allowance(rpd=10), NOW
    one.leave(one.enter("first", 1, now_ns), ANSWERED, now_ns)
    for number in range(9):
        now_ns += 3600 * S
        assert one.admits(1, now_ns)
        one.enter(str(number), 1, now_ns)
    assert not one.admits(1, now_ns)
    fits_ns = one.fits_ns(1, now_ns)
    assert NOW + DAY_NS <= fits_ns <= NOW + DAY_NS + 120 * S
    held = one.held_by(1, now_ns)
    assert one.admits(1, fits_ns)
    assert (held.name, held.count, held.period_s) == ("requests per day", 10, 86_400)


def test_places_at_once_are_given_back_and_those_of_a_crash_end_by_themselves():
    one = allowance(concurrent=2)
    first = one.enter("first", 1, NOW)
    one.enter("second", 1, NOW + S)
    assert one.fits_ns(1, NOW + S) is None
    assert not one.admits(1, NOW + S)
    one.leave(first, ANSWERED, NOW + S)
    one.leave(first, ANSWERED, NOW + S)  # once more: nothing happens
    assert one.in_flight(NOW + S) == 1
    assert one.admits(1, NOW + S)
    one.renew(["second", "unknown"], NOW + 2 * S)
    assert one.in_flight(NOW + S + LONGEST_CALL_NS) == 1
    assert one.in_flight(NOW + 2 * S + LONGEST_CALL_NS) == 0


@pytest.mark.parametrize(
    ("asked_ns", "least_ns", "most_ns"),
    [(7 * S, 7 * S, 7 * S), (0, 0, 0), (None, S, S), (10**18, MAX_HOLD_NS, MAX_HOLD_NS)],
)
def test_a_refusal_is_waited_out_as_long_as_the_provider_asked_and_no_longer_than_a_bound(
    asked_ns, least_ns, most_ns
):
    one = allowance(tpm=1000)
    one.leave(one.enter("x", 10, NOW), Ended(0, Verdict.LIMITED, asked_ns), NOW)
    assert NOW + least_ns <= one.fits_ns(1, NOW) <= NOW + most_ns
    assert one.admits(1, NOW) == (most_ns == 0)
    assert one.admits(1, NOW + most_ns)


def test_refusals_in_a_row_that_do_not_say_for_how_long_are_waited_out_longer_and_longer():
    one, now_ns, waits = allowance(), NOW, []
    for number in range(10):
        one.leave(one.enter(str(number), 1, now_ns), Ended(0, Verdict.LIMITED), now_ns)
        waits.append(one.held_until_ns - now_ns)
        now_ns = one.held_until_ns
    assert waits[:4] == [S, 2 * S, 4 * S, 8 * S]
    assert waits[-1] <= 64 * S
    one.leave(one.enter("good", 1, now_ns), ANSWERED, now_ns)
    one.leave(one.enter("bad", 1, now_ns), Ended(0, Verdict.LIMITED), now_ns)
    assert one.held_until_ns == now_ns + S


@pytest.mark.parametrize(
    ("verdict", "counted"),
    [(Verdict.ANSWERED, 40), (Verdict.UNKNOWN, 40), (Verdict.LIMITED, 300), (Verdict.FAILED, 300)],
)
def test_what_failed_or_was_refused_stays_counted_in_full(verdict, counted):
    one = allowance(tpm=1000, window=Window.SLIDING, charge=Charge.USED)
    one.leave(one.enter("x", 300, NOW), Ended(40, verdict), NOW)
    assert one.tokens.remaining(NOW) == 1000 - counted


def test_what_is_withdrawn_never_was():
    one = allowance(tpm=1000, rpm=60, rpd=5, pace=None, concurrent=1)
    before = one.limits(NOW)
    for number in range(20):
        assert one.admits(900, NOW)
        granted = one.enter(str(number), 900, NOW)
        one.withdraw(granted, NOW)
        one.withdraw(granted, NOW)
    assert one.admits(900, NOW)
    assert one.limits(NOW) == before


def test_until_the_first_answer_tells_few_go_and_few_more_each_second():
    one = allowance()
    for number in range(FIRST_CALLS):
        assert one.admits(1, NOW)
        one.enter(str(number), 1, NOW)
    assert not one.admits(1, NOW)
    assert one.fits_ns(1, NOW + S // 2) == NOW + S
    for number in range(FIRST_CALLS):
        assert one.admits(1, NOW + S)
        one.enter(f"later {number}", 1, NOW + S)
    assert not one.admits(1, NOW + S)
    first = one.enter("heard", 1, NOW + S)
    one.heard(first, {}, NOW + S, NOW)
    assert all(one.admits(10**9, NOW + S) for _ in range(100))


def test_what_is_said_of_requests_a_day_is_not_taken_for_a_minute():
    one = allowance()
    said = {"limit": "200", "remaining": "199", "reset": "7m12s"}
    one.heard(one.enter("x", 1, NOW), {f"x-ratelimit-{k}-requests": v for k, v in said.items()}, NOW, 0)
    assert one.requests.limit is None


def test_a_first_call_that_failed_makes_room_for_another():
    one = allowance()
    granted = [one.enter(str(number), 1, NOW) for number in range(FIRST_CALLS)]
    one.leave(granted[0], Ended(0, Verdict.FAILED), NOW)
    assert one.admits(1, NOW)
    one.leave(granted[1], ANSWERED, NOW)
    assert all(one.admits(1, NOW) for _ in range(100))


def test_calls_of_before_a_restart_still_count():
    for window in Window:
        one = allowance(tpm=1000, rpm=100, rpd=50, window=window, charge=Charge.USED)
        calls = [Recent(at * 10 * S, 200, 100) for at in range(12)] + [Recent(DAY_NS - 600 * S, 1, 1)]
        for call in sorted(calls, key=lambda call: -call.age_ns):
            one.seed(call, NOW)
        rpm, tpm, rpd = (each.remaining for each in one.limits(NOW))
        if window is Window.SLIDING:
            assert (rpm, tpm, rpd) == (93, 300, 37)
        else:
            assert tpm < 1000 - 100 - 32 + 1
            assert rpm < 97
            assert rpd == 37
        assert one.in_flight(NOW) == 0


def test_it_is_stored_and_taken_up_again():
    one = allowance(tpm=1000, rpm=60, rpd=5, concurrent=3, pace=None)
    granted = one.enter("x", 100, NOW)
    one.enter("y", 300, NOW + S)
    one.heard(granted, {"x-ratelimit-limit-tokens": "900", "x-ratelimit-remaining-tokens": "700"}, NOW + S, 0)
    two = allowance(tpm=1000, rpm=60, rpd=5, concurrent=3, pace=None)
    two.restore(one.state(), NOW + 2 * S)
    for each in (one, two):
        each.leave(granted, Ended(50, Verdict.ANSWERED), NOW + 2 * S)
    assert two.limits(NOW + 2 * S) == one.limits(NOW + 2 * S)
    assert two.in_flight(NOW + 2 * S) == 1
    assert two.limits(NOW + 3 * S) == one.limits(NOW + 3 * S)
    assert two.most_tokens == one.most_tokens == 871


def test_a_state_of_the_whole_day_is_small_enough_to_share():
    one, now_ns = allowance(tpm=10**7, rpm=10**5, rpd=10**7, concurrent=500), NOW
    for number in range(4_500):
        now_ns += 60 * S if number < 1_500 else S // 50
        granted = one.enter(f"012345-{number:x}", 1000, now_ns)
        if number < 4_000:
            one.leave(granted, Ended(500, Verdict.ANSWERED), now_ns)
    assert len(orjson.dumps(one.state())) < 64 * 1024
