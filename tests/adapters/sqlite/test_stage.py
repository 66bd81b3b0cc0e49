"""What a batch gathers: written many rows a step, dropped with a refused list, forgotten in time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from macroslow.adapters.sqlite._stage import OF_BATCH, ROWS_AT_ONCE, Cache, Stage
from macroslow.adapters.sqlite._statements import (
    DELETE_RESERVATION,
    OF_MANY_ROWS,
    PUT_ENTRY,
    PUT_NAME,
    PUT_RESERVATION,
    with_rows,
)
from macroslow.adapters.sqlite._tables import TABLES


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(TABLES)
        yield connection


def entry(number: int) -> tuple[int, bytearray, bytes, int]:
    return number, bytearray(b"leaf %d" % number), b"payload %d" % number, 7


def reservation(name: str) -> tuple[str | int, ...]:
    return (name, *range(1, 14))


@pytest.mark.parametrize(
    "count", [1, 2, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 5 * ROWS_AT_ONCE + 3]
)
def test_every_row_is_written_once_however_many_there_are(connection: sqlite3.Connection, count: int) -> None:
    stage = Stage()
    for number in range(count):
        stage.write(PUT_ENTRY, entry(number))
    stage.flush(connection, [PUT_ENTRY])
    stored = connection.execute("SELECT * FROM entries ORDER BY n").fetchall()
    assert stored == [(n, bytes(leaf), payload, s) for n, leaf, payload, s in map(entry, range(count))]
    assert connection.execute("SELECT DISTINCT typeof(leaf), typeof(payload) FROM entries").fetchall() == [
        ("blob", "blob")
    ]


@pytest.mark.parametrize("count", [1, 2, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 1])
def test_only_the_reservations_that_are_named_end(connection: sqlite3.Connection, count: int) -> None:
    stage = Stage()
    for number in range(count):
        for name in (f"ended-{number}", f"open-{number}"):
            stage.write(PUT_RESERVATION, reservation(name))
        stage.write(DELETE_RESERVATION, (f"ended-{number}",))
    stage.write(DELETE_RESERVATION, ("never made",))
    stage.flush(connection, [PUT_RESERVATION, DELETE_RESERVATION])
    left = {name for (name,) in connection.execute("SELECT id FROM reservations")}
    assert left == {f"open-{number}" for number in range(count)}


def test_one_row_that_the_store_does_not_take_fails_the_step_and_none_of_its_rows_stay(
    connection: sqlite3.Connection,
) -> None:
    stage = Stage()
    for number in (1, 2, 1):
        stage.write(PUT_ENTRY, entry(number))
    with pytest.raises(sqlite3.IntegrityError):
        stage.flush(connection, [PUT_ENTRY])
    assert connection.execute("SELECT count(*) FROM entries").fetchone() == (0,)


@pytest.mark.parametrize("statement", sorted(OF_MANY_ROWS))
def test_a_statement_of_many_rows_has_the_values_of_each(statement: str) -> None:
    assert with_rows(statement, 1) == statement
    assert with_rows(statement, 5).count("?") == 5 * statement.count("?")


def test_a_refused_list_leaves_nothing_behind() -> None:
    stage = Stage()
    cache = Cache[str, int](stage)
    cache.put("kept", 1)
    stage.write(PUT_NAME, (1, "kept"))
    stage.keep()
    cache.put("kept", 2)
    cache.put("new", 3)
    stage.write(PUT_NAME, (2, "refused"))
    assert cache.take("kept") == 2
    stage.write(PUT_ENTRY, entry(0))
    stage.write(PUT_NAME, (3, "refused"))
    stage.drop()
    assert (cache.get("kept"), cache.get("new")) == (1, None)
    assert (stage.rows(PUT_NAME), stage.rows(PUT_ENTRY)) == ([(1, "kept")], [])


def test_what_is_known_of_a_batch_is_forgotten_after_it_and_nothing_grows_for_ever() -> None:
    stage = Stage()
    of_batch, bounded, whole = (Cache[int, int](stage, most) for most in (OF_BATCH, 3, None))
    for cache in (of_batch, bounded, whole):
        for number in range(3):
            cache.learn(number, number)
    stage.clear()
    assert (of_batch.get(0), bounded.get(0), whole.get(0)) == (None, 0, 0)
    for cache in (bounded, whole):
        cache.learn(3, 3)
    stage.clear()
    assert (bounded.get(3), whole.get(0)) == (None, 0)
