"""Client keys: made with their account, bounded anew, taken over, revoked, and all of it logged."""

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.contract.changes import reserve
from tests.services.key_house import PEPPER, START_NS, KeyHouse, at_once

from macroslow.authn.api_keys import LegacyKey
from macroslow.authn.keyring import account_of
from macroslow.authn.principal import Principal, together
from macroslow.authn.refusal import Refusal
from macroslow.authz import scopes
from macroslow.errors import (
    BadRequestError,
    BudgetExhaustedError,
    ConflictError,
    CredentialError,
    LogUnavailableError,
    MissingScopeError,
    NotFoundError,
)
from macroslow.metering.budgets import Period, Scope, own_rules
from macroslow.metering.ledger import CallOutcome, Settle, Usage
from macroslow.services.identity.authenticate import Credentials
from macroslow.services.identity.manage_keys import KEPT_ENDED_NS
from macroslow.services.identity.note_key_uses import NoteKeyUses
from macroslow.services.identity.wished_keys import KeyTerms, NewKey
from macroslow.tlog.event import EventType


@pytest.fixture
def house() -> KeyHouse:
    return KeyHouse()


def legacy(text: str) -> LegacyKey:
    return LegacyKey(hashlib.sha256(text.encode()).hexdigest())


async def test_a_key_its_account_and_its_log_entry_are_one_commit(house: KeyHouse) -> None:
    wished = NewKey(
        "alice",
        budget_usd_micros=5_000_000,
        requests_per_minute=60,
        note="laptop",
        expires_ns=START_NS * 2,
        team="lab",
        weight=3,
        day_usd_micros=1_000_000,
    )
    house.books.fail_next_commit = True
    with pytest.raises(LogUnavailableError):
        await house.keys.create(wished)
    assert (await house.books.keys(), await house.logged(), house.keyring.records()) == ([], [], [])
    created = await house.keys.create(wished)
    ((kind, subject, fields),) = await house.logged()
    assert (kind, subject, fields["budget_usd_micros"]) == (EventType.KEY_CREATED, "alice", 5_000_000)
    assert (fields["team"], fields["weight"], fields["day_usd_micros"]) == ("lab", 3, 1_000_000)
    shown = await house.keys.show(created.record.id)
    assert shown.record == created.record
    assert shown.account is not None
    assert shown.account.limit_usd_micros == 5_000_000


async def test_the_secret_is_nowhere_but_in_the_answer(house: KeyHouse) -> None:
    created = await house.keys.create(NewKey("alice"))
    secret = created.text.rpartition("_")[2]
    for place in (
        repr(created),
        repr(vars(house.books)),
        repr(await house.logged()),
        repr(house.keys.list()),
    ):
        assert created.text not in place
        assert secret[:43] not in place


async def test_every_fault_of_a_wished_key_is_named_and_nothing_is_made(house: KeyHouse) -> None:
    wished = NewKey(
        "bad name\n",
        scopes=frozenset({"runs:read", "admin:*"}),
        grants=("api://ok/**", "no uri"),
        budget_usd_micros=-1,
        requests_per_minute=0,
        concurrent_requests=0,
        addresses=("10.0.0.1/8",),
        note="a\x1b[2J",
        expires_ns=START_NS,
        team="a b",
        weight=0,
        day_usd_micros=2**53,
        month_usd_micros=-1,
    )
    with pytest.raises(BadRequestError) as caught:
        await house.keys.create(wished)
    assert {problem.field for problem in caught.value.problems} == {
        "principal", "scopes", "grants", "budget_usd_micros", "requests_per_minute", "note", "expires_ns",
        "concurrent_requests", "addresses",
        "team", "weight", "day_usd_micros", "month_usd_micros",
    }  # fmt: skip
    assert await house.logged() == []
    assert not house.keys.list()


