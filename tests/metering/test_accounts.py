"""The rules of money, by themselves: what a refusal says, and what no sequence of them can do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.changes import reserve

from macroslow.errors import BudgetExhaustedError, ConflictError, NotFoundError
from macroslow.metering.accounts import bounded, closed, counted, opened, reserved, settled
from macroslow.metering.ledger import MAX_COUNT, Account, Budget, OpenAccount

RESETS_S = 1_769_904_000  # 2026-02-01 00:00 UTC
DAY = Budget("tag/ci/day/2026-01-31", 100, RESETS_S)
TOTAL = Budget("tag/ci/total", 100)


def counter(spent: int, held: int, budget: Budget = DAY) -> Account:
    return Account(budget.id, None, budget.limit_usd_micros, spent, held, counter=True)


def refusal(before: Account, needed: int, budget: Budget = DAY) -> BudgetExhaustedError:
    with pytest.raises(BudgetExhaustedError) as refused:
        counted(before, budget, reserve("r", "a", needed))
    return refused.value


@pytest.mark.parametrize(
    ("spent", "held", "needed", "budget", "fix"),
    [
        (60, 0, 50, DAY, "ask for less, or wait until the budget resets at 2026-02-01 00:00 UTC"),
        (20, 60, 50, DAY,
         "wait for work under way, ask for less, or wait until the budget resets at 2026-02-01 00:00 UTC"),
        (60, 10, 50, DAY, "ask for less, or wait until the budget resets at 2026-02-01 00:00 UTC"),
        (0, 0, 101, DAY, "ask for less, or have the budget raised"),
        (60, 0, 50, TOTAL, "ask for less, or have the budget raised"),
        (20, 60, 50, TOTAL, "wait for work under way, ask for less, or have the budget raised"),
    ],
)  # fmt: skip
def test_a_budgets_refusal_advises_what_would_help(
    spent: int, held: int, needed: int, budget: Budget, fix: str
) -> None:
    error = refusal(counter(spent, held, budget), needed, budget)
    assert error.fix == fix
    assert error.resets_s == budget.resets_s
    assert budget.id in error.detail
    assert f"${needed / 10**6:.6f} needed" in error.detail


def test_a_keys_refusal_advises_another_key() -> None:
    with pytest.raises(BudgetExhaustedError) as refused:
        reserved(Account("key/k1", None, 100, 90, 0), reserve("r", "key/k1", 20), parents({}), {}.get)
    assert (refused.value.budget, refused.value.resets_s) == ("key/k1", None)
    assert refused.value.fix == "ask for less, or use a key with a larger budget"


def test_the_newest_limit_is_the_one_in_force_and_the_one_kept() -> None:
    lower, higher = replace(DAY, limit_usd_micros=50), replace(DAY, limit_usd_micros=500)
    with pytest.raises(BudgetExhaustedError):
        counted(counter(40, 0), lower, reserve("r", "a", 11))
    after = counted(counter(40, 0), higher, reserve("r", "a", 400))
    assert after == Account(DAY.id, None, 500, 40, 400, counter=True)


@pytest.mark.parametrize("count", [-1, MAX_COUNT + 1, True, 1.0, "1", None])
def test_only_whole_amounts_within_bounds_are_amounts(count: object) -> None:
    with pytest.raises(ValueError):
        bounded(count)  # type: ignore[arg-type]


def test_a_counter_never_overflows() -> None:
    full = counter(0, MAX_COUNT)
    with pytest.raises(ValueError):
        counted(full, DAY, replace(reserve("r", "a", 1), enforced=False))


@pytest.mark.parametrize("limit", [None, 5])
def test_a_counter_is_no_account(limit: int | None) -> None:
    held = counter(0, 1)
    of = parents({held.id: held})
    for attempt in (
        lambda: opened(held, OpenAccount(held.id, limit), of),
        lambda: opened(None, OpenAccount("child", limit, held.id), of),
        lambda: closed(held, of),
        lambda: reserved(held, reserve("r", held.id, 0), of, {}.get),
        lambda: counted(Account(DAY.id, None, None, 0, 0), DAY, reserve("r", "a", 0)),
    ):
        with pytest.raises(ConflictError):
            attempt()


class Ledger:
    """Accounts that the rules change, and the slow truth beside them."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.open: dict[str, tuple[str, int, tuple[str, ...]]] = {}

    def put(self, changed: list[Account]) -> None:
        assert len({account.id for account in changed}) == len(changed), "an account changed twice"
        self.accounts |= {account.id: account for account in changed}

    def of(self, name: str) -> Account:
        if name not in self.accounts:
            raise NotFoundError(name)
        return self.accounts[name]


def parents(accounts: dict[str, Account]):
    return accounts.__getitem__


BUDGETS = (DAY, TOTAL, Budget("all/total", 150), Budget("team/lab/month/2026-01", 0))
TREE = (
    OpenAccount("top", 200),
    OpenAccount("key", None, "top"),
    OpenAccount("run", 90, "key"),
    OpenAccount("free", None),
)
moves = st.one_of(
    st.tuples(
        st.just("reserve"),
        st.sampled_from([change.id for change in TREE]),
        st.integers(0, 80),
        st.sets(st.sampled_from(BUDGETS)).map(lambda chosen: tuple(sorted(chosen, key=lambda one: one.id))),
    ),
    st.tuples(st.just("settle"), st.integers(0, 100), st.floats(0, 1), st.none()),
)


@given(st.lists(moves, max_size=40))
def test_no_sequence_of_moves_passes_a_limit_or_leaves_something_held(history) -> None:
    ledger = Ledger()
    for change in TREE:
        ledger.put(opened(None, change, ledger.of))
    for number, (move, first, second, budgets) in enumerate(history):
        before = dict(ledger.accounts)
        if move == "reserve":
            change = reserve(f"r{number}", first, second, budgets=budgets)
            try:
                changed = reserved(ledger.of(first), change, ledger.of, ledger.accounts.get)
            except BudgetExhaustedError as error:
                refused = error
            else:
                ledger.put(changed)
                ledger.open[change.id] = (first, second, tuple(budget.id for budget in budgets))
                continue
            assert ledger.accounts == before
            assert refused.spent_usd_micros + refused.held_usd_micros + second > refused.limit_usd_micros
        elif ledger.open:
            name = sorted(ledger.open)[first % len(ledger.open)]
            account, held, counters = ledger.open.pop(name)
            counted_in = [ledger.of(one) for one in counters]
            ledger.put(settled(ledger.of(account), counted_in, held, int(held * second), ledger.of))
        for account in ledger.accounts.values():
            limit = account.limit_usd_micros
            assert limit is None or account.spent_usd_micros + account.held_usd_micros <= limit
    for account, held, counters in ledger.open.values():
        counted_in = [ledger.of(one) for one in counters]
        ledger.put(settled(ledger.of(account), counted_in, held, held, ledger.of))
    ledger.put(closed(ledger.of("run"), ledger.of))
    assert {account.held_usd_micros for account in ledger.accounts.values()} == {0}
    for account in ledger.accounts.values():
        assert account.limit_usd_micros is None or account.spent_usd_micros <= account.limit_usd_micros
