"""What an act upon keys commits: the log says by whom, keeps no key, and no account stays open behind one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.key_house import PEPPER, START_NS, KeyHouse

from macroslow.authn.keyring import account_of
from macroslow.authn.ports import KeyRecord
from macroslow.authn.principal import THE_OPERATOR, Principal
from macroslow.authz import scopes
from macroslow.metering.ledger import CloseAccount
from macroslow.services.identity.key_changes import ending
from macroslow.services.identity.key_verbs import KeyVerbs
from macroslow.services.identity.wished_keys import NewKey
from macroslow.tlog.event import EventType

ACTS = [EventType.KEY_CHANGED, EventType.KEY_ROTATED, EventType.KEY_REVOKED]


async def acted(verbs: KeyVerbs, key_id: str) -> None:
    await verbs.set(key_id=key_id, note="x")
    await verbs.rotate(key_id=key_id)
    await verbs.revoke(key_id=key_id)


async def test_each_entry_says_which_key_it_is_about_and_by_whom_it_was() -> None:
    house = KeyHouse()
    maker = await house.keys.create(NewKey("lab", scopes=frozenset({scopes.ADMIN_KEYS, scopes.RUNS_READ})))
    theirs = await house.keys.create(
        NewKey("lab", scopes=frozenset({scopes.RUNS_READ})), maker=maker.record.id
    )
    ours = await house.keys.create(NewKey("ann"))
    administrator = Principal("lab", account_of(maker.record.id), maker.record.id)
    await acted(KeyVerbs(house.keys, administrator), theirs.record.id)
    await acted(KeyVerbs(house.keys), ours.record.id)
    (*made,) = await house.logged()
    told = [(kind, fields["key_id"], fields["by"]) for kind, _, fields in made[3:]]
    assert told == [(kind, theirs.record.id, maker.record.id) for kind in ACTS] + [
        (kind, ours.record.id, THE_OPERATOR) for kind in ACTS
    ]
    assert [fields["maker"] for _, _, fields in made[:3]] == ["", maker.record.id, ""]


async def test_an_administrator_is_named_in_a_part_of_their_own_of_what_is_about_another() -> None:
    house = KeyHouse()
    rights = frozenset({scopes.ADMIN_KEYS, scopes.RUNS_READ})
    maker = await house.keys.create(NewKey("boss", scopes=rights))
    wished = NewKey("boss/ann", scopes=frozenset({scopes.RUNS_READ}))
    theirs = await house.keys.create(wished, maker=maker.record.id)
    administrator = Principal("boss", account_of(maker.record.id), maker.record.id)
    await acted(KeyVerbs(house.keys, administrator), theirs.record.id)
    entries = await house.books.entries(2, 10)
    assert [(one.type, one.subject) for one in entries] == [(kind, "boss/ann") for kind in ACTS]
    for one in entries:
        assert one.event is not None
        assert json.loads(one.event)["fields"]["by"] == "administrator"
        assert maker.record.id.encode() not in one.event
        (part,) = one.others
        assert json.loads(part or b"null") == {"subject": "boss", "fields": {"by": maker.record.id}}


@pytest.mark.parametrize("all_at_once", [False, True])
async def test_a_key_in_the_reason_is_cut_and_the_revocation_stands(all_at_once: bool) -> None:
    house = KeyHouse()
    made = await house.keys.create(NewKey("ann"))
    reason = f"{made.text} was in a repository"
    if all_at_once:
        await house.keys.revoke_all(reason)
    else:
        await house.keys.revoke(made.record.id, reason)
    _, _, fields = (await house.logged())[-1]
    assert fields["reason"] == "msk… was in a repository"
    assert house.keys.state(house.keys.known(made.record.id)) == "revoked"


@given(st.lists(st.integers(0, 8), max_size=8), st.sets(st.integers(1, 8)))
def test_with_a_key_every_account_ends_that_pays_from_it(parents: list[int], ended: set[int]) -> None:
    """Against a slow look: every stored key, upwards until the operator."""
    stored = [
        KeyRecord(str(n), "ann", PEPPER, START_NS, maker=str(parent % n) if parent % n else "")
        for n, parent in enumerate(parents, start=1)
    ]
    maker = {record.id: record.maker for record in stored}
    revoked = [replace(record, revoked_ns=START_NS) for record in stored if int(record.id) in ended]

    def falls(key_id: str) -> bool:
        return key_id != "" and (int(key_id) in ended or falls(maker[key_id]))

    closed = [change.id for change in ending(revoked, stored, "", None) if isinstance(change, CloseAccount)]
    assert sorted(closed) == sorted(
        account_of(record.id) for record in stored if record.maker and falls(record.id)
    )