@pytest.mark.parametrize("name", ["operator", "gateway", "Operator"])
async def test_no_client_has_the_name_of_the_operator_or_the_gateway(house: KeyHouse, name: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await house.keys.create(NewKey(name))
    assert [problem.field for problem in caught.value.problems] == ["principal"]


async def test_a_revocation_is_logged_once_and_the_first_stands(house: KeyHouse) -> None:
    created = await house.keys.create(NewKey("alice"))
    first = await house.keys.revoke(created.record.id, "lost laptop")
    again = await house.keys.revoke(created.record.id)
    assert first == again
    assert [kind for kind, _, _ in await house.logged()] == [EventType.KEY_CREATED, EventType.KEY_REVOKED]
    assert (await house.logged())[1][2]["reason"] == "lost laptop"


async def test_an_unknown_key_is_not_found(house: KeyHouse) -> None:
    for asked in (house.keys.revoke("nope"), house.keys.show("nope"), house.keys.change("nope", KeyTerms())):
        with pytest.raises(NotFoundError):
            await asked


async def test_a_key_where_its_id_belongs_is_not_repeated(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("alice"))
    for given in (made.text, "sk-proj-0123456789abcdef", "eyJhbGciOiJub25lIn0.e30."):
        with pytest.raises(NotFoundError) as caught:
            await house.keys.revoke(given)
        assert given not in f"{caught.value} {caught.value.detail}"
        assert ("its id is" in caught.value.detail) is not given.startswith("ey")
    with pytest.raises(NotFoundError, match=f"its id is {made.record.id}"):
        await house.keys.revoke(made.text)


async def test_keys_survive_a_restart(house: KeyHouse) -> None:
    good = await house.keys.create(NewKey("alice", team="lab", month_usd_micros=7))
    bad = await house.keys.create(NewKey("bob"))
    await house.keys.revoke(bad.record.id)
    restarted = await house.restarted()
    principal = await restarted.authenticate(Credentials(good.text.encode()))
    assert (principal.name, principal.team, principal.month_usd_micros) == ("alice", "lab", 7)
    assert {record.id for record in restarted.keys.list()} == {good.record.id, bad.record.id}
    with pytest.raises(CredentialError):
        await restarted.authenticate(Credentials(bad.text.encode()))


async def test_a_key_gets_the_clients_scopes_unless_told_otherwise(house: KeyHouse) -> None:
    assert (await house.keys.create(NewKey("alice"))).record.scopes == scopes.CLIENT_DEFAULT
    narrow = await house.keys.create(NewKey("alice", scopes=frozenset({scopes.RUNS_READ})))
    assert narrow.record.scopes == {scopes.RUNS_READ}


async def test_the_state_of_a_key_is_in_force_expired_or_revoked(house: KeyHouse) -> None:
    key = (await house.keys.create(NewKey("alice", expires_ns=START_NS + 5))).record
    assert house.keys.state(key) == "in force"
    house.clock.time_ns += 5
    assert house.keys.state(key) == "expired"
    assert house.keys.state(await house.keys.revoke(key.id)) == "revoked"


# Bounds anew


async def test_what_is_changed_is_in_force_from_the_next_request_on_and_logged_as_it_differs(
    house: KeyHouse,
) -> None:
    made = await house.keys.create(NewKey("alice", budget_usd_micros=5, note="x", requests_per_minute=9))
    wanted = KeyTerms(team="lab", weight=1, budget_usd_micros=50, requests_per_minute=None)
    changed = await house.keys.change(made.record.id, wanted)
    assert (changed.team, changed.note, changed.requests_per_minute) == ("lab", "x", None)
    assert (await house.authenticate(Credentials(made.text.encode()))).team == "lab"
    account = (await house.keys.show(made.record.id)).account
    assert account is not None
    assert account.limit_usd_micros == 50
    kind, subject, fields = (await house.logged())[1]
    assert (kind, subject) == (EventType.KEY_CHANGED, "alice")
    assert fields["changed"] == {
        "team": {"from": "", "to": "lab"},
        "requests_per_minute": {"from": 9, "to": None},
        "budget_usd_micros": {"from": 5, "to": 50},
    }


async def test_a_change_that_changes_nothing_is_not_logged(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("alice", budget_usd_micros=5))
    for wanted in (KeyTerms(), KeyTerms(budget_usd_micros=5, note="", team="")):
        assert await house.keys.change(made.record.id, wanted) == made.record
    assert len(await house.logged()) == 1


async def test_a_change_that_makes_no_sense_changes_nothing(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("alice"))
    with pytest.raises(BadRequestError) as caught:
        await house.keys.change(made.record.id, KeyTerms(weight=101, team=" ", budget_usd_micros=-1))
    assert {problem.field for problem in caught.value.problems} == {"weight", "team", "budget_usd_micros"}
    house.books.fail_next_commit = True
    with pytest.raises(LogUnavailableError):
        await house.keys.change(made.record.id, KeyTerms(team="lab"))
    assert house.keyring.records() == [made.record]


async def test_rights_become_fewer_and_never_more(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("alice", grants=("api://a/**",)))
    key_id = made.record.id
    fewer = KeyTerms(scopes=["runs:read"], grants=["api://a/b"], addresses=["10.0.0.0/8"])
    changed = await house.keys.change(key_id, fewer)
    assert (changed.scopes, changed.grants) == (frozenset({"runs:read"}), ("api://a/b",))
    for more in (KeyTerms(scopes=["runs:read", "mcp:connect"]), KeyTerms(grants=["api://a/**"])):
        with pytest.raises(BadRequestError) as caught:
            await house.keys.change(key_id, more)
        assert [problem.field for problem in caught.value.problems] == [*more]
    assert house.keyring.records() == [changed]
    _, _, fields = (await house.logged())[1]
    assert fields["changed"]["addresses"] == {"from": [], "to": ["10.0.0.0/8"]}  # type: ignore[index]


async def test_an_expiry_may_be_moved_or_taken_away_but_not_into_the_past(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("alice", expires_ns=START_NS + 5))
    key_id = made.record.id
    with pytest.raises(BadRequestError):
        await house.keys.change(key_id, KeyTerms(expires_ns=START_NS))
    assert (await house.keys.change(key_id, KeyTerms(expires_ns=START_NS + 9))).expires_ns == START_NS + 9
    house.clock.time_ns += 9
    assert (await house.keys.change(key_id, KeyTerms(note="late"))).note == "late"
    assert (await house.keys.change(key_id, KeyTerms(expires_ns=None))).expires_ns is None


async def test_a_revoked_key_is_changed_no_more(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("alice"))
    await house.keys.revoke(made.record.id)
    with pytest.raises(ConflictError):
        await house.keys.change(made.record.id, KeyTerms(weight=2))


async def test_no_change_brings_a_key_back_that_is_revoked_beside_it(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("alice"))
    key_id = made.record.id
    changes = [house.keys.change(key_id, KeyTerms(weight=n)) for n in range(2, 9)]
    await asyncio.gather(*changes[:3], house.keys.revoke(key_id), *changes[3:], return_exceptions=True)
    other = await house.restarted()
    for asked in (house, other):
        assert asked.keyring.get(key_id).record.revoked_ns is not None  # type: ignore[union-attr]


async def test_a_change_by_another_process_is_not_undone(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("alice"))
    other = await house.restarted()
    await other.keys.change(made.record.id, KeyTerms(team="lab"))
    assert (await house.keys.change(made.record.id, KeyTerms(weight=2))).team == "lab"
    await other.keys.revoke(made.record.id)
    with pytest.raises(ConflictError):
        await house.keys.change(made.record.id, KeyTerms(weight=3))


# Another secret


def admitted(house: KeyHouse, text: str) -> bool:
    try:
        return at_once(house.authenticate(Credentials(text.encode()))).name == "alice"
    except CredentialError:
        return False


async def test_a_rotated_key_works_with_both_secrets_until_the_overlap_ends(house: KeyHouse) -> None:
    first = await house.keys.create(NewKey("alice", budget_usd_micros=5, team="lab"))
    second = await house.keys.rotate(first.record.id, 100)
    assert (second.record.id, second.record.team, second.text != first.text) == (first.record.id, "lab", True)
    for asked in (house, await house.restarted()):
        old = await asked.authenticate(Credentials(first.text.encode()))
        new = await asked.authenticate(Credentials(second.text.encode()))
        assert (old.account, old.key_id, old.generation) == (new.account, new.key_id, 1)
        assert asked.keyring.admits(old, house.clock.time_ns)
    house.clock.time_ns += 100
    assert [admitted(house, one.text) for one in (first, second)] == [False, True]
    assert not house.keyring.admits(old, house.clock.time_ns)
    assert house.keyring.admits(new, house.clock.time_ns)
    kind, subject, fields = (await house.logged())[1]
    assert (kind, subject, fields["generation"]) == (EventType.KEY_ROTATED, "alice", 2)
    assert repr(second.text)[1:-1] not in repr(await house.logged())


async def test_one_overlap_at_a_time_and_a_rotation_without_one_ends_it(house: KeyHouse) -> None:
    first = await house.keys.create(NewKey("alice"))
    key_id = first.record.id
    second = await house.keys.rotate(key_id, 100)
    with pytest.raises(ConflictError, match="still works"):
        await house.keys.rotate(key_id, 100)
    third = await house.keys.rotate(key_id)
    assert [admitted(house, one.text) for one in (first, second, third)] == [False, False, True]
    with pytest.raises(CredentialError) as caught:
        await house.authenticate(Credentials(second.text.encode()))
    assert (caught.value.reason, house.keys.overlap_until_ns(third.record)) == (Refusal.ROTATED, None)
    _, _, fields = (await house.logged())[-1]
    assert fields["overlap_until_s"] is None
    fourth = await house.keys.rotate(key_id, 100)
    texts = [one.text for one in (first, second, third, fourth)]
    assert [admitted(house, text) for text in texts] == [False, False, True, True]
    await house.keys.revoke(key_id)
    assert not any(admitted(house, text) for text in texts)


async def test_what_cannot_be_rotated_is_left_as_it_is(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("alice"))
    for overlap_ns in (-1, 31 * 24 * 3600 * 10**9):
        with pytest.raises(BadRequestError):
            await house.keys.rotate(made.record.id, overlap_ns)
    house.books.fail_next_commit = True
    with pytest.raises(LogUnavailableError):
        await house.keys.rotate(made.record.id)
    assert admitted(house, made.text)
    await house.keys.revoke(made.record.id)
    imported = await house.keys.adopt(legacy("sk-agent-7"), NewKey("agent-7"))
    for key_id in (made.record.id, imported.id):
        with pytest.raises(ConflictError):
            await house.keys.rotate(key_id)


# All at once


async def test_all_keys_are_revoked_in_one_commit_and_each_is_in_the_log(house: KeyHouse) -> None:
    made = [await house.keys.create(NewKey("alice")) for _ in range(3)]
    await house.keys.revoke(made[0].record.id, "lost")
    elsewhere = await (await house.restarted()).keys.create(NewKey("bob"))
    house.books.fail_next_commit = True
    with pytest.raises(LogUnavailableError):
        await house.keys.revoke_all("leak")
    assert [admitted(house, one.text) for one in made] == [False, True, True]
    revoked = await house.keys.revoke_all("leak")
    assert {one.id for one in revoked} == {made[1].record.id, made[2].record.id, elsewhere.record.id}
    assert not any(admitted(house, one.text) for one in (*made, elsewhere))
    reasons = [fields["reason"] for kind, _, fields in await house.logged() if kind == EventType.KEY_REVOKED]
    assert reasons == ["lost", "leak", "leak", "leak"]
    assert await house.keys.revoke_all("again") == []


# Made by a key


MAKER = NewKey(
    "team",
    scopes=frozenset({scopes.ADMIN_KEYS, scopes.RUNS_READ}),
    grants=("api://a/**",),
    addresses=("10.0.0.0/8",),
    team="lab",
    weight=2,
    requests_per_minute=60,
    concurrent_requests=5,
    day_usd_micros=50,
    month_usd_micros=500,
    expires_ns=START_NS + 1000,
    budget_usd_micros=100,
)
MADE = replace(
    MAKER,
    principal="team/ann",
    scopes=frozenset({scopes.RUNS_READ}),
    grants=("api://a/b",),
    budget_usd_micros=40,
)


@pytest.mark.parametrize(
    "more",
    [
        {"scopes": frozenset({scopes.AUDIT_READ})},
        {"scopes": scopes.CLIENT_DEFAULT},
        {"grants": ("api://**",)},
        {"addresses": ()},
        {"team": ""},
        {"weight": 3},
        {"requests_per_minute": None},
        {"concurrent_requests": 6},
        {"day_usd_micros": 51},
        {"month_usd_micros": None},
        {"expires_ns": None},
        {"principal": "bob"},
        {"principal": "teammate"},
    ],
    ids="-".join,
)
async def test_a_key_makes_no_key_that_is_more_than_itself(house: KeyHouse, more: dict[str, Any]) -> None:
    """CVE-2026-47101: LiteLLM made keys for routes that their makers did not have."""
    maker = (await house.keys.create(MAKER)).record.id
    with pytest.raises(BadRequestError) as caught:
        await house.keys.create(replace(MADE, **more), maker=maker)
    assert [problem.field for problem in caught.value.problems] == [*more]
    assert len(house.keys.list()) == 1


async def test_what_a_key_makes_pays_from_its_account(house: KeyHouse) -> None:
    maker = (await house.keys.create(MAKER)).record.id
    made = [(await house.keys.create(MADE, maker=maker)).record.id for _ in range(2)]
    with pytest.raises(BudgetExhaustedError) as caught:
        await house.keys.create(MADE, maker=maker)
    assert caught.value.detail == (
        f"the budget asked for takes $0.00004 out of the $0.0001 of key {maker}, of which $0.00 are spent and"
        " $0.00008 are held for calls under way and for keys that it made"
    )
    with pytest.raises(BudgetExhaustedError):
        await house.keys.change(made[0], KeyTerms(budget_usd_micros=61))
    await house.keys.revoke(made[0])
    await house.keys.create(MADE, maker=maker)


async def test_what_keys_spend_together_is_within_the_day_and_month_of_whoever_made_them(
    house: KeyHouse,
) -> None:
    """Else a key could make itself as many days as it makes keys."""
    unbound = replace(MAKER, addresses=(), budget_usd_micros=None)
    maker = await house.keys.create(unbound)
    middle = await house.keys.create(replace(unbound, day_usd_micros=40), maker=maker.record.id)
    last = await house.keys.create(replace(unbound, day_usd_micros=30), maker=middle.record.id)
    who = await house.authenticate(Credentials(last.text.encode()))
    assert [each.key_id for each in who.makers] == [middle.record.id, maker.record.id]
    limits = {
        (one.scope, one.name, one.period): one.limit_usd_micros
        for one in own_rules(together(who, Principal("jwt/a/b", "jwt/a/b")))
    }
    assert {limits[Scope.KEY, one.record.id, Period.DAY] for one in (maker, middle, last)} == {50, 40, 30}
    await house.keys.change(last.record.id, KeyTerms(day_usd_micros=20))
    await house.keys.change(middle.record.id, KeyTerms(day_usd_micros=20))
    changed = await house.authenticate(Credentials(last.text.encode()))
    assert [each.day_usd_micros for each in changed.makers] == [20, 50]


async def test_what_ends_with_a_key_gives_its_makers_their_money_back(house: KeyHouse) -> None:
    """A key between them is revoked: what it made can spend nothing, so that nothing is held for it."""
    maker = (await house.keys.create(MAKER)).record.id
    between = replace(MADE, scopes=MAKER.scopes, budget_usd_micros=90)
    middle = (await house.keys.create(between, maker=maker)).record.id
    last = (await house.keys.create(replace(between, budget_usd_micros=80), maker=middle)).record
    elsewhere = await house.restarted()
    await elsewhere.keys.create(replace(MADE, budget_usd_micros=5), maker=last.id)
    under_way = reserve("r1", f"key/{last.id}", 30)
    await house.books.commit(under_way)
    await house.keys.revoke(middle)
    assert await held(house, maker) == 30
    await house.books.commit(Settle("r1", Usage(1, 1, 20), START_NS, CallOutcome.OK))
    assert await held(house, maker) == 0
    account = await house.books.account(f"key/{maker}")
    assert account is not None
    assert account.spent_usd_micros == 20
    await house.keys.create(replace(MADE, budget_usd_micros=80), maker=maker)
    assert not await house.books.audit_ledger()


async def held(house: KeyHouse, key_id: str) -> int:
    account = await house.books.account(f"key/{key_id}")
    assert account is not None
    return account.held_usd_micros


async def test_what_a_key_made_falls_with_it(house: KeyHouse) -> None:
    maker = await house.keys.create(replace(MAKER, principal="alice", addresses=()))
    own = replace(MADE, principal="alice", addresses=(), budget_usd_micros=None)
    child = await house.keys.create(replace(own, scopes=MAKER.scopes), maker=maker.record.id)
    grandchild = await house.keys.create(own, maker=child.record.id)
    principal = await house.authenticate(Credentials(grandchild.text.encode()))
    assert house.keyring.admits(principal, START_NS)
    await house.keys.revoke(maker.record.id)
    for asked in (house, await house.restarted()):
        assert not any(admitted(asked, one.text) for one in (maker, child, grandchild))
        assert asked.keys.state(grandchild.record) == "ended with its maker"
    assert not house.keyring.admits(principal, START_NS)
    with pytest.raises(ConflictError):
        await house.keys.create(own, maker=child.record.id)


async def test_a_maker_stays_as_much_as_what_it_made(house: KeyHouse) -> None:
    maker = (await house.keys.create(MAKER)).record.id
    made = (await house.keys.create(MADE, maker=maker)).record.id
    with pytest.raises(ConflictError, match=made):
        await house.keys.change(maker, KeyTerms(requests_per_minute=59))
    with pytest.raises(BadRequestError):
        await house.keys.change(made, KeyTerms(requests_per_minute=61))
    await house.keys.change(made, KeyTerms(requests_per_minute=30))
    await house.keys.change(maker, KeyTerms(requests_per_minute=30))


async def test_a_key_without_the_scope_makes_none_and_lines_of_makers_end(house: KeyHouse) -> None:
    plain = (await house.keys.create(NewKey("team"))).record.id
    with pytest.raises(MissingScopeError):
        await house.keys.create(NewKey("team"), maker=plain)
    with pytest.raises(NotFoundError):
        await house.keys.create(NewKey("team"), maker="nobody")
    last = (await house.keys.create(MAKER)).record.id
    unbound = replace(MAKER, budget_usd_micros=None)
    for _ in range(4):
        last = (await house.keys.create(unbound, maker=last)).record.id
    with pytest.raises(ConflictError):
        await house.keys.create(unbound, maker=last)


# Taken over from another gateway


async def test_a_key_of_another_gateway_works_under_its_own_text(house: KeyHouse) -> None:
    record = await house.keys.adopt(legacy("sk-agent-7"), NewKey("agent-7", budget_usd_micros=9, team="lab"))
    assert record.legacy
    assert record.id.startswith("legacy")
    for asked in (house, await house.restarted()):
        principal = await asked.authenticate(Credentials(bearer=b"sk-agent-7"))
        assert (principal.name, principal.key_id, principal.team) == ("agent-7", record.id, "lab")
    account = (await house.keys.show(record.id)).account
    assert account is not None
    assert account.limit_usd_micros == 9
    ((_, _, fields),) = await house.logged()
    assert fields["legacy"] is True


async def test_neither_the_text_nor_its_digest_is_kept(house: KeyHouse) -> None:
    key = legacy("sk-agent-7")
    await house.keys.adopt(key, NewKey("agent-7"))
    kept = repr([await house.books.keys(), await house.logged(), vars(house.books), key])
    for secret in ("sk-agent-7", key.digest, bytes.fromhex(key.digest)):
        assert repr(secret)[1:-1] not in kept


async def test_a_key_is_taken_over_once(house: KeyHouse) -> None:
    wished = NewKey("agent", budget_usd_micros=5)
    adopted = await asyncio.gather(
        *(house.keys.adopt(legacy("sk-1"), wished) for _ in range(3)), return_exceptions=True
    )
    assert sorted(isinstance(one, ConflictError) for one in adopted) == [False, True, True]
    assert len(await house.logged()) == 1


async def test_a_key_that_was_blocked_or_expired_there_is_refused_here(house: KeyHouse) -> None:
    await house.keys.adopt(legacy("sk-blocked"), NewKey("a"), revoked=True)
    await house.keys.adopt(legacy("sk-expired"), NewKey("b", expires_ns=START_NS - 1))
    for text in (b"sk-blocked", b"sk-expired"):
        with pytest.raises(CredentialError):
            await house.authenticate(Credentials(text))


async def test_what_makes_no_sense_is_not_taken_over(house: KeyHouse) -> None:
    with pytest.raises(BadRequestError):
        await house.keys.adopt(legacy("sk-1"), NewKey("operator"))
    assert not house.keyring.has_legacy


async def test_events_hold_only_what_a_log_can_hold(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("alice", budget_usd_micros=2**53 - 1))
    await house.keys.change(made.record.id, KeyTerms(day_usd_micros=2**53 - 1))
    assert PEPPER.hex() not in json.dumps(await house.logged())


@pytest.mark.parametrize("end", ["expired", "revoked", "maker revoked"])
async def test_of_keys_that_programs_make_those_that_ended_long_ago_are_forgotten(
    house: KeyHouse, end: str
) -> None:
    """Else a program that makes a key for each of its jobs would fill the memory of the gateway."""
    unbound = replace(MAKER, addresses=(), expires_ns=None)
    maker = await house.keys.create(unbound)
    middle = await house.keys.create(replace(unbound, budget_usd_micros=50), maker=maker.record.id)
    ends_ns = START_NS + 10 if end == "expired" else None
    wished = replace(unbound, budget_usd_micros=10, expires_ns=ends_ns)
    made = [await house.keys.create(wished, maker=middle.record.id) for _ in range(3)]
    used = made[0].record.id
    await house.authenticate(Credentials(made[0].text.encode()))
    await NoteKeyUses(house.books, house.keyring).flush()
    if end == "revoked":
        for one in made:
            await house.keys.revoke(one.record.id)
    if end == "maker revoked":
        await house.keys.revoke(middle.record.id)
    house.clock.time_ns += KEPT_ENDED_NS - 1
    kept = {record.id for record in (await house.restarted()).keys.list()}
    assert used in kept
    house.clock.time_ns += 11
    restarted = await house.restarted()
    await house.keys.create(replace(unbound, budget_usd_micros=None), maker=maker.record.id)  # forgets too
    left = {maker.record.id} if end == "maker revoked" else {maker.record.id, middle.record.id}
    assert {record.id for record in restarted.keys.list()} == left
    assert {record.id for record in house.keys.list()} > left
    assert used not in house.keyring.used_ns
    assert await house.books.key_uses() == {}
    assert not admitted(house, made[0].text)
    payer = await house.books.account(account_of(middle.record.id))
    assert (payer.held_usd_micros, payer.spent_usd_micros) == (0, 0)  # type: ignore[union-attr]


async def test_a_forgotten_key_is_not_revived_by_a_process_that_still_holds_it(house: KeyHouse) -> None:
    """Its account is closed and its maker may have gone: what the books do not have is no key any more."""
    maker = await house.keys.create(replace(MAKER, addresses=(), expires_ns=None))
    wished = replace(MAKER, addresses=(), budget_usd_micros=10, expires_ns=START_NS + 10)
    key_id = (await house.keys.create(wished, maker=maker.record.id)).record.id
    house.clock.time_ns += KEPT_ENDED_NS + 10
    await house.restarted()  # another process forgets it
    assert house.keyring.get(key_id) is not None
    size = (await house.books.head()).size
    for acting in (
        house.keys.change(key_id, KeyTerms(expires_ns=None)),
        house.keys.rotate(key_id),
        house.keys.revoke(key_id),
        house.keys.create(replace(wished, expires_ns=None), maker=key_id),
    ):
        with pytest.raises(NotFoundError):
            await acting
    assert {record.id for record in await house.books.keys()} == {maker.record.id}
    assert (await house.books.head()).size == size


async def test_the_keys_of_the_operator_are_known_for_good(house: KeyHouse) -> None:
    ended = await house.keys.create(NewKey("alice", expires_ns=START_NS + 1))
    await house.keys.adopt(legacy("sk-agent-7"), NewKey("agent-7"), revoked=True)
    house.clock.time_ns += 10 * KEPT_ENDED_NS
    restarted = await house.restarted()
    assert len(restarted.keys.list()) == 2
    assert restarted.keys.state(ended.record) == "expired"
    with pytest.raises(ConflictError):
        await restarted.keys.adopt(legacy("sk-agent-7"), NewKey("agent-7"))
