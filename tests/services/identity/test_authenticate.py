"""Who sends a request: every credential that is not one valid client key is refused, and all alike."""

import pytest
from tests.contract.fake_books import FakeBooks
from tests.services.key_house import PEPPER, START_NS, KeyHouse, SetClock, at_once

from macroslow.adapters.system import SystemEntropy
from macroslow.authn.api_keys import LegacyKey, checksum, parse_legacy
from macroslow.authn.keyring import KeyRing
from macroslow.authn.refusal import BAD_DETAIL, Refusal
from macroslow.errors import CredentialError
from macroslow.services.identity.authenticate import Authenticate, Credentials
from macroslow.services.identity.manage_keys import ManageKeys
from macroslow.services.identity.wished_keys import NewKey


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def keyring() -> KeyRing:
    return KeyRing()


@pytest.fixture
def keys(keyring: KeyRing, clock: SetClock) -> ManageKeys:
    return ManageKeys(FakeBooks(), keyring, PEPPER, clock, SystemEntropy())


@pytest.fixture
def authenticate(keyring: KeyRing, clock: SetClock) -> Authenticate:
    return Authenticate(keyring, PEPPER, clock)


def refused(
    authenticate: Authenticate, api_key: str | bytes | None = None, bearer: str | bytes | None = None
) -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        at_once(authenticate(Credentials(raw(api_key), raw(bearer))))
    return caught.value


def raw(text: str | bytes | None) -> bytes | None:
    return text.encode("latin-1") if isinstance(text, str) else text


async def test_a_key_is_taken_from_either_place_and_from_both(
    keys: ManageKeys, authenticate: Authenticate
) -> None:
    created = await keys.create(NewKey("alice", grants=("api://x/**",)))
    text = created.text.encode()
    for shown in (Credentials(text), Credentials(bearer=text), Credentials(text, text)):
        principal = await authenticate(shown)
        assert principal.name == "alice"
        assert principal.account == f"key/{created.record.id}"
        assert principal.grants == ("api://x/**",)
        assert principal.key_id == created.record.id


async def test_two_different_good_keys_are_refused(keys: ManageKeys, authenticate: Authenticate) -> None:
    one, two = (await keys.create(NewKey("alice"))).text, (await keys.create(NewKey("alice"))).text
    assert refused(authenticate, one, two).reason == Refusal.AMBIGUOUS


async def test_a_good_key_does_not_excuse_a_bad_credential_beside_it(
    keys: ManageKeys, authenticate: Authenticate
) -> None:
    good = (await keys.create(NewKey("alice"))).text
    for beside in ("eyJhbGciOiJub25lIn0.e30.", "", "Bearer", good[:-1]):
        assert refused(authenticate, good, beside).detail == BAD_DETAIL
        assert refused(authenticate, beside, good).detail == BAD_DETAIL


async def test_bad_credentials_look_alike_outside_and_differ_in_the_log(
    keys: ManageKeys, authenticate: Authenticate, clock: SetClock
) -> None:
    good = await keys.create(NewKey("alice", expires_ns=START_NS + 10))
    revoked = await keys.create(NewKey("alice"))
    await keys.revoke(revoked.record.id)
    elsewhere = ManageKeys(FakeBooks(), KeyRing(), bytes(32), clock, SystemEntropy())
    unknown = await elsewhere.create(NewKey("mallory"))
    same_id = unknown.text.replace(unknown.record.id, good.record.id)
    wrong = same_id[:-6] + checksum(same_id[:-6])
    clock.time_ns += 10**9
    errors = {
        Refusal.EXPIRED: refused(authenticate, good.text),
        Refusal.REVOKED: refused(authenticate, revoked.text),
        Refusal.UNKNOWN: refused(authenticate, unknown.text),
        Refusal.WRONG_SECRET: refused(authenticate, wrong),
        Refusal.MALFORMED: refused(authenticate, good.text[:-1]),
        Refusal.OTHER_KIND: refused(authenticate, "sk-proj-abc"),
    }
    assert {reason: error.reason for reason, error in errors.items()} == {reason: reason for reason in errors}
    assert len({(error.detail, error.fix, error.step, error.code) for error in errors.values()}) == 1
    known = {reason: (error.principal, error.key_id) for reason, error in errors.items() if error.key_id}
    assert known == {
        Refusal.EXPIRED: ("alice", good.record.id),
        Refusal.REVOKED: ("alice", revoked.record.id),
        Refusal.WRONG_SECRET: ("", good.record.id),  # whoever shows it has not shown that it is his
    }


async def test_the_log_learns_whose_key_was_rotated_or_came_from_elsewhere(
    keys: ManageKeys, authenticate: Authenticate, clock: SetClock
) -> None:
    rotated = await keys.create(NewKey("alice"))
    await keys.rotate(rotated.record.id, 10)
    clock.time_ns += 10
    homely = await keys.create(NewKey("bob", addresses=("10.0.0.0/8",)))
    for key, name, reason in ((rotated, "alice", Refusal.ROTATED), (homely, "bob", Refusal.ADDRESS)):
        error = refused(authenticate, key.text)
        assert (error.reason, error.principal, error.key_id) == (reason, name, key.record.id)


async def test_a_missing_credential_says_which_headers_are_read(authenticate: Authenticate) -> None:
    error = refused(authenticate)
    assert error.reason == Refusal.MISSING
    assert "x-api-key" in error.detail
    assert "Bearer" in error.detail


async def test_the_stored_hash_is_no_key(keys: ManageKeys, authenticate: Authenticate) -> None:
    record = (await keys.create(NewKey("alice"))).record
    assert refused(authenticate, record.secret_hmac.hex()).detail == BAD_DETAIL
    assert refused(authenticate, record.secret_hmac).detail == BAD_DETAIL


