"""Searching a log in pieces that are bounded, and sizes where a tile begins or ends."""

from pathlib import Path

import pytest
from tests.adapters.sqlite.support import open_books
from tests.contract.log_contract import ALL, SAID, erase, event, indices, told

from macroslow.adapters.sqlite import _log_reads
from macroslow.tlog.event import EventType
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.tree import root_of
from macroslow.workflow.books import Wanted


async def test_no_search_looks_at_more_than_it_may_and_says_where_to_look_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_log_reads, "MAX_LOOKED_AT", 512)
    books = await open_books(tmp_path / "books.sqlite")
    await books.commit(*(event(n, "bob") for n in range(1_300)), event(1_300, "alice"), event(1_301, "bob"))
    wanted, starts, start = Wanted(types=frozenset({EventType.REFUSED})), [0], 0
    while (found := await books.find(wanted, start, 5)).next is not None:
        assert found.entries == []
        start = found.next
        starts.append(start)
    assert starts == [0, 512, 1_024]
    assert await indices(books, Wanted(subject="alice")) == [1_300], (
        "where nothing of hers is is not looked at"
    )
    first = await books.find(Wanted(subject="bob"), 0, 5_000)
    assert ([one.index for one in first.entries], first.next) == (list(range(512)), 512)
    await books.close()


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512])
async def test_a_log_of_any_size_is_searched_erased_and_opened_again(tmp_path: Path, size: int) -> None:
    path = tmp_path / "books.sqlite"
    books = await open_books(path)
    if size:
        await books.commit(*(event(n, "alice" if n % 2 else "bob") for n in range(size)))
    mine = list(range(1, size, 2))
    assert [one.index for one in await books.held_entries("alice", ALL, 0, 1_000)] == mine
    assert await indices(books, Wanted(subject="alice")) == mine
    assert await indices(books, Wanted()) == list(range(size))
    assert [one.index for one in await books.held_entries("alice", ALL, 255, 9)] == [
        n for n in mine if n >= 255
    ][:9]
    await books.commit(erase(len(mine)), SAID)
    await books.close()
    books = await open_books(path)
    assert [one[2] for one in await told(books)] == [None if n % 2 else n for n in range(size)] + [None]
    assert await indices(books, Wanted(subject="erased-1")) == mine
    head = await books.head()
    assert head.root == root_of([leaf_hash(leaf) for leaf in await books.leaves(0, size + 1)])
    await books.close()
