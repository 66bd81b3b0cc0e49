"""Bad credentials take alike, shown by counting what costs time: keyed hashes and signatures. No stopwatch.

What tells credentials apart by less work is public: their form, an issuer's name, its keys' names.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.authn.jwt.tokens import NOW_S, RULES, claims, ed_key, token
from tests.services.token_house import TokenHouse

from macroslow.authn.api_keys import SecretHasher, checksum
from macroslow.authn.jwt import check
from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.refusal import Refusal
from macroslow.errors import CredentialError
from macroslow.services.identity.authenticate import Credentials
from macroslow.services.identity.wished_keys import NewKey

Counted = list[str]


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """One line for each keyed hash of a secret."""
    return counting(monkeypatch, SecretHasher, "__call__")


@pytest.fixture
def signatures(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """One line for each signature that is checked."""
    return counting(monkeypatch, check, "verify")


def counting(monkeypatch: pytest.MonkeyPatch, holder: object, name: str) -> Counted:
    counted: Counted = []
    whole: Callable[..., object] = getattr(holder, name)

    def count(*arguments: object) -> object:
        counted.append(name)
        return whole(*arguments)

    monkeypatch.setattr(holder, name, count)
    return counted


def with_secret_of(other: str, key: str) -> str:
    """A whole key with the id of one and the secret of another."""
    body = key[:16] + other[16:-6]
    return body + checksum(body)


async def bad_keys(house: TokenHouse) -> dict[str, str]:
    """One key for each reason to refuse it that is not its form, by the reason."""
    good = (await house.keys.create(NewKey("ann"))).text
    bound = (await house.keys.create(NewKey("ann", addresses=("10.0.0.0/8",)))).text
    ended = await house.keys.create(NewKey("ann", expires_ns=house.clock.time_ns + 1))
    rotated = await house.keys.create(NewKey("ann"))
    await house.keys.rotate(rotated.record.id)
    revoked = await house.keys.create(NewKey("ann"))
    await house.keys.revoke(revoked.record.id)
    stranger = (await TokenHouse().keys.create(NewKey("mallory"))).text
    house.clock.time_ns += 10
    return {
        Refusal.UNKNOWN: stranger,
        Refusal.WRONG_SECRET: with_secret_of(stranger, good),
        Refusal.EXPIRED: ended.text,
        Refusal.REVOKED: revoked.text,
        Refusal.ADDRESS: bound,
        Refusal.ROTATED: rotated.text,
    }


async def test_every_bad_key_costs_one_keyed_hash_as_a_good_one_does(hashes: Counted) -> None:
    house = TokenHouse()
    good = (await house.keys.create(NewKey("ann"))).text
    for reason, key in (await bad_keys(house)).items():
        hashes.clear()
        with pytest.raises(CredentialError) as caught:
            await house.authenticate(Credentials(key.encode()))
        assert len(hashes) == 1, reason
        assert caught.value.reason == reason
    hashes.clear()
    await house.authenticate(Credentials(good.encode()))
    assert len(hashes) == 1


BAD = {
    "jwt-signature": token(key=ed_key("attacker's")),
    "jwt-expiry": token(claims(exp=NOW_S - 1000)),
    "jwt-not-before": token(claims(nbf=NOW_S + 1000)),
    "jwt-issued": token(claims(iat=NOW_S + 1000)),
    "jwt-audience": token(claims(aud="other")),
    "jwt-client": token(claims(client_id="other")),
    "jwt-claims": token(claims(client_id="c", use="id")),
    "jwt-subject": token(claims(client_id="c", use="access", sub=None)),
    "jwt-rights": token(claims(client_id="c", use="access", scope=7)),
    "jwt-revoked": token(claims(client_id="c", use="access", jti="revoked")),
}
WANTING = replace(RULES, client_ids=frozenset({"c"}), required=((("use",), frozenset({"access"})),))


@pytest.mark.parametrize("reason", BAD)
async def test_a_bad_token_of_a_known_key_costs_one_signature_whatever_is_wrong_with_it(
    signatures: Counted, reason: str
) -> None:
    """The signature comes before every claim, and a second try with the same token is not remembered."""
    house = TokenHouse(WANTING)
    house.revocations.put(Revocation("main", jti="revoked"))
    for times in (1, 2):
        with pytest.raises(CredentialError) as caught:
            await house.by(BAD[reason])
        assert caught.value.reason == reason
        assert len(signatures) == times


async def test_a_good_token_costs_one_signature_and_then_none(signatures: Counted) -> None:
    house = TokenHouse()
    await house.by(token())
    await house.by(token())
    assert len(signatures) == 1
