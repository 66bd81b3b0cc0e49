"""Where subjects' keys are, and what is left of them and of a name once somebody was erased."""

import asyncio
import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.adapters.postgres.support import open_books, sound
from tests.contract.changes import append, reserve, settle
from tests.postgres import PostgresServer

from macroslow.adapters.postgres import _erasing, _link, _vacuum
from macroslow.errors import ConfigurationError
from macroslow.metering.ledger import OpenAccount
from macroslow.tlog.event import Event, EventClass, EventType
from macroslow.tlog.ports import Append, EraseSubject, KeepReceipt

ALL = frozenset(EventClass)
SAID = Append(Event(EventType.SUBJECT_ERASED, 9_000, "the-gateway", {}))
KEY_OF_ALICE = "SELECT encode(wrapped, 'hex') FROM macroslow_subjects.keys WHERE subject = 'alice'"


def erase(entries: int, subject: str = "alice", pseudonym: str = "erased-1") -> EraseSubject:
    return EraseSubject(subject, ALL, entries, pseudonym)


def dump(server: PostgresServer, *options: str) -> str:
    program = server._programs / "pg_dump"
    said = subprocess.run([program, *options, "-d", server.url], check=True, capture_output=True, timeout=60)
    return said.stdout.decode()


def restore(server: PostgresServer, text: str) -> None:
    program = server._programs / "psql"
    command = [program, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", server.url]
    done = subprocess.run(command, check=False, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def files_with(server: PostgresServer, content: bytes) -> list[str]:
    """Of the database's tables and indexes, those that hold these bytes on the disk."""
    server.sql("CHECKPOINT")
    found: list[str] = []
    for path in (server.folder / "data" / "base").rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # what the server has deleted meanwhile
            if content in path.read_bytes():
                found.append(path.name)
    return found


async def test_no_file_of_the_database_holds_the_key_of_who_was_erased(server: PostgresServer) -> None:
    books = await open_books(server.url)
    await books.commit(append(0, "alice"), append(1, "bob"))
    key = bytes.fromhex(server.sql(KEY_OF_ALICE))
    assert files_with(server, key)
    await books.commit(erase(1), SAID)
    assert files_with(server, key) == []
    assert [entry.event is None for entry in await books.entries(0, 3)] == [True, False, False]
    await books.close()


async def test_a_server_that_does_not_write_the_keys_anew_is_told_of_and_no_more(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    books = await open_books(server.url)
    await books.commit(append(0, "alice"))
    monkeypatch.setattr(_vacuum, "VACUUM", "VACUUM (FULL) macroslow_subjects.another")
    with caplog.at_level(logging.WARNING, "macroslow.books"):
        (said,) = await books.commit(erase(1), SAID)
    assert said.index == 1
    assert server.sql(KEY_OF_ALICE) == ""
    assert "run by hand VACUUM (FULL)" in caplog.text
    await books.close()


@contextmanager
def older_transaction(server: PostgresServer) -> Iterator[None]:
    """One that began before, and may still look at what is erased meanwhile."""
    psql = [server._programs / "psql", "-XAtq", "-d", server.url]
    with subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'begun';\n")
        process.stdin.flush()
        assert process.stdout.readline() == "begun\n"
        yield
        process.stdin.close()


async def test_an_older_transaction_is_waited_for_before_the_keys_are_written_anew(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_vacuum, "OLDER_END_S", 3_600.0)
    books = await open_books(server.url)
    await books.commit(append(0, "alice"))
    key = bytes.fromhex(server.sql(KEY_OF_ALICE))
    with older_transaction(server):
        erasing = asyncio.create_task(books.commit(erase(1), SAID))
        while not (await books.entries(1, 1)):  # committed; the vacuum waits for the transaction
            await asyncio.sleep(0)
        assert not erasing.done()
    await erasing
    assert files_with(server, key) == []
    assert caplog.text == ""
    await books.close()


async def test_an_older_transaction_that_does_not_end_is_told_of(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_vacuum, "OLDER_END_S", 0.0)
    books = await open_books(server.url)
    await books.commit(append(0, "alice"))
    key = bytes.fromhex(server.sql(KEY_OF_ALICE))
    with older_transaction(server):
        await books.commit(erase(1), SAID)
        assert "a transaction that is older is still open" in caplog.text
        assert files_with(server, key) != []
    server.sql(_vacuum.VACUUM)
    assert files_with(server, key) == []
    await books.close()


async def test_another_process_takes_the_name_for_somebody_new(url: str) -> None:
    one, two = await open_books(url, "one"), await open_books(url, "two")
    await two.commit(append(0, "alice"), append(1, "bob"))
    await one.commit(erase(1), SAID)
    await two.commit(append(3, "alice"), append(4, "bob"))
    await one.commit(append(5, "alice"))
    subjects = [(entry.subject, entry.event is None) for entry in await one.entries(0, 9)]
    assert subjects == [
        ("erased-1", True), ("bob", False), ("the-gateway", False), ("alice", False), ("bob", False),
        ("alice", False),
    ]  # fmt: skip
    assert [held.index for held in await two.held_entries("alice", ALL, 0, 9)] == [3, 5]
    await sound(two)
    await one.close()
    await two.close()


async def test_an_erasure_whose_answer_is_lost_is_made_once(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = await open_books(server.url)
    await books.commit(append(0, "alice"))
    carry_out, left = _erasing.carry_out, [1]

    async def and_lose_the_session(connection: Any, state: Any) -> None:
        await carry_out(connection, state)
        if left:
            left.pop()
            server.sql(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                " WHERE state = 'idle in transaction' AND application_name = 'macroslow'"
            )

    monkeypatch.setattr("macroslow.adapters.postgres._writer.carry_out", and_lose_the_session)
    (said,) = await books.commit(erase(1), SAID)
    assert said.index == 1
    assert [entry.erased_by for entry in await books.entries(0, 9)] == [1, None]
    await sound(books)
    await books.close()


async def test_a_dump_without_the_keys_opens_with_them_and_not_without(server: PostgresServer) -> None:
    books = await open_books(server.url)
    await books.commit(append(0, "alice"), append(1, "bob"))
    without, keys = (
        dump(server, "--exclude-schema=macroslow_subjects"),
        dump(server, "--schema=macroslow_subjects"),
    )
    await books.close()
    server.sql("DROP SCHEMA macroslow, macroslow_subjects CASCADE")
    restore(server, without)
    with pytest.raises(ConfigurationError, match="keys of a log of 2 entries are missing") as refused:
        await open_books(server.url)
    assert "CREATE SCHEMA macroslow_subjects" in refused.value.fix
    restore(server, keys)
    books = await open_books(server.url)
    assert None not in [entry.event for entry in await books.entries(0, 9)]
    await books.close()


async def test_an_empty_schema_goes_on_without_the_keys_that_were_lost(server: PostgresServer) -> None:
    books = await open_books(server.url)
    await books.commit(append(0, "alice"))
    await books.close()
    server.sql("DROP SCHEMA macroslow_subjects CASCADE; CREATE SCHEMA macroslow_subjects")
    books = await open_books(server.url)
    await books.commit(append(1, "alice"))
    assert [entry.event is None for entry in await books.entries(0, 9)] == [True, False]
    await sound(books)
    await books.close()


async def test_no_dump_after_an_erasure_holds_the_name(server: PostgresServer) -> None:
    books = await open_books(server.url)
    await books.commit(OpenAccount("key/k1", 100), append(0, "alice"))
    await books.commit(reserve("r", "key/k1", 5), settle("r", 5), append(1, "alice"))
    assert "alice" in dump(server, "--exclude-schema=macroslow_subjects")
    await books.commit(erase(2), SAID)
    assert "alice" not in dump(server)
    await books.close()


class Journeys:
    """A connection that counts what is asked of it."""

    def __init__(self, connection: Any, asked: list[str]) -> None:
        self._connection = connection
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)
        if name not in {"execute", "fetch", "fetchrow", "fetchval"}:
            return method

        async def ask(query: str, *arguments: object, **options: float) -> Any:
            self._asked.append(query)
            return await method(query, *arguments, **options)

        return ask


async def test_a_call_with_its_entry_and_receipt_takes_four_journeys(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    connect = _link.connect

    async def counting(*arguments: Any, **options: Any) -> Any:
        return Journeys(await connect(*arguments, **options), asked)

    monkeypatch.setattr(_link, "connect", counting)
    books = await open_books(url)
    await books.commit(OpenAccount("a", 100), append(0))
    asked.clear()
    await books.commit(reserve("r", "a", 5))
    await books.commit(settle("r", 5), append(1), KeepReceipt("request", "alice", 10**18))
    assert [_verb(query) for query in asked] == ["BEGIN", "WITH", "WITH", "COMMIT"] * 2
    await books.close()


def _verb(query: str) -> str:
    return query.split(maxsplit=1)[0].rstrip(";")
