"""A key that is known again is let in by less work, not by another right: what ends it ends that too.

What is counted is the keyed hash of a secret: one for whatever is examined, none for what is known again.
"""

import hashlib
from collections.abc import Awaitable, Callable

import pytest
from tests.services.key_house import PEPPER, START_NS, KeyHouse, at_once

from macroslow.authn.api_keys import KEY_LENGTH, SecretHasher, checksum, parse_legacy
from macroslow.authn.keyring import NO_TEXT, HeldKey
from macroslow.authn.refusal import Refusal
from macroslow.authz.scopes import ADMIN_KEYS, ADMIN_USAGE, CLIENT_DEFAULT, RUNS_READ
from macroslow.errors import CredentialError
from macroslow.services.identity.authenticate import Credentials
from macroslow.services.identity.recall_keys import RecallKeys
from macroslow.services.identity.wished_keys import KeyTerms, NewKey

HOME = ("10.0.0.0/8",)
AT_HOME, ELSEWHERE = "10.1.2.3", "192.0.2.1"
MAKER = NewKey("team", scopes=CLIENT_DEFAULT | {ADMIN_KEYS}, budget_usd_micros=1000, day_usd_micros=50)
MADE = NewKey("team/agent", budget_usd_micros=10, day_usd_micros=5)


