"""The stages of trust: what each refuses, and that none can be skipped."""

import dataclasses
from collections.abc import Sequence

import pytest
from tests.machine import CountingEntropy
from tests.maml.samples import document

from macroslow.authn.ports import SignerRecord
from macroslow.crypto import documents
from macroslow.crypto.hybrid import HybridPrivateKey
from macroslow.errors import InvalidDocumentError, SignatureRefusedError, TooLargeError
from macroslow.maml import stages
from macroslow.maml.rights import OperatorRights, Rights
from macroslow.maml.signers import TrustedSigners
from macroslow.maml.stages import SignatureRule

NOW_NS = 1_760_000_000_000_000_000


KEY = HybridPrivateKey.generate("document", CountingEntropy(1))
STRANGER = HybridPrivateKey.generate("document", CountingEntropy(100))


def trusted(origins: Sequence[str] = ("agent://tester",), revoked_ns: int | None = None) -> TrustedSigners:
    jwks = KEY.public.to_jwks()
    return TrustedSigners([SignerRecord(KEY.key_id, "Tess", jwks, tuple(origins), 1, revoked_ns)])


def signed(raw: bytes, key: HybridPrivateKey = KEY) -> bytes:
    return documents.sign(raw, key, issued_ns=NOW_NS - 1_000_000_000)


def attest(raw: bytes, ring: TrustedSigners | None = None) -> stages.Attested:
    return stages.attest(stages.receive(raw), ring or trusted(), NOW_NS)


def test_a_signed_document_knows_its_signer_and_its_exact_bytes() -> None:
    raw = signed(document())
    read = stages.read(attest(raw), SignatureRule.REQUIRED)
    assert read.signer == stages.Signer(KEY.key_id, "Tess", ("agent://tester",), NOW_NS - 1_000_000_000)
    assert (read.raw, read.attested.signed) == (raw, document())


def test_an_unsigned_document_has_no_signer_and_its_origin_is_a_label() -> None:
    read = stages.read(attest(document()), SignatureRule.OPTIONAL)
    assert read.signer is None
    assert read.parsed.front.origin == "agent://tester"


@pytest.mark.parametrize("rule", SignatureRule)
@pytest.mark.parametrize("flag", [True, False])
def test_the_flag_only_raises_what_the_rule_demands(rule: SignatureRule, flag: bool) -> None:
    raw = document(front=f"quantum_security_flag: {str(flag).lower()}\n")
    assert stages.read(attest(signed(raw)), rule).signer is not None
    if flag or rule is SignatureRule.REQUIRED:
        with pytest.raises(SignatureRefusedError, match="signed") as caught:
            stages.read(attest(raw), rule)
        assert (caught.value.step, caught.value.fix) == ("signature", "sign it: macroslow maml sign FILE")
    else:
        assert stages.read(attest(raw), rule).signer is None


def test_a_rule_that_demands_a_signature_refuses_before_anything_is_parsed() -> None:
    with pytest.raises(SignatureRefusedError):
        stages.read(attest(b"no document at all"), SignatureRule.REQUIRED)
    with pytest.raises(InvalidDocumentError):
        stages.read(attest(b"no document at all"), SignatureRule.OPTIONAL)


@pytest.mark.parametrize(
    ("origins", "speaks"),
    [
        (("agent://tester",), True),
        (("agent://other", "agent://test*"), True),
        (("agent://*",), True),
        (("agent://other",), False),
        (("gateway://tester",), False),
        ((), False),
    ],
)
def test_a_key_speaks_only_for_the_origins_that_the_operator_allowed(
    origins: tuple[str, ...], speaks: bool
) -> None:
    attested = attest(signed(document()), trusted(origins))
    if speaks:
        assert stages.read(attested, SignatureRule.OPTIONAL).signer
        return
    with pytest.raises(SignatureRefusedError, match="may not speak for agent://tester") as caught:
        stages.read(attested, SignatureRule.OPTIONAL)
    assert caught.value.step == "signature"
    assert "--origin agent://tester" in caught.value.fix


def test_unknown_and_revoked_keys_are_refused_even_where_no_signature_is_demanded() -> None:
    for raw, ring in ((signed(document(), STRANGER), trusted()), (signed(document()), trusted(revoked_ns=2))):
        with pytest.raises(SignatureRefusedError) as caught:
            attest(raw, ring)
        assert caught.value.step == "signature"


@pytest.mark.parametrize("at", range(0, 120, 7))
def test_a_changed_byte_is_never_read_as_signed(at: int) -> None:
    raw = bytearray(signed(document()))
    raw[at] ^= 1
    with pytest.raises(SignatureRefusedError):
        attest(bytes(raw))


def test_a_sidecar_does_what_a_trailer_does_and_both_at_once_are_refused() -> None:
    sidecar = documents.sign_detached(document(), KEY, issued_ns=NOW_NS - 1_000_000_000)
    attested = stages.attest(stages.receive(document(), sidecar=sidecar), trusted(), NOW_NS)
    assert attested.signer is not None
    with pytest.raises(SignatureRefusedError, match="two signatures"):
        stages.attest(stages.receive(signed(document()), sidecar=sidecar), trusted(), NOW_NS)


def test_too_many_bytes_are_refused_first() -> None:
    with pytest.raises(TooLargeError) as caught:
        stages.receive(b"x" * 11, 10)
    assert (caught.value.limit_bytes, caught.value.step) == (10, "size")


def test_no_stage_can_be_made_or_changed_from_outside() -> None:
    read = stages.read(attest(document()), SignatureRule.OPTIONAL)
    makers = [
        lambda: stages.Received(object(), b"", None),
        lambda: stages.Attested(object(), b"", b"", None),
        lambda: stages.Document(None, read.parsed, read.attested),
        lambda: stages.Authorised(object(), read, Rights("local")),
        lambda: dataclasses.replace(read.attested, signer=None),
        lambda: dataclasses.replace(read, parsed=read.parsed),
    ]
    for make in makers:
        with pytest.raises((TypeError, ValueError), match=r"alone|InitVar"):
            make()
    with pytest.raises(dataclasses.FrozenInstanceError):
        read.attested = None  # type: ignore[misc, assignment]


def test_authorising_decides_against_the_caller() -> None:
    read = stages.read(attest(document()), SignatureRule.OPTIONAL)
    authorised = stages.authorise(read, caller_grants=[["gateway://*"]], operator=OperatorRights())
    assert authorised.document is read
    assert authorised.rights.uris == ("gateway://local",)
