"""Trusted signers: what the operator decided is in force at once, kept, and in the log."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.contract.fake_books import FakeBooks
from tests.services.house import CLOCK, ENTROPY, House

from macroslow.authn.ports import PutSigner, SignerRecord
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import BadRequestError, ConflictError, LogUnavailableError, NotFoundError
from macroslow.services.identity.manage_signers import ManageSigners
from macroslow.tlog.event import EventType

ANN, BOB = (HybridPrivateKey.generate(KeyUse.DOCUMENT, ENTROPY) for _ in range(2))


def trust(house: House, key: HybridPrivateKey = ANN, name: str = "ann", *origins: str):
    return house.signers.trust(name, key.public.to_jwks(), origins or ("agent://reports-*",))


async def test_trust_is_in_force_kept_and_logged(house: House) -> None:
    record = await trust(house)
    assert house.signers.trusted.find_key(ANN.key_id) is not None
    assert house.signers.trusted.record(ANN.key_id) == record
    again = ManageSigners(house.books, CLOCK)
    await again.load()
    assert again.list() == [record]
    (fields,) = await house.events(EventType.SIGNER_TRUSTED)
    assert fields == {"key_id": ANN.key_id, "name": "ann", "origins": ["agent://reports-*"]}


@pytest.mark.parametrize("by", ["name", "key id"])
async def test_revocation_by_name_or_key_id_is_once(house: House, by: str) -> None:
    await trust(house)
    await trust(house, BOB, "bob")
    wanted = "ann" if by == "name" else ANN.key_id
    assert (await house.signers.revoke(wanted)).key_id == ANN.key_id
    assert house.signers.trusted.find_key(ANN.key_id) is None
    assert house.signers.trusted.find_key(BOB.key_id) is not None
    with pytest.raises(NotFoundError):
        await house.signers.revoke(wanted)
    assert len(await house.events(EventType.SIGNER_REVOKED)) == 1


async def test_a_key_may_be_trusted_anew_with_other_origins(house: House) -> None:
    await trust(house)
    await house.signers.revoke("ann")
    record = await trust(house, ANN, "ann", "agent://other")
    assert (record.revoked_ns, record.origins) == (None, ("agent://other",))
    assert house.signers.list() == [record]


async def test_trusting_a_trusted_key_again_adds_to_its_origins(house: House) -> None:
    """Or the repair that a refusal prints would take away what worked before."""
    await trust(house)
    record = await trust(house, ANN, "ann", "agent://payroll")
    assert record.origins == ("agent://reports-*", "agent://payroll")


async def test_a_name_means_one_trusted_key(house: House) -> None:
    """Or revoking by name would stop another key than the one that was meant."""
    await trust(house)
    with pytest.raises(ConflictError, match="ann"):
        await trust(house, BOB, "ann")
    await house.signers.revoke("ann")
    await trust(house, BOB, "ann")
    assert (await house.signers.revoke("ann")).key_id == BOB.key_id


@pytest.mark.parametrize("origins", [[], [""], ["reports"], ["api://x"], ["agent://"], ["agent://a/../b"]])
async def test_origins_that_are_none_are_refused(house: House, origins: list[str]) -> None:
    with pytest.raises(BadRequestError):
        await house.signers.trust("ann", ANN.public.to_jwks(), origins)
    assert house.signers.list() == []


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "\x1b[2J", "-x", "a" * 129, "ä"])
async def test_names_that_are_none_are_refused(house: House, name: str) -> None:
    with pytest.raises(BadRequestError, match="name"):
        await trust(house, ANN, name)


@pytest.mark.parametrize("use", [KeyUse.ANSWER, KeyUse.HISTORY])
async def test_a_key_for_another_use_signs_no_document(house: House, use: KeyUse) -> None:
    with pytest.raises(BadRequestError):
        await trust(house, HybridPrivateKey.generate(use, ENTROPY))


@pytest.mark.parametrize("text", ["", "{}", "[]", "x" * 100_000, '{"keys": []}', "\ud800", "{" * 10_000])
async def test_what_is_no_public_key_is_refused(house: House, text: str) -> None:
    with pytest.raises(BadRequestError):
        await house.signers.trust("ann", text, ["agent://x"])


async def test_a_private_key_is_not_taken_for_a_public_one(house: House) -> None:
    with pytest.raises(BadRequestError):
        await house.signers.trust("ann", ANN.to_json(), ["agent://x"])


async def test_what_cannot_be_kept_is_not_in_force(house: House) -> None:
    house.books.fail_once(PutSigner)
    with pytest.raises(LogUnavailableError):
        await trust(house)
    assert house.signers.list() == []
    assert house.signers.trusted.find_key(ANN.key_id) is None


async def test_reading_anew_does_not_trust_a_signer_again_that_is_revoked_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its documents would be taken until the next change of anything is read."""
    books = FakeBooks()  # a commit of theirs waits for nothing
    signers = ManageSigners(books, CLOCK)
    await signers.trust("ann", ANN.public.to_jwks(), ["agent://reports-*"])
    found, go_on, stored = asyncio.Event(), asyncio.Event(), books.signers

    async def slow() -> Sequence[SignerRecord]:
        records = await stored()
        found.set()
        await go_on.wait()
        return records

    monkeypatch.setattr(books, "signers", slow)
    loading = asyncio.create_task(signers.load())
    await found.wait()
    revoking = asyncio.create_task(signers.revoke("ann"))
    await asyncio.sleep(0)  # as far as it comes
    go_on.set()
    await asyncio.gather(loading, revoking)
    assert signers.trusted.find_key(ANN.key_id) is None
