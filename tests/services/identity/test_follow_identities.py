"""What another process changes about keys, tokens and signers is in force here; only what changed is read."""

import asyncio

import pytest
from tests.services.token_house import TokenHouse

from macroslow.adapters.system import SystemEntropy
from macroslow.authn.jwt.revoked import Revocations
from macroslow.authn.keyring import KeyRing
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import LogUnavailableError
from macroslow.services.identity.follow_identities import FollowIdentities
from macroslow.services.identity.manage_keys import ManageKeys
from macroslow.services.identity.manage_revocations import ManageRevocations
from macroslow.services.identity.manage_signers import ManageSigners
from macroslow.services.identity.wished_keys import NewKey


class Here:
    """A process on the books of `house`, which is another; `version` is what the store would tell."""

    def __init__(self, house: TokenHouse) -> None:
        self.house = house
        self.version = 0
        self.asked = 0
        self.away = False
        self.ring = KeyRing()
        self.signers = ManageSigners(house.books, house.clock)
        self.revocations = ManageRevocations(house.books, Revocations(), (), house.clock)
        keys = ManageKeys(house.books, self.ring, bytes(32), house.clock, SystemEntropy())
        self.follow = FollowIdentities(self._told, keys, self.revocations, self.signers)

    async def _told(self) -> int:
        self.asked += 1
        if self.away:
            raise LogUnavailableError("the books are away")
        return self.version


@pytest.fixture
def here() -> Here:
    return Here(TokenHouse())


async def changed(house: TokenHouse) -> None:
    """One key, one signer and one revocation, made by the other process."""
    await house.keys.create(NewKey("ann"))
    public = HybridPrivateKey.generate(KeyUse.DOCUMENT, SystemEntropy()).public.to_jwks()
    await ManageSigners(house.books, house.clock).trust("ann", public, ["agent://ann"])
    await house.manage.revoke("main", jti="token-1")


def seen(here: Here) -> tuple[int, int, int]:
    return len(here.ring.records()), len(here.signers.list()), len(here.revocations.all())


async def test_all_three_kinds_are_taken_over_once_the_version_has_changed(here: Here) -> None:
    await here.follow.once()
    await changed(here.house)
    await here.follow.once()
    assert seen(here) == (0, 0, 0), "nothing is read while the store tells of no change"
    here.version += 1
    await here.follow.once()
    assert seen(here) == (1, 1, 1)


async def test_a_first_look_reads_whatever_the_version(here: Here) -> None:
    await changed(here.house)
    await here.follow.once()
    assert seen(here) == (1, 1, 1)


async def test_a_change_that_could_not_be_read_is_read_the_next_time(here: Here, monkeypatch) -> None:
    await here.follow.once()
    await changed(here.house)
    here.version += 1

    async def broken() -> None:
        raise LogUnavailableError("away in between")

    with monkeypatch.context() as patch:
        patch.setattr(here.signers, "load", broken)
        with pytest.raises(LogUnavailableError):
            await here.follow.once()
    await here.follow.once()
    assert seen(here) == (1, 1, 1)


async def test_the_loop_outlives_books_that_are_away(here: Here) -> None:
    here.away = True
    following = asyncio.create_task(here.follow.run(every_s=0))
    try:
        async with asyncio.timeout(20):
            while here.asked < 3:
                await asyncio.sleep(0)
            await changed(here.house)
            here.away = False
            while seen(here) != (1, 1, 1):
                await asyncio.sleep(0)
    finally:
        following.cancel()
        await asyncio.wait({following})
