"""Twenty clients who want three times what there is, before slow providers of every kind: no 429, ever."""

import random

import pytest
from tests.limits.reference_providers import Provider
from tests.limits.traffic import Outcome, Shape, Traffic
from tests.limits.virtual_time import run

from macroslow.limits.admission import Charge, Pace, Quota, Window

ALGORITHMS = ("bucket", "fixed", "sliding", "second")
CHARGES = ("used", "max_tokens")
QUOTA = Quota(rpm=300, tpm=40_000)
UNTIL_S = 150.0


def go(provider: Provider, quota: Quota = QUOTA, until_s: float = UNTIL_S, **more) -> tuple[Outcome, Traffic]:
    """Run the traffic; afterwards nothing is held, and in time everything is free again."""
    traffic = Traffic(provider, quota, until_s=until_s, parallel=2, **more)
    outcome = run(traffic.run())
    admission = traffic.admission
    assert admission.waiting() == 0
    [account] = admission._line("p", "m").allowances
    later_ns = 10**18
    assert account.in_flight(later_ns) == 0
    assert all(each.remaining >= each.limit - each.limit // 30 - 1 for each in account.limits(later_ns))
    return outcome, traffic


def jain(shares: list[float]) -> float:
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


@pytest.mark.parametrize("charge", CHARGES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_refusal_and_little_is_left_unused(algorithm, charge):
    provider = Provider(300, 40_000, algorithm, charge, skew_s=23.4, lag_s=0.7, resets="newest")
    outcome, _ = go(provider)
    assert provider.refused == outcome.refused_upstream == 0
    known_s = 60 if algorithm in {"bucket", "second"} or charge == "max_tokens" else 125
    assert provider.share(known_s, UNTIL_S) >= 0.9
    if algorithm == "bucket":
        assert provider.share(0, UNTIL_S) >= 1.2  # the burst that is there at the start included
    assert jain([outcome.tokens[f"c{number}"] for number in range(20)]) >= 0.9


@pytest.mark.parametrize("seed", range(8))
def test_no_refusal_whatever_calls_are_like(seed):
    draw = random.Random(seed)
    large = draw.choice([200, 1000, 3000])
    share = draw.choice([(0, 1), (0.1, 0.3), (0.8, 1), (1, 1), (0, 0.05)])

    def size(of: random.Random) -> tuple[int, int, int]:
        most = of.choice([large // 10 + 1, large // 4, large])
        return of.randint(5, max(6, large // 3)), most, int(most * of.uniform(*share))

    algorithm = ALGORITHMS[seed % 4]
    far = (0.002, 0.5) if algorithm == "second" else (0.05, 0.9)
    shape = Shape(
        size, way_s=far, work_s=draw.choice([(0.05, 0.3), (0.3, 3), (2, 25)]), streams=draw.random()
    )
    provider = Provider(
        draw.choice([60, 300]),
        draw.choice([20_000, 60_000]),
        algorithm,
        draw.choice(CHARGES),
        skew_s=draw.uniform(0, 60),
        lag_s=draw.choice([0, 1, 2]),
        resets=draw.choice(["oldest", "newest"]),
    )
    outcome, _ = go(provider, Quota(rpm=provider.rpm, tpm=provider.tpm), shape=shape, seed=seed)
    assert outcome.refused_upstream == 0


@pytest.mark.parametrize("algorithm", ["bucket", "fixed", "sliding"])
def test_limits_that_nobody_told_are_learned_from_the_first_answers(algorithm):
    provider = Provider(300, 40_000, algorithm)
    outcome, traffic = go(provider, Quota())
    assert outcome.refused_upstream == 0
    [account] = traffic.admission._line("p", "m").allowances
    assert (account.requests.limit.count, account.tokens.limit.count) == (300, 40_000)


def test_what_the_operator_knows_need_not_be_learned():
    provider = Provider(300, 40_000, "sliding", "used")
    quota = Quota(rpm=300, tpm=40_000, window=Window.SLIDING, charge=Charge.USED, pace=Pace.MINUTE)
    outcome, _ = go(provider, quota)
    assert outcome.refused_upstream == 0
    assert provider.share(0, 120) >= 0.92


def test_what_others_use_of_the_same_account_is_left_to_them():
    """The provider's reports are the only sign of it; its calls are refused once at most."""
    others = [(float(at), 1, 1500) for at in range(5, 150, 6)]
    provider = Provider(300, 40_000, "bucket", "used", others=others)
    outcome, _ = go(provider)
    assert outcome.refused_upstream == 0
    assert provider.share(60, UNTIL_S) >= 0.55


@pytest.mark.parametrize("algorithm", ["bucket", "sliding"])
def test_weights_are_kept(algorithm):
    weights = {f"c{number}": 3 for number in range(5)}
    outcome, _ = go(Provider(300, 40_000, algorithm), weights=weights, until_s=400)
    weighted = [outcome.tokens[f"c{number}"] / weights.get(f"c{number}", 1) for number in range(20)]
    assert jain(weighted) >= 0.93


def test_large_calls_are_not_starved_by_small_ones():
    def size(draw: random.Random) -> tuple[int, int, int]:
        return (100, 20_000, 20_000) if draw.random() < 0.1 else (20, 100, 50)

    outcome, _ = go(Provider(300, 40_000, "sliding"), shape=Shape(size))
    assert outcome.refused_upstream == 0
    assert max(outcome.waited_s) < UNTIL_S * 0.9
    assert sum(outcome.tokens.values()) > 60_000


def test_requests_alone_can_be_what_is_short():
    def tiny(draw: random.Random) -> tuple[int, int, int]:
        return 5, 5, 5

    for algorithm, least in (("bucket", 0.93), ("sliding", 0.93), ("second", 0.93)):
        provider = Provider(120, 10**6, algorithm)
        outcome, _ = go(
            provider, Quota(rpm=120, tpm=10**6), shape=Shape(tiny, work_s=(0.02, 0.05)), clients=5
        )
        assert outcome.refused_upstream == 0
        requests = sum(1 for at_s, _, _ in provider.counted if 60 <= at_s < UNTIL_S)
        assert requests >= least * 120 * (UNTIL_S - 60) / 60
