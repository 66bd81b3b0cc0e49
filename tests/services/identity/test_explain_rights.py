"""`can`: the decisions of a request, told one by one; what it says is what a request meets."""

from dataclasses import replace
from typing import Any

import pytest
from tests.authn.jwt.tokens import NOW_S, RULES, claims, token
from tests.services.key_house import START_NS, KeyHouse
from tests.services.token_house import TokenHouse

from macroslow.adapters.system import SystemEntropy
from macroslow.authn.api_keys import mint, parse_legacy
from macroslow.authn.jwt.issuer import ClaimMapping
from macroslow.authn.principal import TokenPrincipal
from macroslow.authz import scopes
from macroslow.errors import BadRequestError, ConfigurationError, CredentialError, NotFoundError
from macroslow.maml.rights import OperatorRights
from macroslow.services.identity.authenticate import Credentials
from macroslow.services.identity.explain_rights import ExplainRights
from macroslow.services.identity.rights_verbs import RightsVerbs
from macroslow.services.identity.wished_keys import NewKey

OFFERS = OperatorRights(("local",), frozenset({"openai"}), frozenset({"weather"}), circuits=False)


@pytest.fixture
async def house() -> KeyHouse:
    house = KeyHouse()
    await house.keys.create(NewKey("ann", grants=("gateway://*", "api://openai")))
    return house


@pytest.fixture
def explain(house: KeyHouse) -> ExplainRights:
    return ExplainRights(house.keys, OFFERS)


@pytest.mark.parametrize(
    ("action", "uri", "refused_at"),
    [
        (scopes.DOCUMENTS_EXECUTE, "", None),
        (scopes.DOCUMENTS_EXECUTE, "gateway://local", None),
        (scopes.DOCUMENTS_EXECUTE, "api://openai", None),
        (scopes.AUDIT_READ, "", "scope"),
        (scopes.DOCUMENTS_EXECUTE, "api://weather", "uri"),  # not granted
        (scopes.DOCUMENTS_EXECUTE, "gateway://other", "uri"),  # not offered
        (scopes.DOCUMENTS_EXECUTE, "quantum://simulator", "uri"),
        (scopes.DOCUMENTS_EXECUTE, "api://openai/v1", "uri"),
    ],
)
def test_the_step_that_refuses_is_named(explain: ExplainRights, action, uri, refused_at):
    ((_, steps),) = explain("ann", action, uri)
    assert next((step.step for step in steps if not step.allowed), None) == refused_at
    assert all(step.reason for step in steps)


async def test_each_key_of_a_name_is_told_and_a_dead_one_may_nothing(house: KeyHouse, explain: ExplainRights):
    second = (await house.keys.create(NewKey("ann", expires_ns=START_NS + 1))).record
    house.clock.time_ns += 10
    verdicts = {
        record.id: all(step.allowed for step in steps)
        for record, steps in explain("ann", scopes.INFERENCE_CHAT)
    }
    assert sorted(verdicts.values()) == [False, True]
    assert not verdicts[second.id]
    ((record, _),) = explain(second.id, scopes.INFERENCE_CHAT)
    assert record.id == second.id


async def test_a_key_whose_maker_has_ended_may_nothing(house: KeyHouse, explain: ExplainRights):
    rights = frozenset({scopes.ADMIN_KEYS, scopes.INFERENCE_CHAT})
    maker = (await house.keys.create(NewKey("lab", scopes=rights))).record.id
    made = NewKey("lab/eve", scopes=frozenset({scopes.INFERENCE_CHAT}))
    await house.keys.create(made, maker=maker)
    ((_, steps),) = explain("lab/eve", scopes.INFERENCE_CHAT)
    assert all(step.allowed for step in steps)
    await house.keys.revoke(maker)
    ((_, steps),) = explain("lab/eve", scopes.INFERENCE_CHAT)
    assert [(step.step, step.reason) for step in steps if not step.allowed] == [
        ("key", "the key is ended with its maker")
    ]


