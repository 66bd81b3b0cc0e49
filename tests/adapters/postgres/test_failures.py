"""When the database fails, or somebody alters it: who is told what, and that nothing is doubled."""

import asyncio
from dataclasses import replace

import pytest
from tests.adapters.postgres.proxy import breaking_proxy
from tests.adapters.postgres.support import LabelSealer, open_books, sound
from tests.contract.books_contract import KEY, SIGNER
from tests.contract.changes import accept, append, money, reserve, settle
from tests.postgres import PostgresServer

from macroslow.adapters.postgres import _presence, _writer
from macroslow.authn.ports import PutKey, PutSigner
from macroslow.errors import (
    BudgetExhaustedError,
    ConfigurationError,
    DecryptionFailedError,
    LogUnavailableError,
)
from macroslow.metering.ledger import OpenAccount
from macroslow.tlog.event import PersonFields
from macroslow.tlog.ports import Append
from macroslow.workflow.journal import PutObject


def shared(number: int, subject: str, other: str) -> Append:
    """An event that says something of another person too."""
    event = append(number, subject).event
    return Append(replace(event, others=(PersonFields(other, {"number": number}),)))


@pytest.mark.parametrize("broken", ["after", "before"])
async def test_a_commit_whose_answer_is_lost_is_looked_up_before_anybody_is_told(
    server: PostgresServer, broken: str
) -> None:
    async with breaking_proxy(server.folder) as proxy:
        books = await open_books(proxy.url)
        await books.commit(OpenAccount("a", 100), append(0))
        proxy.broken = broken
        made = await asyncio.gather(*(books.commit(reserve(f"r{n}", "a", 10), append(n)) for n in range(5)))
        assert proxy.breaks == 1
        assert sorted(entry.index for (entry,) in made) == [1, 2, 3, 4, 5], "made once, kept or made again"
        assert await money(books, "a") == (0, 50)
        assert (await books.head()).size == 6
        (entry,) = await books.commit(append(9))
        assert entry.index == 6
        await sound(books)
        await books.close()


async def test_an_outcome_that_nobody_can_tell_is_said_to_be_unknown(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_writer, "ASK_AGAIN_S", ())
    async with breaking_proxy(server.folder) as proxy:
        books = await open_books(proxy.url)
        proxy.broken = "after"
        with pytest.raises(LogUnavailableError, match="not known"):
            await books.commit(append())
        (entry,) = await books.commit(append())
        assert entry.index == 1
        await sound(books)
        await books.close()


async def test_while_the_server_is_away_everybody_is_told_and_afterwards_all_goes_on(
    server: PostgresServer,
) -> None:
    books = await open_books(server.url)
    await books.commit(OpenAccount("a", 100), append())
    server.stop()
    try:
        outcomes = await asyncio.gather(
            *(books.commit(reserve(f"r{n}", "a", 1), append(n)) for n in range(3)),
            books.account("a"),
            books.head(),
            return_exceptions=True,
        )
    finally:
        server.start()
    assert {type(outcome) for outcome in outcomes} == {LogUnavailableError}
    for error in outcomes:
        assert isinstance(error, LogUnavailableError)
        assert error.detail == "the database cannot be used", "a client reads this: no word on where it is"
        assert error.fix
        assert error.reason.split(":")[0].endswith("Error")
    (entry,) = await books.commit(reserve("r0", "a", 1), append())
    assert entry.index == 1
    assert await money(books, "a") == (0, 1)
    await sound(books)
    await books.close()


async def test_a_process_that_lost_its_session_takes_its_lock_again(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_presence, "WATCH_S", 0.02)
    one = await open_books(server.url, "one")
    two = await open_books(server.url, "two", grace_s=3_600.0)
    number = _presence.lock_of("one") & 0xFFFFFFFF
    lock = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint = {number}"
    assert server.sql(lock) == "1"
    server.restart()
    assert await two.is_alive("one"), "its lock may be free now, but it was not for long"
    while server.sql(lock) == "0":
        await asyncio.sleep(0.02)
    assert await one.is_alive("two")
    await one.close()
    await two.close()


async def test_an_owner_is_dead_when_its_lock_stayed_free_and_alive_while_it_is_held(url: str) -> None:
    one, two = await open_books(url, "one"), await open_books(url, "two")
    assert await one.is_alive("one")
    assert await one.is_alive("two")
    assert not await one.is_alive("nobody")
    await two.close()
    assert not await one.is_alive("two")
    patient = await open_books(url, "three", grace_s=3_600.0)
    assert await patient.is_alive("two")
    again = await open_books(url, "two")
    assert await one.is_alive("two")
    for books in (one, again, patient):
        await books.close()


