"""What was sent before a start counts on: of two minutes, or of a day where a provider counts days."""

from tests.contract.changes import reserve, settle
from tests.contract.fake_books import FakeBooks
from tests.limits.traffic import Seeded
from tests.services.key_house import START_NS, SetClock

from macroslow.limits.admission import AccountQuota, Pace, Quota, Window
from macroslow.metering.ledger import OpenAccount
from macroslow.ports import MINUTE_NS, NS_PER_S
from macroslow.services.calls.admission import Admission
from macroslow.services.calls.seed_admission import SeedAdmission

HOUR_NS = 60 * MINUTE_NS
LINES = {
    (provider, model): [
        AccountQuota(provider, Quota(tpm=1000, rpd=100, window=Window.SLIDING, pace=Pace.MINUTE))
    ]
    for provider, model in (("openai", "small"), ("openai", "large"))
}


async def left_after(*ages_ns: int, daily: bool, model: str = "small") -> dict[str, int]:
    """What is left of each limit after a start that so many calls, of 30 tokens each, went before."""
    books, clock = FakeBooks(), SetClock()
    await books.commit(OpenAccount("a", None))
    for number, age_ns in enumerate(ages_ns):
        name = f"call-{number}"
        made = reserve(name, "a", 1, model=model, created_ns=START_NS - age_ns)
        await books.commit(made, settle(name, 1, settled_ns=START_NS - age_ns + 1))
    admission = Admission(LINES, clock, Seeded(1))
    await SeedAdmission(books, admission, clock)(daily=daily)
    return {each.name: each.remaining for line in admission.report() for each in line.limits}


async def test_calls_of_the_last_minute_are_counted_in_their_own_line() -> None:
    assert await left_after(NS_PER_S, 2 * NS_PER_S, daily=False) == {"tpm": 940, "rpd": 98}
    books, clock = FakeBooks(), SetClock()
    admission = Admission(LINES, clock, Seeded(1))
    await SeedAdmission(books, admission, clock)(daily=False)
    assert admission.report() == []


async def test_older_calls_count_where_a_day_is_counted_and_only_there() -> None:
    assert await left_after(NS_PER_S, HOUR_NS, 23 * HOUR_NS, daily=True) == {"tpm": 970, "rpd": 97}
    assert await left_after(NS_PER_S, HOUR_NS, 23 * HOUR_NS, daily=False) == {"tpm": 970, "rpd": 99}
    assert await left_after(NS_PER_S, 25 * HOUR_NS, daily=True) == {"tpm": 970, "rpd": 99}


async def test_a_call_whose_end_nobody_saw_is_a_request_without_tokens() -> None:
    books, clock = FakeBooks(), SetClock()
    await books.commit(OpenAccount("a", None), reserve("open", "a", 1, created_ns=START_NS - NS_PER_S))
    admission = Admission(LINES, clock, Seeded(1))
    await SeedAdmission(books, admission, clock)(daily=False)
    (line,) = admission.report()
    assert (line.provider, line.model) == ("openai", "small")
    assert {each.name: each.remaining for each in line.limits} == {"tpm": 1000, "rpd": 99}


async def test_a_call_of_a_clock_that_was_ahead_counts_as_new() -> None:
    assert await left_after(-HOUR_NS, daily=False) == {"tpm": 970, "rpd": 99}