async def test_each_action_has_its_listener_and_so_has_each_key(house: KeyHouse, explain: ExplainRights):
    """A scope that an administrator's key only passes on is none that it can use."""
    rights = frozenset({scopes.ADMIN_KEYS, scopes.INFERENCE_CHAT})
    await house.keys.create(NewKey("lab", scopes=rights))
    ((_, steps),) = explain("lab", scopes.ADMIN_KEYS)
    assert all(step.allowed for step in steps)
    ((_, steps),) = explain("lab", scopes.INFERENCE_CHAT)
    assert [step.step for step in steps if not step.allowed] == ["listener"]
    ((_, steps),) = explain("ann", scopes.ADMIN_KEYS)
    assert [step.step for step in steps if not step.allowed] == ["listener", "scope"]


def test_what_is_not_known_is_said(explain: ExplainRights):
    with pytest.raises(NotFoundError):
        explain("nobody", scopes.INFERENCE_CHAT)
    with pytest.raises(BadRequestError, match="no scope"):
        explain("ann", "everything")
    for uri in ("openai", "api://*", "api://a/../b"):
        with pytest.raises(BadRequestError):
            explain("ann", scopes.INFERENCE_CHAT, uri)


async def test_the_networks_of_a_key_are_told(house: KeyHouse, explain: ExplainRights):
    bound = (await house.keys.create(NewKey("bob", addresses=("10.0.0.0/8",)))).record
    ((_, steps),) = explain(bound.id, scopes.INFERENCE_CHAT)
    assert [step.reason for step in steps if step.step == "addresses"] == ["only from 10.0.0.0/8"]


def test_who_has_a_token_is_asked_for_it(explain: ExplainRights):
    with pytest.raises(NotFoundError, match="a token's principal") as caught:
        explain("jwt/dev/alice", scopes.INFERENCE_CHAT)
    assert "macroslow can - ACTION" in caught.value.fix


async def test_a_key_in_place_of_a_name_is_not_repeated(house: KeyHouse, explain: ExplainRights):
    made = await house.keys.create(NewKey("bob"))
    with pytest.raises(NotFoundError, match=f"its id is {made.record.id}") as caught:
        explain(made.text, scopes.INFERENCE_CHAT)
    assert made.text not in caught.value.detail


# Keys by their text

Told = list[tuple[str, bool]]


async def can_key(house: KeyHouse, text: str, action: str = scopes.INFERENCE_CHAT) -> tuple[bool, Told]:
    """What is said of a key that is there; and whether it is what a request with the key meets."""
    found: Any = await RightsVerbs(ExplainRights(house.keys, OFFERS)).can_key(text, action)
    assert text not in repr(found)
    assert text[20:] not in repr(found)
    (key,) = found["keys"]
    assert key["allowed"] == found["allowed"]
    try:
        await house.authenticate(Credentials(text.encode()))
    except CredentialError:
        assert not found["allowed"]
    return found["allowed"], [(step["step"], step["allowed"]) for step in key["steps"][:2]]


GOOD: Told = [("secret", True), ("key", True)]


async def test_a_key_with_a_wrong_or_rotated_secret_may_nothing(house: KeyHouse) -> None:
    """It has the id and the rights of a key in force; a request with it meets a 401."""
    made = await house.keys.create(NewKey("bob"))
    assert await can_key(house, made.text) == (True, GOOD)
    forged = mint(SystemEntropy(), made.record.id).text
    assert await can_key(house, forged) == (False, [("secret", False), ("key", True)])
    later = await house.keys.rotate(made.record.id)
    assert await can_key(house, made.text) == (False, [("secret", False), ("key", True)])
    assert await can_key(house, later.text) == (True, GOOD)


async def test_an_older_secret_counts_until_its_overlap_ends(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("bob"))
    await house.keys.rotate(made.record.id, overlap_ns=10)
    assert await can_key(house, made.text) == (True, GOOD)
    house.clock.time_ns += 10
    assert await can_key(house, made.text) == (False, [("secret", False), ("key", True)])


async def test_of_an_ended_key_the_end_is_told_and_not_its_secret(house: KeyHouse) -> None:
    made = await house.keys.create(NewKey("bob"))
    await house.keys.revoke(made.record.id)
    assert await can_key(house, made.text) == (False, [("secret", True), ("key", False)])
    short = await house.keys.create(NewKey("eve", expires_ns=house.clock.time_ns + 1))
    house.clock.time_ns += 1
    assert await can_key(house, short.text) == (False, [("secret", True), ("key", False)])