async def test_two_processes_may_not_go_by_one_name(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_presence, "TAKEN_AT_START_S", 0.0)
    monkeypatch.setattr(_presence, "WATCH_S", 0.01)
    one = await open_books(url, "one")
    with pytest.raises(ConfigurationError, match="another process calls itself one"):
        await open_books(url, "one")
    await one.close()


async def test_processes_that_start_together_make_the_tables_once(url: str) -> None:
    opened = await asyncio.gather(*(open_books(url, f"process {n}") for n in range(4)))
    await asyncio.gather(*(books.commit(append(n)) for n, books in enumerate(opened)))
    assert {(await books.head()).size for books in opened} == {4}
    for books in opened:
        await books.close()


async def test_what_one_process_remembers_is_never_used_after_another_wrote(url: str) -> None:
    first, second = await open_books(url, "one"), await open_books(url, "two")
    await first.commit(OpenAccount("a", 10), reserve("r1", "a", 4), append(0))
    await second.commit(reserve("r2", "a", 4), append(1, "bob"))
    with pytest.raises(BudgetExhaustedError):
        await first.commit(reserve("r3", "a", 4), append(2))
    await first.commit(settle("r2", 1), settle("r1", 1), append(2, "bob"))
    await second.commit(reserve("r3", "a", 8), append(3))
    assert await second.head() == await first.head()
    await first.commit(append(4))
    assert [entry.index for entry in await first.entries(0, 9)] == [0, 1, 2, 3, 4]
    assert await money(first, "a") == (2, 8)
    await sound(second)
    await first.close()
    await second.close()


async def test_a_process_catches_up_with_a_log_that_grew_far(url: str) -> None:
    first, second = await open_books(url, "one"), await open_books(url, "two")
    for _ in range(5):
        await first.commit(*(append(n) for n in range(500)))
    (entry,) = await second.commit(append())
    assert entry.index == 2_500
    assert await first.head() == await second.head()
    await sound(first)
    await first.close()
    await second.close()
    again = await open_books(url)
    await sound(again)
    assert await again.tile(0, 9, 197) is not None
    await again.close()


@pytest.mark.parametrize(
    "alter",
    [
        "DELETE FROM entries WHERE n = 2; UPDATE store SET size = 2, root = sha256('')",
        "UPDATE store SET root = sha256('')",
        "UPDATE entries SET leaf = set_byte(leaf, 77, get_byte(leaf, 77) # 1) WHERE n = 1",
        "DELETE FROM entries WHERE n = 2",
    ],
    ids=["rolled-back", "another-root", "another-leaf", "a-leaf-less"],
)
async def test_a_log_that_was_altered_is_not_built_upon(server: PostgresServer, alter: str) -> None:
    books = await open_books(server.url)
    await books.commit(append(0), append(1), append(2))
    server.sql(f"SET search_path = macroslow; {alter}")
    with pytest.raises(ConfigurationError, match=r"damaged|tile") as refused:
        await open_books(server.url, "late")
    assert refused.value.fix
    if "store" in alter:  # what is behind the known tree is the audit's to find
        with pytest.raises(LogUnavailableError, match="altered"):
            await books.commit(append(3))
        with pytest.raises(LogUnavailableError, match="altered"):
            await books.head()
    await books.close()


