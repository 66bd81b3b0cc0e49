"""The verbs about keys: whose name is given in place of a key is told the keys, and only those he may see."""

import pytest
from tests.services.key_house import KeyHouse

from macroslow.authn.principal import Principal
from macroslow.errors import NotFoundError
from macroslow.services.identity.key_verbs import SHOWN_KEYS, KeyVerbs
from macroslow.services.identity.wished_keys import NewKey


@pytest.fixture
def house() -> KeyHouse:
    return KeyHouse()


async def asked(verbs: KeyVerbs, verb: str, key_id: str) -> NotFoundError:
    with pytest.raises(NotFoundError) as caught:
        await getattr(verbs, verb)(key_id=key_id)
    return caught.value


@pytest.mark.parametrize("verb", ["show", "set", "rotate", "revoke"])
async def test_a_principal_in_place_of_a_key_is_told_the_keys(house: KeyHouse, verb: str) -> None:
    made = [(await house.keys.create(NewKey("ann"))).record.id for _ in range(2)]
    await house.keys.create(NewKey("bob"))
    told = await asked(KeyVerbs(house.keys), verb, "ann")
    assert told.detail == "ann is a principal and no key"
    assert sorted(told.fix.removeprefix("its keys: ").split(", ")) == sorted(made)


async def test_of_many_keys_some_are_shown(house: KeyHouse) -> None:
    for _ in range(SHOWN_KEYS + 3):
        await house.keys.create(NewKey("ann"))
    assert (await asked(KeyVerbs(house.keys), "show", "ann")).fix.endswith(" and 3 more")


async def test_who_is_no_operator_learns_nothing_of_keys_of_others(house: KeyHouse) -> None:
    theirs = (await house.keys.create(NewKey("ann"))).record.id
    maker = Principal("lab", "key/lab", "lab")
    unknown, foreign, principal = [
        await asked(KeyVerbs(house.keys, maker), "show", asked_for) for asked_for in ("nobody", theirs, "ann")
    ]
    assert unknown.fix == foreign.fix == principal.fix == "macroslow keys list"
    assert unknown.detail.replace("nobody", "") == principal.detail.replace("ann", "")


async def test_who_has_no_key_is_not_taken_for_the_operator(house: KeyHouse) -> None:
    with pytest.raises(ValueError, match="neither the operator nor a key"):
        KeyVerbs(house.keys, Principal("ann", "jwt/sso/ann", scopes=frozenset({"admin:keys"})))
