"""Client keys: made with their account, listed, revoked, and all of it logged."""

import pytest
from tests.web.fakes import PEPPER, START_NS, FakeBooks, FakeClock, SystemEntropy

from macroslow.authn.keyring import KeyRing
from macroslow.authz import scopes
from macroslow.errors import BadRequestError, LogUnavailableError, NotFoundError
from macroslow.metering.ledger import OpenAccount
from macroslow.services.authenticate import Authenticate
from macroslow.services.manage_keys import ManageKeys, NewKey
from macroslow.tlog.event import EventType


@pytest.fixture
def books() -> FakeBooks:
    return FakeBooks()


@pytest.fixture
def keyring() -> KeyRing:
    return KeyRing()


@pytest.fixture
def keys(books: FakeBooks, keyring: KeyRing) -> ManageKeys:
    return ManageKeys(books, keyring, PEPPER, FakeClock(), SystemEntropy())  # type: ignore[arg-type]


async def test_a_key_its_account_and_its_log_entry_are_one_commit(keys: ManageKeys, books: FakeBooks) -> None:
    created = await keys.create(
        NewKey(
            "alice",
            budget_usd_micros=5_000_000,
            requests_per_minute=60,
            note="laptop",
            expires_ns=START_NS * 2,
        )
    )
    (changes,) = books.commits
    assert OpenAccount(f"key/{created.record.id}", 5_000_000) in changes
    (event,) = books.events
    assert event.type is EventType.KEY_CREATED
    assert event.subject == "alice"
    assert event.fields["budget_usd_micros"] == 5_000_000
    assert all(abs(value) < 2**53 for value in event.fields.values() if isinstance(value, int))
    shown = await keys.show(created.record.id)
    assert shown.record == created.record
    assert shown.account is not None
    assert shown.account.limit_usd_micros == 5_000_000


async def test_the_secret_is_nowhere_but_in_the_answer(keys: ManageKeys, books: FakeBooks) -> None:
    created = await keys.create(NewKey("alice"))
    secret = created.text.rpartition("_")[2]
    for place in (repr(created), repr(books.commits), repr(books.events), repr(keys.list())):
        assert created.text not in place
        assert secret[:43] not in place


async def test_every_fault_of_a_wished_key_is_named_and_nothing_is_made(
    keys: ManageKeys, books: FakeBooks
) -> None:
    wished = NewKey(
        "bad name\n",
        scopes=frozenset({"runs:read", "admin:*"}),
        grants=("api://ok/**", "no uri"),
        budget_usd_micros=-1,
        requests_per_minute=0,
        note="a\x1b[2J",
        expires_ns=START_NS,
    )
    with pytest.raises(BadRequestError) as caught:
        await keys.create(wished)
    assert {problem.field for problem in caught.value.problems} == {
        "principal", "scopes", "grants", "budget_usd_micros", "requests_per_minute", "note", "expires_ns"
    }  # fmt: skip
    assert not books.commits
    assert not keys.list()


@pytest.mark.parametrize("name", ["operator", "gateway", "Operator"])
async def test_no_client_has_the_name_of_the_operator_or_the_gateway(keys: ManageKeys, name: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await keys.create(NewKey(name))
    assert [problem.field for problem in caught.value.problems] == ["principal"]


async def test_a_key_that_the_books_refuse_does_not_work(
    keys: ManageKeys, books: FakeBooks, keyring: KeyRing
) -> None:
    books.down = True
    with pytest.raises(LogUnavailableError):
        await keys.create(NewKey("alice"))
    assert not keyring.records()


async def test_a_revocation_is_logged_once_and_the_first_stands(keys: ManageKeys, books: FakeBooks) -> None:
    created = await keys.create(NewKey("alice"))
    first = await keys.revoke(created.record.id, "lost laptop")
    again = await keys.revoke(created.record.id)
    assert first == again
    assert [event.type for event in books.events] == [EventType.KEY_CREATED, EventType.KEY_REVOKED]
    assert books.events[1].fields["reason"] == "lost laptop"


async def test_an_unknown_key_is_not_found(keys: ManageKeys) -> None:
    with pytest.raises(NotFoundError):
        await keys.revoke("nope")
    with pytest.raises(NotFoundError):
        await keys.show("nope")


async def test_keys_survive_a_restart(keys: ManageKeys, books: FakeBooks) -> None:
    good, bad = await keys.create(NewKey("alice")), await keys.create(NewKey("bob"))
    await keys.revoke(bad.record.id)
    keyring = KeyRing()
    clock = FakeClock()
    restarted = ManageKeys(books, keyring, PEPPER, clock, SystemEntropy())  # type: ignore[arg-type]
    await restarted.load()
    authenticate = Authenticate(keyring, PEPPER, clock)
    assert authenticate([(b"x-api-key", good.text.encode())]).name == "alice"
    assert {record.id for record in restarted.list()} == {good.record.id, bad.record.id}
    assert keyring.get(bad.record.id).record.revoked_ns is not None  # type: ignore[union-attr]


async def test_a_key_gets_the_clients_scopes_unless_told_otherwise(keys: ManageKeys) -> None:
    assert (await keys.create(NewKey("alice"))).record.scopes == scopes.CLIENT_DEFAULT
    narrow = await keys.create(NewKey("alice", scopes=frozenset({scopes.RUNS_READ})))
    assert narrow.record.scopes == {scopes.RUNS_READ}
