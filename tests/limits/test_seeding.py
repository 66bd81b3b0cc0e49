"""Calls of before a start, on a provider's several keys: all of them count, each of them once."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.limits.admission import AccountQuota, Quota, Window
from macroslow.limits.allowance import Allowance, Recent
from macroslow.limits.seeding import seed
from macroslow.ports import DAY_NS, NS_PER_S

NOW = 10**18


def accounts(*quotas: Quota) -> list[Allowance]:
    return [Allowance(AccountQuota(f"p#{number}", quota)) for number, quota in enumerate(quotas)]


def left(account: Allowance, limit: str) -> int:
    return next(each.remaining for each in account.limits(NOW) if each.name == limit)


def test_calls_went_where_there_was_most_room():
    small, large = accounts(Quota(tpm=1_000, window=Window.SLIDING), Quota(tpm=3_000, window=Window.SLIDING))
    seed([small, large], [Recent(number * NS_PER_S, 100, 100) for number in range(20)], NOW)
    assert (left(small, "tpm"), left(large, "tpm")) == (500, 1_500)


def test_calls_of_the_whole_day_are_dealt_out_by_the_days_limits():
    first, second = accounts(Quota(rpd=100), Quota(rpd=300))
    seed([first, second], [Recent(number * DAY_NS // 200, 1, 1) for number in range(200)], NOW)
    assert (left(first, "rpd"), left(second, "rpd")) == (50, 150)


def test_where_no_limit_is_known_yet_every_key_gets_its_part():
    both = accounts(Quota(), Quota())
    seed(both, [Recent(number * NS_PER_S, 100, 100) for number in range(10)], NOW)
    assert [account.tokens.slots.most for account in both] == [500, 500]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 59 * NS_PER_S), st.integers(1, 50)), max_size=30), st.integers(1, 4))
def test_no_call_is_forgotten_and_none_counts_twice(calls, keys):
    several = accounts(*[Quota(tpm=10_000, rpm=1_000, window=Window.SLIDING)] * keys)
    seed(several, [Recent(age_ns, tokens, tokens) for age_ns, tokens in calls], NOW)
    used = Counter(
        {
            name: sum(most - left(each, name) for each in several)
            for name, most in (("tpm", 10_000), ("rpm", 1_000))
        }
    )
    assert used == Counter(tpm=sum(tokens for _, tokens in calls), rpm=len(calls))