@pytest.mark.parametrize(
    "credential",
    [
        b"' OR '1'='1' --",
        b'"; DROP TABLE keys; --',
        b"msk_' UNION SELECT secret_hmac FROM keys --",
        b"msk_%00",
        b"\x00\x01\x02",
        b"\xff\xfe\xfd",
        b"msk_000000000000_" + b"\xe9" * 49,
        b"${jndi:ldap://x}",
        b"{{7*7}}",
        b"a" * 60_000,
        b"msk_" * 10_000,
    ],
)
async def test_metacharacters_and_noise_in_a_credential_are_only_a_bad_credential(
    keys: ManageKeys, authenticate: Authenticate, credential: bytes
) -> None:
    await keys.create(NewKey("alice"))
    assert refused(authenticate, credential).detail == BAD_DETAIL
    assert refused(authenticate, bearer=credential).detail == BAD_DETAIL


async def test_a_revoked_key_is_refused_at_once(keys: ManageKeys, authenticate: Authenticate) -> None:
    created = await keys.create(NewKey("alice"))
    assert (await authenticate(Credentials(created.text.encode()))).name == "alice"
    await keys.revoke(created.record.id)
    assert refused(authenticate, created.text).reason == Refusal.REVOKED


# Keys of another gateway


AGENT = b"sk-agent-7"


def digest_of(text: bytes) -> LegacyKey:
    key = parse_legacy(text)
    assert key is not None
    return key


async def test_a_key_of_another_gateway_is_taken_from_either_header() -> None:
    house = KeyHouse()
    await house.keys.adopt(digest_of(AGENT), NewKey("agent-7"))
    for shown in (Credentials(AGENT), Credentials(bearer=AGENT), Credentials(AGENT, AGENT)):
        assert (await house.authenticate(shown)).name == "agent-7"


async def test_where_none_was_imported_such_a_key_is_of_another_kind() -> None:
    house = KeyHouse()
    await house.keys.create(NewKey("alice"))
    assert refused(house.authenticate, AGENT).reason == Refusal.OTHER_KIND


@pytest.mark.parametrize(
    "credential",
    [
        digest_of(AGENT).digest.encode(),
        b"sk-" + digest_of(AGENT).digest.encode(),
        bytes.fromhex(digest_of(AGENT).digest),
        digest_of(AGENT).id.encode(),
        b"sk-" + digest_of(AGENT).id.encode(),
        b"sk-",
        b"SK-agent-7",
        AGENT + b" ",
        AGENT + b"\n",
        AGENT[:-1],
        b"sk-" + b"a" * 60_000,
        b"sk-' OR 1=1 --",
        b"sk-\xff\x00",
    ],
)
async def test_what_the_other_gateway_stored_and_what_resembles_a_key_is_none(credential: bytes) -> None:
    house = KeyHouse()
    record = await house.keys.adopt(digest_of(AGENT), NewKey("agent-7"))
    for presented in (credential, record.secret_hmac, record.secret_hmac.hex().encode()):
        assert refused(house.authenticate, presented).detail == BAD_DETAIL


async def test_all_bad_keys_of_another_gateway_look_alike_and_like_every_bad_key() -> None:
    house = KeyHouse()
    await house.keys.adopt(digest_of(b"sk-revoked"), NewKey("a"), revoked=True)
    await house.keys.adopt(digest_of(b"sk-expired"), NewKey("b", expires_ns=START_NS - 1))
    errors = {
        Refusal.REVOKED: refused(house.authenticate, b"sk-revoked"),
        Refusal.EXPIRED: refused(house.authenticate, b"sk-expired"),
        Refusal.UNKNOWN: refused(house.authenticate, b"sk-unknown"),
        Refusal.MALFORMED: refused(house.authenticate, b"msk_x"),
    }
    assert {reason: error.reason for reason, error in errors.items()} == {reason: reason for reason in errors}
    assert len({(error.detail, error.fix, error.step, error.code) for error in errors.values()}) == 1


async def test_the_hash_of_an_unknown_key_is_computed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    house = KeyHouse()
    await house.keys.adopt(digest_of(AGENT), NewKey("agent-7"))
    hashed: list[object] = []
    hasher = house.authenticate._hasher
    monkeypatch.setattr(house.authenticate, "_hasher", lambda key: hashed.append(key) or hasher(key))
    await house.authenticate(Credentials(AGENT))
    refused(house.authenticate, b"sk-nobody")
    assert len(hashed) == 2


async def test_a_key_of_our_own_is_still_one_beside_them() -> None:
    house = KeyHouse()
    await house.keys.adopt(digest_of(AGENT), NewKey("agent-7"))
    own = await house.keys.create(NewKey("alice"))
    assert (await house.authenticate(Credentials(own.text.encode()))).name == "alice"
    assert refused(house.authenticate, AGENT, own.text)


# Addresses


async def test_a_key_bound_to_networks_is_refused_from_elsewhere_like_any_bad_one() -> None:
    house = KeyHouse()
    created = await house.keys.create(NewKey("alice", addresses=("10.0.0.0/8", "2001:db8::/32")))
    key = created.text.encode()
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7"):
        assert (await house.authenticate(Credentials(key, address=address))).name == "alice"
    for address in ("192.0.2.1", "", "local", "::1"):
        with pytest.raises(CredentialError, match="the credential is not valid") as caught:
            await house.authenticate(Credentials(key, address=address))
        assert caught.value.reason == Refusal.ADDRESS