@pytest.fixture
def house() -> KeyHouse:
    return KeyHouse()


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One for each keyed hash of a secret."""
    counted: list[object] = []
    whole = SecretHasher.__call__

    def count(self: SecretHasher, key: object) -> bytes:
        counted.append(key)
        return whole(self, key)  # type: ignore[arg-type]

    monkeypatch.setattr(SecretHasher, "__call__", count)
    return counted


def refused(house: KeyHouse, text: str, address: str = AT_HOME) -> str:
    with pytest.raises(CredentialError) as caught:
        at_once(house.authenticate(Credentials(text.encode("latin-1"), address=address)))
    return caught.value.reason


async def let_in(house: KeyHouse, text: str) -> None:
    await house.authenticate(Credentials(text.encode(), address=AT_HOME))


async def known(house: KeyHouse, new: NewKey, maker: str = "") -> str:
    """A key that is known again."""
    text = (await house.keys.create(new, maker)).text
    await let_in(house, text)
    assert held(house, text).text_hash != NO_TEXT
    return text


def held(house: KeyHouse, text: str) -> HeldKey:
    found = house.keyring.get(text[4:16])
    assert found is not None
    return found


async def test_a_key_that_was_let_in_is_not_examined_again_wherever_it_stands(
    house: KeyHouse, hashes: list[object]
) -> None:
    text = (await known(house, NewKey("alice", grants=("api://x/**",)))).encode()
    hashes.clear()
    for shown in (Credentials(text), Credentials(bearer=text), Credentials(text, text)):
        principal = await house.authenticate(shown)
        assert (principal.name, principal.key_id) == ("alice", text[4:16].decode())
        assert principal.grants == ("api://x/**",)
    assert not hashes


async def test_it_counts_as_used_whenever_it_is_let_in(house: KeyHouse) -> None:
    text = await known(house, NewKey("alice"))
    house.clock.time_ns += 10**12
    await let_in(house, text)
    assert house.keyring.used_ns == {text[4:16]: START_NS + 10**12}


# What ends a key


async def revoke(house: KeyHouse, key_id: str) -> None:
    await house.keys.revoke(key_id)


async def revoke_elsewhere(house: KeyHouse, key_id: str) -> None:
    await (await house.restarted()).keys.revoke(key_id)
    await house.keys.load()


async def rotate(house: KeyHouse, key_id: str) -> None:
    await house.keys.rotate(key_id)


async def rotate_elsewhere(house: KeyHouse, key_id: str) -> None:
    await (await house.restarted()).keys.rotate(key_id)
    await house.keys.load()


async def end_overlap(house: KeyHouse, key_id: str) -> None:
    await house.keys.rotate(key_id, 10)
    house.clock.time_ns += 10


async def expire(house: KeyHouse, _: str) -> None:
    house.clock.time_ns = START_NS + 10**9


async def forget(house: KeyHouse, key_id: str) -> None:
    house.keyring.drop([key_id])


async def replace_all(house: KeyHouse, _: str) -> None:
    house.keyring.replace_all([])


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (revoke, Refusal.REVOKED),
        (revoke_elsewhere, Refusal.REVOKED),
        (rotate, Refusal.ROTATED),
        (rotate_elsewhere, Refusal.ROTATED),
        (end_overlap, Refusal.ROTATED),
        (expire, Refusal.EXPIRED),
        (forget, Refusal.UNKNOWN),
        (replace_all, Refusal.UNKNOWN),
    ],
)
async def test_a_known_key_that_ended_is_refused_at_once_after_the_work_of_any_bad_one(
    house: KeyHouse,
    hashes: list[object],
    end: Callable[[KeyHouse, str], Awaitable[None]],
    reason: Refusal,
) -> None:
    text = await known(house, NewKey("alice", expires_ns=START_NS + 10**9))
    await end(house, text[4:16])
    for _ in range(2):
        hashes.clear()
        assert refused(house, text) == reason
        assert len(hashes) == 1


async def test_a_known_key_falls_with_its_maker(house: KeyHouse, hashes: list[object]) -> None:
    maker = (await house.keys.create(MAKER)).record.id
    text = await known(house, MADE, maker)
    await house.keys.revoke(maker)
    hashes.clear()
    assert refused(house, text) == Refusal.MAKER
    assert len(hashes) == 1


async def test_its_makers_are_bounded_as_they_are_now(house: KeyHouse) -> None:
    maker = (await house.keys.create(MAKER)).record.id
    text = await known(house, MADE, maker)
    await house.keys.change(maker, KeyTerms(day_usd_micros=7))
    principal = await house.authenticate(Credentials(text.encode()))
    assert [each.day_usd_micros for each in principal.makers] == [7]


async def test_a_known_key_has_its_new_terms_from_the_next_request_on(house: KeyHouse) -> None:
    text = await known(house, NewKey("alice"))
    await house.keys.change(text[4:16], KeyTerms(scopes=[RUNS_READ], requests_per_minute=3))
    principal = await house.authenticate(Credentials(text.encode()))
    assert (principal.scopes, principal.requests_per_minute) == (frozenset({RUNS_READ}), 3)


async def test_a_key_that_is_bound_to_networks_is_known_again_there_alone(
    house: KeyHouse, hashes: list[object]
) -> None:
    text = await known(house, NewKey("alice", addresses=HOME))
    hashes.clear()
    await let_in(house, text)
    assert not hashes
    assert refused(house, text, ELSEWHERE) == Refusal.ADDRESS
    assert len(hashes) == 1
    await house.keys.change(text[4:16], KeyTerms(addresses=["192.0.2.0/24"]))
    assert refused(house, text, AT_HOME) == Refusal.ADDRESS


# Rotation


async def test_after_a_rotation_only_the_new_secret_is_known_again(
    house: KeyHouse, hashes: list[object]
) -> None:
    old = await known(house, NewKey("alice"))
    new = (await house.keys.rotate(old[4:16], 10**9)).text
    assert held(house, new).text_hash == NO_TEXT
    await let_in(house, new)
    learned = held(house, new).text_hash
    hashes.clear()
    for _ in range(3):
        principal = await house.authenticate(Credentials(old.encode()))
        assert principal.generation == 1
    assert len(hashes) == 3  # it works, and is examined
    assert held(house, new).text_hash == learned
    assert (await house.authenticate(Credentials(new.encode()))).generation == 2
    assert len(hashes) == 3


# What is never known


async def test_bad_keys_leave_nothing_and_take_nothing(house: KeyHouse) -> None:
    good = await known(house, NewKey("alice"))
    unused = (await house.keys.create(NewKey("bob"))).text
    learned = held(house, good).text_hash
    for number in range(500):
        for key_id in (good[4:16], unused[4:16], f"{number:012}"):
            body = f"msk_{key_id}_{number:043}"
            assert refused(house, body + checksum(body)) in {Refusal.WRONG_SECRET, Refusal.UNKNOWN}
    assert held(house, good).text_hash == learned
    assert held(house, unused).text_hash == NO_TEXT
    assert len(house.keyring.records()) == 2


async def test_no_other_text_is_taken_for_a_known_one(house: KeyHouse, hashes: list[object]) -> None:
    text = await known(house, NewKey("alice"))
    other = await known(house, NewKey("alice"))
    near = [text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :] for at in range(KEY_LENGTH)]
    near += [text[:16] + other[16:], text[:-6] + other[-6:], text.upper(), text.swapcase()]
    near += [text + " ", text + "\n", " " + text, text[:-1], text[1:], text + text, "", "msk_"]
    near += ["\0" * KEY_LENGTH, "\xff" * KEY_LENGTH, text[:16] + "\xe9" * 50]
    for one in near:
        refused(house, one)
    hashes.clear()
    await let_in(house, text)
    assert not hashes


async def test_an_administrators_key_is_examined_each_time(house: KeyHouse, hashes: list[object]) -> None:
    """Where clients are served it is refused like any bad key, and must not be so any sooner."""
    text = (await house.keys.create(NewKey("root", scopes=frozenset({ADMIN_USAGE})))).text
    for _ in range(3):
        await let_in(house, text)
    assert held(house, text).text_hash == NO_TEXT
    assert len(hashes) == 1 + 3  # the first when it was made


async def test_a_key_of_another_gateway_is_examined_each_time(house: KeyHouse) -> None:
    """It may be a word that somebody thought of: no hash of it is kept but the one in the books."""
    text = "sk-" + "a" * (KEY_LENGTH - 3)
    legacy = parse_legacy(text.encode())
    assert legacy is not None
    record = await house.keys.adopt(legacy, NewKey("agent"))
    await let_in(house, text)
    found = house.keyring.get(record.id)
    assert found is not None
    assert found.text_hash == NO_TEXT


async def test_asking_about_a_key_does_not_make_it_known(house: KeyHouse) -> None:
    text = (await house.keys.create(NewKey("alice"))).text
    assert house.keys.refusal(text) is None
    assert held(house, text).text_hash == NO_TEXT


async def test_what_is_kept_is_no_text_and_tells_nothing_without_the_pepper(house: KeyHouse) -> None:
    text = await known(house, NewKey("alice"))
    kept = held(house, text)
    learned = kept.text_hash
    assert len(learned) == 32
    assert learned not in {hashlib.sha256(text.encode()).digest(), kept.record.secret_hmac}
    assert repr(learned) not in repr(kept)
    RecallKeys(house.keyring, PEPPER[::-1]).remember(text.encode(), kept.principal)
    assert kept.text_hash != learned


async def test_every_text_as_long_as_a_key_costs_one_hash_before_it_is_examined(
    house: KeyHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or time would tell a known id from an unknown one."""
    text = await known(house, NewKey("alice"))
    unused = (await house.keys.create(NewKey("bob"))).text
    made: list[bytes] = []
    whole = RecallKeys._hash
    monkeypatch.setattr(
        RecallKeys, "_hash", lambda self, credential: made.append(credential) or whole(self, credential)
    )
    for key_id in (text[4:16], unused[4:16], "0" * 12):
        body = f"msk_{key_id}_{'0' * 43}"
        made.clear()
        refused(house, body + checksum(body))
        assert len(made) == 1
    made.clear()
    refused(house, "a" * 60_000)  # and a longer one is not worth the work
    assert not made