async def test_a_value_that_the_store_does_not_take_concerns_its_list_alone(url: str) -> None:
    books = await open_books(url)
    await books.commit(OpenAccount("a", 100), accept("run"), append(0))
    bad = PutObject("run", "answer", "alice", "text where bytes belong")  # type: ignore[arg-type]
    outcomes = await asyncio.gather(
        books.commit(reserve("r1", "a", 1), append(1)),
        books.commit(bad, append(2)),
        books.commit(reserve("r2", "a", 1), append(3)),
        books.commit(reserve("surrogate", "a", 1, model="half of a pair: \ud800"), append(4)),
        books.commit(reserve("zero", "a", 1, tag="a\0b"), append(4)),
        books.commit(reserve("long", "a", 1, tag="".join(map(chr, range(300, 6_000)))), append(4)),
        books.commit(reserve("far", "a", 1, created_ns=2**70), append(4)),
        books.commit(reserve({"no": "text"}, "a", 1), append(5)),  # type: ignore[arg-type]
        books.commit(reserve(("no", "text"), "a", 1), append(5)),  # type: ignore[arg-type]
        books.commit(reserve("r3", "a", 99)),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    bad_values = [*[ValueError] * 4, TypeError, ValueError]
    assert kinds == [list, ValueError, list, *bad_values, BudgetExhaustedError]
    assert await money(books, "a") == (0, 2)
    assert (await books.head()).size == 3
    await sound(books)
    await books.close()


async def test_what_was_submitted_stands_when_its_caller_is_cancelled(url: str) -> None:
    books = await open_books(url, commit_window_ns=5_000_000)
    await books.commit(append())
    task = asyncio.create_task(books.commit(append()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await books.commit(append())
    assert (await books.head()).size == 3
    await books.close()


async def test_a_reader_that_is_cancelled_leaves_the_connection_usable(url: str) -> None:
    books = await open_books(url)
    await books.commit(*(append(n) for n in range(300)))
    for turns in range(0, 40, 4):
        task = asyncio.create_task(books.audit_ledger())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert len(await books.entries(0, 300)) == 300
    await books.close()


async def test_a_subject_whose_keys_are_gone_cannot_be_read_and_is_somebody_new(
    server: PostgresServer,
) -> None:
    books = await open_books(server.url)
    await books.commit(append(0, "alice"), append(1, "bob"), shared(2, "bob", "alice"))
    head = await books.head()
    server.sql("DELETE FROM macroslow_subjects.keys WHERE subject = 'alice'")
    with pytest.raises(DecryptionFailedError):
        await books.entry(0)
    assert [event.event is None for event in await books.entries(0, 3)] == [True, False, False]
    await books.commit(append(3, "alice"), shared(4, "bob", "alice"))
    entries = await books.entries(0, 5)
    assert [event.event is None for event in entries] == [True, False, False, False, False]
    assert [[part is None for part in event.others] for event in entries] == [[], [], [True], [], [False]]
    assert (await books.head()).size == head.size + 2
    await sound(books)
    await books.close()


async def test_the_audit_finds_a_counter_that_was_altered(server: PostgresServer) -> None:
    books = await open_books(server.url)
    await books.commit(OpenAccount("a", 100), OpenAccount("run", 50, "a"), reserve("r", "run", 20))
    await books.commit(reserve("r2", "run", 20), settle("r2", 15))
    assert await books.audit_ledger() == []
    server.sql(
        "SET search_path = macroslow;"
        "UPDATE accounts SET spent_usd_micros = 1 WHERE parent IS NULL;"
        "UPDATE calls SET usd_micros = 14 WHERE settled_ns IS NOT NULL;"
        "UPDATE calls SET reserved_usd_micros = 21 WHERE settled_ns IS NULL"
    )
    found = {(diff.where, diff.counter, diff.rows) for diff in await books.audit_ledger()}
    assert found == {
        ("account a: spent", 1, 15),
        ("account run: spent", 15, 14),
        ("account run: held", 20, 21),
        ("total of 1970-01-01: usd_micros", 15, 14),
    }
    await books.close()


@pytest.mark.parametrize(
    "url",
    ["", "not a url", "mysql://host/db", "postgresql://macroslow@127.0.0.1:1/none", "postgresql:///?host=/nowhere"],
)  # fmt: skip
async def test_a_database_that_cannot_be_reached_is_a_clear_refusal_to_start(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await open_books(url)
    assert "PostgreSQL runs" in refused.value.fix


@pytest.mark.parametrize("password", ["hunter2/x", "hunter2#x", "hunter2?x", "hunter2:x@127.0.0.1"])
async def test_a_url_that_cannot_be_read_is_not_quoted(password: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await open_books(f"postgresql://macroslow:{password}@127.0.0.1:1/none")
    assert "hunter2" not in refused.value.detail
    assert refused.value.__suppress_context__ or "hunter2" not in repr(refused.value.__cause__)


@pytest.mark.parametrize("version", [0, 99])
async def test_another_schema_version_is_not_touched(server: PostgresServer, version: int) -> None:
    books = await open_books(server.url)
    await books.close()
    server.sql(f"UPDATE macroslow.store SET schema_version = {version}")
    before = server.sql("SELECT * FROM macroslow.store, macroslow.owners")
    with pytest.raises(ConfigurationError, match=f"schema {version};") as refused:
        await open_books(server.url)
    assert "version of Macroslow that made it" in refused.value.fix
    assert server.sql("SELECT * FROM macroslow.store, macroslow.owners") == before


async def test_a_process_with_other_sealing_keys_is_refused_at_its_start(url: str) -> None:
    class OtherSealer(LabelSealer):
        def open(self, sealed: bytes, subject: str, *, purpose: str = "object") -> bytes:
            raise DecryptionFailedError("sealed by another")

    books = await open_books(url)
    await books.commit(append())
    with pytest.raises(ConfigurationError, match="keys of another gateway"):
        await open_books(url, "two", sealer=OtherSealer())
    await books.close()


async def test_every_process_sees_that_a_key_or_a_signer_changed(url: str) -> None:
    one, two = await open_books(url, "one"), await open_books(url, "two")
    before = await two.identities_version()
    await one.commit(append())
    assert await two.identities_version() == before
    await one.commit(PutKey(KEY), append())
    await one.commit(PutSigner(SIGNER))
    assert await two.identities_version() == before + 2
    assert await two.keys() == [KEY]
    await sound(two)
    await one.close()
    await two.close()