async def test_a_key_of_another_gateway_is_examined_by_its_text(house: KeyHouse) -> None:
    text = "sk-agent-7-0123456789abcdef"
    legacy = parse_legacy(text.encode())
    assert legacy is not None
    with pytest.raises(NotFoundError, match="no key 'legacy") as caught:  # none was imported yet
        await can_key(house, text)
    assert text not in caught.value.detail + caught.value.fix
    await house.keys.adopt(legacy, NewKey("agent-7"))
    assert await can_key(house, text) == (True, GOOD)


async def test_to_ask_about_a_key_is_no_use_of_it_and_a_network_does_not_stand_in_the_way(
    house: KeyHouse,
) -> None:
    bound = await house.keys.create(NewKey("bob", addresses=("10.0.0.0/8",)))
    found: Any = await RightsVerbs(ExplainRights(house.keys, OFFERS)).can_key(
        bound.text, scopes.INFERENCE_CHAT
    )
    assert found["allowed"]
    assert "only from 10.0.0.0/8" in [step["reason"] for step in found["keys"][0]["steps"]]
    assert house.keys.last_used_ns(bound.record) is None


@pytest.mark.parametrize("text", ["", "bob", "msk_", "a.b.c", "é", "\udcff", "msk_000000000000_x"])
async def test_what_is_no_key_is_not_explained_as_one(house: KeyHouse, text: str) -> None:
    with pytest.raises(NotFoundError, match="no key"):
        await RightsVerbs(ExplainRights(house.keys, OFFERS)).can_key(text, scopes.INFERENCE_CHAT)


# Tokens

ALICE = TokenPrincipal(
    "jwt/main/alice",
    "jwt/main/alice",
    issuer="main",
    subject="alice",
    scopes=frozenset({scopes.DOCUMENTS_EXECUTE}),
    grants=("gateway://*", "api://openai"),
)


@pytest.mark.parametrize(
    ("action", "uri", "refused_at"),
    [
        (scopes.DOCUMENTS_EXECUTE, "", None),
        (scopes.DOCUMENTS_EXECUTE, "api://openai", None),
        (scopes.INFERENCE_CHAT, "", "scope"),
        (scopes.ADMIN_KEYS, "", "listener"),
        (scopes.DOCUMENTS_EXECUTE, "api://weather", "uri"),  # not granted
        (scopes.DOCUMENTS_EXECUTE, "gateway://other", "uri"),  # not offered
    ],
)
def test_a_token_meets_the_same_steps(explain: ExplainRights, action, uri, refused_at):
    steps = explain.of_token(ALICE, action, uri)
    assert next((step.step for step in steps if not step.allowed), None) == refused_at


def test_what_a_token_lacks_is_mended_at_its_issuer(explain: ExplainRights):
    (lacking,) = [step for step in explain.of_token(ALICE, scopes.INFERENCE_CHAT) if not step.allowed]
    assert "[auth.issuers.main]" in lacking.fix
    lacking = explain.of_token(ALICE, scopes.ADMIN_KEYS)[-1]
    assert (lacking.allowed, "keys create" in lacking.fix) == (False, True)  # no token administrates


async def test_a_token_is_explained_without_an_account_of_its_subject() -> None:
    house = TokenHouse(replace(RULES, mapping=ClaimMapping(pass_scopes=frozenset({scopes.INFERENCE_CHAT}))))
    verbs = RightsVerbs(ExplainRights(house.keys, OFFERS), house.tokens)

    async def can(credential: bytes) -> Any:
        return await verbs.can_token(credential.decode(), scopes.INFERENCE_CHAT)

    good = await can(token())
    assert (good["allowed"], good["principal"]) == (True, "jwt/main/alice")
    assert await house.books.account("jwt/main/alice") is None
    less = await can(token(claims(scope="openid")))
    assert (less["allowed"], less["principal"]) == (False, "jwt/main/alice")
    late = await can(token(claims(exp=NOW_S - 1000)))
    assert (late["allowed"], late["principal"]) == (False, None)
    assert [step["reason"] for step in late["steps"]] == [
        "the token is not let in: it is refused at the step expiry"
    ]


async def test_without_an_issuer_no_token_can_be_decided_on(explain: ExplainRights):
    with pytest.raises(ConfigurationError, match="no issuer"):
        await RightsVerbs(explain).can_token(token().decode(), scopes.INFERENCE_CHAT)
