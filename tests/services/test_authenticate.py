"""Who sends a request: every credential that is not one valid client key is refused, and all alike."""

import pytest
from tests.web.fakes import PEPPER, START_NS, FakeBooks, FakeClock, SystemEntropy

from macroslow.authn.keyring import KeyRing
from macroslow.errors import CredentialError
from macroslow.services.authenticate import BAD_DETAIL, Authenticate, Refusal
from macroslow.services.manage_keys import ManageKeys, NewKey


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keyring() -> KeyRing:
    return KeyRing()


@pytest.fixture
def keys(keyring: KeyRing, clock: FakeClock) -> ManageKeys:
    return ManageKeys(FakeBooks(), keyring, PEPPER, clock, SystemEntropy())  # type: ignore[arg-type]


@pytest.fixture
def authenticate(keyring: KeyRing, clock: FakeClock) -> Authenticate:
    return Authenticate(keyring, PEPPER, clock)


def refused(authenticate: Authenticate, *headers: tuple[bytes, bytes], query: bytes = b"") -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        authenticate(headers, query)
    return caught.value


def api_key(text: str) -> tuple[bytes, bytes]:
    return b"x-api-key", text.encode("latin-1")


def bearer(text: str, scheme: str = "Bearer") -> tuple[bytes, bytes]:
    return b"authorization", f"{scheme} {text}".encode("latin-1")


async def test_a_key_is_taken_from_either_header_and_from_both(
    keys: ManageKeys, authenticate: Authenticate
) -> None:
    created = await keys.create(NewKey("alice", grants=("api://x/**",)))
    other = (b"user-agent", b"openai")
    for headers in (
        [api_key(created.text)],
        [bearer(created.text)],
        [bearer(created.text, "bearer")],
        [other, bearer(created.text), api_key(created.text)],
    ):
        principal = authenticate(headers)
        assert principal.name == "alice"
        assert principal.account == f"key/{created.record.id}"
        assert principal.grants == ("api://x/**",)
        assert principal.key_id == created.record.id


async def test_two_different_good_keys_are_refused(keys: ManageKeys, authenticate: Authenticate) -> None:
    one, two = (await keys.create(NewKey("alice"))).text, (await keys.create(NewKey("alice"))).text
    assert refused(authenticate, api_key(one), bearer(two)).reason == Refusal.AMBIGUOUS
    assert refused(authenticate, api_key(one), api_key(one)).reason == Refusal.AMBIGUOUS
    assert refused(authenticate, bearer(one), bearer(two)).reason == Refusal.AMBIGUOUS


async def test_a_good_key_does_not_excuse_a_bad_credential_beside_it(
    keys: ManageKeys, authenticate: Authenticate
) -> None:
    good = (await keys.create(NewKey("alice"))).text
    jwt = "eyJhbGciOiJub25lIn0.e30."
    for beside in (
        bearer(jwt),
        bearer(""),
        bearer("Zm9v", "Basic"),
        (b"authorization", b""),
        (b"authorization", b"Bearer"),
    ):
        assert refused(authenticate, api_key(good), beside).detail == BAD_DETAIL
    for name in (b"api-key", b"x-goog-api-key", b"proxy-authorization"):
        assert refused(authenticate, api_key(good), (name, good.encode())).reason == Refusal.OTHER_KIND
    assert refused(authenticate, bearer(good), api_key("")).detail == BAD_DETAIL


@pytest.mark.parametrize(
    "query",
    [
        b"api_key=KEY",
        b"x=KEY",
        b"KEY",
        b"KEY=1",
        b"access_token=abc",
        b"X-API-Key=1",
        b"x=msk%5Fabc",
        b"a=1&" * 200,
    ],
)
async def test_a_key_in_the_query_is_refused_even_beside_a_good_one(
    keys: ManageKeys, authenticate: Authenticate, query: bytes
) -> None:
    good = (await keys.create(NewKey("alice"))).text
    query = query.replace(b"KEY", good.encode())
    assert refused(authenticate, api_key(good), query=query).reason == Refusal.IN_QUERY


async def test_an_ordinary_query_is_no_credential(keys: ManageKeys, authenticate: Authenticate) -> None:
    good = (await keys.create(NewKey("alice"))).text
    assert authenticate([api_key(good)], b"limit=5&after=x").name == "alice"


async def test_bad_credentials_look_alike_outside_and_differ_in_the_log(
    keys: ManageKeys, authenticate: Authenticate, clock: FakeClock
) -> None:
    good = await keys.create(NewKey("alice", expires_ns=START_NS + 10))
    revoked = await keys.create(NewKey("alice"))
    await keys.revoke(revoked.record.id)
    elsewhere = ManageKeys(FakeBooks(), KeyRing(), bytes(32), clock, SystemEntropy())  # type: ignore[arg-type]
    unknown = await elsewhere.create(NewKey("mallory"))
    same_id = unknown.text.replace(unknown.record.id, good.record.id)
    from macroslow.authn.api_keys import checksum

    wrong = same_id[:-6] + checksum(same_id[:-6])
    clock.pass_s(1)
    errors = {
        Refusal.EXPIRED: refused(authenticate, api_key(good.text)),
        Refusal.REVOKED: refused(authenticate, api_key(revoked.text)),
        Refusal.UNKNOWN: refused(authenticate, api_key(unknown.text)),
        Refusal.WRONG_SECRET: refused(authenticate, api_key(wrong)),
        Refusal.MALFORMED: refused(authenticate, api_key(good.text[:-1])),
        Refusal.OTHER_KIND: refused(authenticate, api_key("sk-proj-abc")),
    }
    assert {reason: error.reason for reason, error in errors.items()} == {reason: reason for reason in errors}
    assert len({(error.detail, error.fix, error.step, error.code) for error in errors.values()}) == 1


async def test_a_missing_credential_says_which_headers_are_read(authenticate: Authenticate) -> None:
    error = refused(authenticate, (b"user-agent", b"x"))
    assert error.reason == Refusal.MISSING
    assert "x-api-key" in error.detail
    assert "Bearer" in error.detail


async def test_the_stored_hash_is_no_key(keys: ManageKeys, authenticate: Authenticate) -> None:
    record = (await keys.create(NewKey("alice"))).record
    assert refused(authenticate, api_key(record.secret_hmac.hex())).detail == BAD_DETAIL
    assert refused(authenticate, (b"x-api-key", record.secret_hmac)).detail == BAD_DETAIL


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
    assert refused(authenticate, (b"x-api-key", credential)).detail == BAD_DETAIL
    assert refused(authenticate, (b"authorization", b"Bearer " + credential)).detail == BAD_DETAIL


async def test_a_revoked_key_is_refused_at_once(keys: ManageKeys, authenticate: Authenticate) -> None:
    created = await keys.create(NewKey("alice"))
    assert authenticate([api_key(created.text)]).name == "alice"
    await keys.revoke(created.record.id)
    assert refused(authenticate, api_key(created.text)).reason == Refusal.REVOKED
