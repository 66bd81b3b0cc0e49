"""The operator's verbs about keys that sign documents."""

from tests.services.house import ENTROPY, House

from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse

AUTHOR = HybridPrivateKey.generate(KeyUse.DOCUMENT, ENTROPY)


async def test_a_signer_from_trust_to_revocation(ask, house: House) -> None:
    trusted = await ask(
        "signers.trust", name="ann", public_jwks=AUTHOR.public.to_jwks(), origins=["agent://reports-*"]
    )
    assert (trusted["key_id"], trusted["revoked_at"]) == (AUTHOR.key_id, None)
    assert house.signers.trusted.find_key(AUTHOR.key_id) is not None
    assert [one["name"] for one in (await ask("signers.list"))["signers"]] == ["ann"]
    assert (await ask("signers.revoke", name="ann"))["revoked_at"]
    assert house.signers.trusted.find_key(AUTHOR.key_id) is None
