"""What came where a token was expected: what it is, whether it lets somebody in, and what to do about it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.authn.jwt.tokens import ISS, NOW_S, RULES, claims, ed_key, token
from tests.services.token_house import TokenHouse

from macroslow.adapters.system import SystemEntropy
from macroslow.authn.api_keys import mint
from macroslow.authn.jwt.check import Step
from macroslow.authn.jwt.issuer import ClaimMapping, IssuerRules
from macroslow.authn.jwt.revoked import Revocation
from macroslow.crypto.jose import Algorithm
from macroslow.errors import ConfigurationError
from macroslow.services.identity.explain_tokens import Explained, ExplainTokens
from macroslow.services.identity.wished_keys import NewKey

CHAT = ClaimMapping(pass_scopes=frozenset({"inference:chat"}))
SERVING = replace(RULES, mapping=CHAT)
ED_ALONE = replace(SERVING, algorithms=frozenset({Algorithm.EDDSA}))
SHARED = replace(SERVING, algorithms=frozenset({Algorithm.HS256}))
WANTING = replace(
    SERVING,
    required=((("use",), frozenset({"access"})),),
    client_ids=frozenset({"c"}),
    types=frozenset({"at+jwt"}),
)


async def explained(text: str, *rules: IssuerRules, house: TokenHouse | None = None) -> Explained:
    house = house or TokenHouse(*(rules or (SERVING,)))
    found = await ExplainTokens(house.keys, house.tokens)(text)
    for part in text.split("."):  # at the most its claims are told, in words
        assert len(part) < 8 or part not in repr(found)
    return found


async def test_a_useful_token_needs_nothing() -> None:
    found = await explained(token().decode())
    assert (found.refused_at, found.fix) == (None, "")
    assert found.verdict == "let in as jwt/main/alice, scopes inference:chat"


@pytest.mark.parametrize(
    ("rules", "credential", "step", "fix"),
    [
        (SERVING, token(claims(iss="https://other.example")), Step.ISSUER, "write [auth.issuers.NAME]"),
        (SERVING, token(claims(iss=ISS.rstrip("/"))), Step.ISSUER, "[auth.issuers.main], write issuer as"),
        (SERVING, token(claims(iss=None)), Step.ISSUER, "write [auth.issuers.NAME]"),
        (
            ED_ALONE,
            token(header={"alg": "RS256"}),
            Step.ALGORITHM,
            "add that to algorithms in [auth.issuers.main]",
        ),
        (SERVING, token(header={"alg": "none"}), Step.ALGORITHM, "can take RS256, PS256, ES256, EdDSA, or"),
        (SERVING, token(header={"alg": "RS512"}), Step.ALGORITHM, "[auth.issuers.main] can take RS256"),
        (SERVING, token(header={"alg": "HS256"}), Step.ALGORITHM, "with a secret HS256 alone"),
        (SHARED, token(header={"alg": "RS256"}), Step.ALGORITHM, "with a secret HS256 alone"),
        (WANTING, token(header={"typ": "JWT"}), Step.TYPE, "types in [auth.issuers.main]"),
        (SERVING, token(kid="unknown"), Step.KEY, "jwks_url of [auth.issuers.main]"),
        (SERVING, token(key=ed_key("attacker's")), Step.SIGNATURE, "forgery"),
        (SERVING, token(claims(exp=NOW_S - 1000)), Step.EXPIRY, "a new one"),
        (SERVING, token(claims(nbf=NOW_S + 1000)), Step.NOT_BEFORE, "clocks"),
        (SERVING, token(claims(iat=NOW_S + 1000)), Step.ISSUED, "clocks"),
        (SERVING, token(claims(aud="other")), Step.AUDIENCE, "audiences in [auth.issuers.main]"),
        (replace(WANTING, types=RULES.types), token(), Step.CLIENT, "client_ids in [auth.issuers.main]"),
        (
            replace(WANTING, types=RULES.types, client_ids=frozenset()),
            token(),
            Step.CLAIMS,
            "not the ID token",
        ),
        (SERVING, token(claims(sub=7)), Step.SUBJECT, "subject = "),
        (replace(RULES, mapping=replace(CHAT, team=("department",))), token(), Step.TEAM, "team_claim"),
        (SERVING, token(claims(scope=7)), Step.RIGHTS, "values in [auth.issuers.main]"),
    ],
    ids=lambda value: value.value if isinstance(value, Step) else "",
)
async def test_each_step_that_refuses_has_its_repair(
    rules: IssuerRules, credential: bytes, step: Step, fix: str
) -> None:
    found = await explained(credential.decode(), rules)
    assert found.refused_at is step
    assert fix in found.fix
    assert found.verdict == f"refused at the step {step}, as every bad credential is (401)"


async def test_a_revoked_token_is_replaced_by_a_later_one() -> None:
    house = TokenHouse(SERVING)
    house.revocations.put(Revocation("main", jti="token-1"))
    assert "macroslow jwt list" in (await explained(token().decode(), house=house)).fix


@pytest.mark.parametrize(
    ("mapping", "said", "fixes"),
    [
        (CHAT, {}, ["the words that count in [auth.issuers.main]: inference:chat"]),
        (
            ClaimMapping(),
            {"scope": "openid profile"},
            ["[auth.issuers.main]", "(openid, profile)", '{ "WORD" = ['],
        ),
        (
            ClaimMapping(),
            {"scope": None, "groups": ["x"], "realm": {"roles": ["y"]}},
            ["but in groups, realm.roles: name one in values"],
        ),
        (ClaimMapping(), {"scope": None}, ["nor elsewhere", "always_scopes"]),
        (
            ClaimMapping(values=()),
            {"scope": None, "amr": ["pwd"], "a.b": ["c"]},
            ["nor elsewhere", "always_scopes"],
        ),
    ],
    ids=range(5),
)
async def test_a_token_without_a_scope_is_let_in_for_nothing(
    mapping: ClaimMapping, said: dict[str, Any], fixes: Sequence[str]
) -> None:
    found = await explained(
        token(claims(**{"scope": "openid"} | said)).decode(), replace(RULES, mapping=mapping)
    )
    assert (found.refused_at, found.identity is not None) == (None, True)
    assert found.verdict.startswith("let in as jwt/main/alice, and refused whatever it asks for (403)")
    for fix in fixes:
        assert fix in found.fix


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("nonsense", "opaque"),
        ('{"access_token":"abc.def.ghi"}', "access_token alone"),
        ("two words", "on one line"),
        ("a.b.c.d.e", "five parts"),
        ("a.b.c", "copy it whole"),
        ("sk-proj-0123456789abcdef0123456789", "a key of a provider"),
        ("é", "opaque"),
        ("\udcff.\udcff.\udcff", "copy it whole"),
    ],
    ids=range(8),
)
async def test_what_is_no_token_is_told_by_its_looks(text: str, fix: str) -> None:
    found = await explained(text)
    assert (found.refused_at, found.identity) == (Step.FORM, None)
    assert fix in found.fix


async def test_a_client_key_is_told_by_its_id_and_state() -> None:
    house = TokenHouse(SERVING)
    made = await house.keys.create(NewKey("ann"))
    found = await explained(made.text, house=house)
    assert made.text not in repr(found)
    assert made.record.id in found.findings[0].seen
    assert (found.verdict, found.identity) == ("no token, and let in as a key", None)
    assert f"macroslow can {made.record.id} " in found.fix
    await house.keys.revoke(made.record.id)
    ended = await explained(made.text, house=house)
    assert "revoked" in ended.findings[0].seen
    assert ended.verdict.endswith("is refused (401)")
    lost = await explained(made.text[:-1], house=house)
    assert ("not whole" in lost.findings[0].seen, made.text[4:20] in repr(lost)) == (True, False)
    elsewhere = await TokenHouse().keys.create(NewKey("bob"))
    strange = await explained(elsewhere.text, house=TokenHouse(SERVING))
    assert "unknown here" in strange.findings[0].seen


async def test_a_key_with_a_secret_that_is_not_its_own_is_not_said_to_be_let_in() -> None:
    house = TokenHouse(SERVING)
    made = await house.keys.create(NewKey("ann"))
    later = await house.keys.rotate(made.record.id)
    forged = mint(SystemEntropy(), made.record.id).text
    for text, seen in ((made.text, "rotated away"), (forged, "not its own")):
        found = await explained(text, house=house)
        assert seen in found.findings[0].seen
        assert found.verdict.endswith("is refused (401)")
        assert f"macroslow keys rotate {made.record.id}" in found.fix
    assert (await explained(later.text, house=house)).verdict == "no token, and let in as a key"


async def test_a_key_is_told_where_there_is_no_issuer_and_a_token_cannot_be() -> None:
    house = TokenHouse(SERVING)
    made = await house.keys.create(NewKey("ann"))
    explain = ExplainTokens(house.keys, None)
    assert (await explain(made.text)).refused_at is Step.FORM
    with pytest.raises(ConfigurationError, match="no issuer"):
        await explain(token().decode())
