"""When the store fails: who is told what, and that memory and file stay of one mind."""

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.adapters.sqlite.support import drop_keys, open_books
from tests.contract.changes import accept, append, money, reserve, settle

from macroslow.adapters.sqlite import SqliteBooks
from macroslow.errors import (
    BudgetExhaustedError,
    ConflictError,
    DecryptionFailedError,
    LogUnavailableError,
    NotFoundError,
)
from macroslow.metering.ledger import Budget, OpenAccount
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.tree import root_of
from macroslow.workflow.journal import PutObject

_NUMBER = "SELECT n FROM names WHERE name = ?"


@contextmanager
def no_room(path: Path) -> Iterator[None]:
    """No file of this process may grow beyond what the books have now: a full disk."""
    size = max(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def sound(books: SqliteBooks) -> None:
    """Assert that the tree is that of the stored leaves and the counters those of the rows."""
    head = await books.head()
    leaves = await books.leaves(0, head.size + 10)
    assert (head.size, head.root) == (len(leaves), root_of([leaf_hash(leaf) for leaf in leaves]))
    assert await books.audit_ledger() == []


async def test_a_full_disk_fails_the_batch_and_the_books_go_on_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(OpenAccount("a", 100), accept("run"), append(0))
    with no_room(path):
        attempts = [books.commit(reserve(f"r{n}", "a", 1), append(n), new_subject(n)) for n in range(20)]
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {LogUnavailableError}
    assert all(isinstance(error, LogUnavailableError) and error.fix for error in outcomes)
    for error in outcomes:
        assert isinstance(error, LogUnavailableError)
        assert str(tmp_path) not in error.detail + error.fix, "a client reads these"
        assert str(path) in error.reason
    await sound(books)
    assert await money(books, "a") == (0, 0)
    (entry,) = await books.commit(reserve("r0", "a", 1), append(1))
    assert entry.index == 1
    assert await money(books, "a") == (0, 1)
    await sound(books)
    await books.close()
    again = await open_books(path)
    await sound(again)
    await again.close()


def new_subject(number: int) -> PutObject:
    return PutObject("run", f"kind {number}", f"subject {number}", bytes(200_000))


async def test_a_failed_batch_is_not_remembered(tmp_path: Path) -> None:
    """Names, keys and accounts that the failed batch made are made anew by the next."""
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(accept("run"), append(0))
    change = (OpenAccount("new", 9), reserve("r", "new", 4), append(1, "newcomer"), new_subject(1))
    with no_room(path), pytest.raises(LogUnavailableError):
        await books.commit(*change)
    await books.commit(*change)
    assert await money(books, "new") == (0, 4)
    assert await books.entry(1) is not None
    await sound(books)
    await books.close()


async def test_a_value_that_the_store_does_not_take_concerns_its_list_alone(tmp_path: Path) -> None:
    books = await open_books(tmp_path / "books.sqlite")
    await books.commit(OpenAccount("a", 100), accept("run"), append(0))
    bad = PutObject("run", "answer", "alice", "text where bytes belong")  # type: ignore[arg-type]
    worse = reserve("r-bad", "a", 1, model="half of a pair: \ud800")
    outcomes = await asyncio.gather(
        books.commit(reserve("r1", "a", 1), append(1)),
        books.commit(bad, append(2)),
        books.commit(reserve("r2", "a", 1), append(3)),
        books.commit(worse, append(4)),
        books.commit(reserve({"no": "text"}, "a", 1), append(5)),  # type: ignore[arg-type]
        books.commit(reserve(("no", "text"), "a", 1), append(5)),  # type: ignore[arg-type]
        books.commit(reserve("r3", "a", 99)),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    bad_values = [UnicodeEncodeError, TypeError, TypeError]
    assert kinds == [list, ConflictError, list, *bad_values, BudgetExhaustedError]
    assert await money(books, "a") == (0, 2)
    assert (await books.head()).size == 3
    await sound(books)
    await books.close()


async def test_two_processes_may_take_turns(tmp_path: Path) -> None:
    """What one remembers is never used after the other wrote."""
    first = await open_books(tmp_path / "books.sqlite")
    second = await open_books(tmp_path / "books.sqlite")
    await first.commit(OpenAccount("a", 10), reserve("r1", "a", 4), append(0))
    await second.commit(reserve("r2", "a", 4), append(1, "bob"))
    with pytest.raises(BudgetExhaustedError):
        await first.commit(reserve("r3", "a", 4), append(2))
    await first.commit(settle("r2", 1), settle("r1", 1), append(2, "bob"))
    with pytest.raises(ConflictError, match="before"):
        await second.commit(reserve("r2", "a", 1))
    await second.commit(reserve("r3", "a", 8), append(3))
    assert await second.head() != await first.head()
    await first.commit(append(4))
    assert [entry.index for entry in await first.entries(0, 9)] == [0, 1, 2, 3, 4]
    await sound(first)
    assert await money(first, "a") == (2, 8)
    await first.close()
    await second.close()


async def test_a_subject_whose_key_is_gone_cannot_be_read_and_the_tree_stands(tmp_path: Path) -> None:
    """As where older books are restored beside keys of which some were erased since."""
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(append(0, "alice"), append(1, "bob"))
    assert await books.entry(0) is not None
    head = await books.head()
    await books.close()
    drop_keys(path, "alice")
    books = await open_books(path)
    with pytest.raises(DecryptionFailedError):
        await books.entry(0)
    assert [event.event is None for event in await books.entries(0, 2)] == [True, False]
    await books.commit(append(2, "alice"))
    assert [event.event is None for event in await books.entries(0, 3)] == [True, False, False]
    with pytest.raises(DecryptionFailedError):
        await books.entry(0)
    assert (await books.leaves(0, 2)) and (await books.head()).size == head.size + 1
    await sound(books)
    await books.close()


async def test_the_audit_finds_a_counter_that_was_altered(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    await books.commit(OpenAccount("a", 100), OpenAccount("run", 50, "a"), reserve("r", "run", 20))
    await books.commit(reserve("r2", "run", 20), settle("r2", 15))
    assert await books.audit_ledger() == []
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE accounts SET spent_usd_micros = 1 WHERE parent IS NULL")
        connection.execute("UPDATE calls SET usd_micros = 14")
        connection.execute("UPDATE reservations SET usd_micros = 21")
    connection.close()
    found = {(diff.where, diff.counter, diff.rows) for diff in await books.audit_ledger()}
    assert found == {
        ("account a: spent", 1, 15),
        ("account run: spent", 15, 14),
        ("account run: held", 20, 21),
        ("total of 1970-01-01: usd_micros", 15, 14),
    }
    await books.close()


async def test_the_audit_finds_a_budget_that_was_altered_or_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    day, everything = Budget("key/k1/day/1970-01-01", 100, 86_400), Budget("all/total", 1_000)
    await books.commit(OpenAccount("a", None), reserve("r1", "a", 20, budgets=(day, everything)))
    await books.commit(reserve("r2", "a", 30, budgets=(everything,)), settle("r1", 15))
    assert await books.audit_ledger() == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            f"UPDATE accounts SET spent_usd_micros = 1 WHERE n = ({_NUMBER})", (everything.id,)
        )
        connection.execute(f"DELETE FROM accounts WHERE n = ({_NUMBER})", (day.id,))
        connection.commit()
        (gone,) = connection.execute(_NUMBER, (day.id,)).fetchone()
    found = {(diff.where, diff.counter, diff.rows) for diff in await books.audit_ledger()}
    assert found == {("account all/total: spent", 1, 15), (f"account numbered {gone}: spent", 0, 15)}
    await books.close()


async def test_the_names_of_a_refused_list_are_given_anew(tmp_path: Path) -> None:
    books = await open_books(tmp_path / "books.sqlite")
    budget = Budget("tag/new/total", 100)
    call = reserve("r", "a", 7, model="new model", team="new team", tag="new", owner="me", budgets=(budget,))
    await books.commit(OpenAccount("a", 100))
    with pytest.raises(NotFoundError):
        await books.commit(call, append(0, "newcomer"), settle("never", 1))
    assert await books.budget_accounts(0) == []
    await books.commit(call)
    (held,) = await books.open_reservations()
    assert (held.model, held.tag, held.owner) == ("new model", "new", "me")
    await books.commit(settle("r", 7), append(0, "newcomer"))
    assert [row.key for by in ("model", "team", "tag") for row in await books.usage(by)] == [
        "new model",
        "new team",
        "new",
    ]
    assert await money(books, budget.id) == (7, 0)
    await sound(books)
    await books.close()
