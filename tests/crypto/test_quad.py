"""Hostile inputs first, then an independent implementation, then what rotation promises."""

import copy
import hashlib
import hmac
import os
import pickle
import struct
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.adapters.system import SystemEntropy
from macroslow.crypto.quad import Quad, Root
from macroslow.errors import DecryptionFailedError


def new_root(epoch: int = 1) -> Root:
    return Root(os.urandom(16), epoch, os.urandom(64))


ROOTS = [new_root() for _ in range(4)]
QUAD = Quad(ROOTS, SystemEntropy())
SECRET = b"the patient's name is Ada"
HEADER_BYTES = 6 + 1 + 1 + 2 + 1 + len("object") + 16 + 32
WRAP_BYTES = 16 + 4 + 2 + 104
BODY_AT = HEADER_BYTES + 4 * WRAP_BYTES
LARGE = hashlib.shake_256(b"large").digest(200_000)


def assert_refused(
    sealed: bytes, *, quad: Quad = QUAD, subject: str = "alice", purpose: str = "object"
) -> None:
    with pytest.raises(DecryptionFailedError) as caught:
        quad.open(sealed, subject, purpose=purpose)
    assert caught.value.detail == "the sealed bytes do not open"


def test_what_was_sealed_opens() -> None:
    assert QUAD.open(QUAD.seal(SECRET, "alice"), "alice") == SECRET


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 200_000])
def test_every_size_around_a_chunk_or_a_step_opens_again(size: int) -> None:
    sealed = QUAD.seal(LARGE[:size], "alice")
    assert QUAD.open(sealed, "alice") == LARGE[:size]
    assert LARGE[:64] not in sealed


def test_a_flipped_bit_in_any_byte_of_a_small_object_is_refused_in_the_same_words() -> None:
    sealed = QUAD.seal(SECRET, "alice")
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1 << position % 8
        assert_refused(bytes(altered))


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, len(LARGE)), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_a_large_object_is_refused(position: int, bit: int) -> None:
    altered = bytearray(LARGE_SEALED)
    altered[position] ^= 1 << bit
    assert_refused(bytes(altered))


LARGE_SEALED = QUAD.seal(LARGE, "alice")


@pytest.mark.parametrize(
    "change",
    [
        lambda s: b"",
        lambda s: s[:5],
        lambda s: s[:BODY_AT],
        lambda s: s[:-1],
        lambda s: s[:-16],
        lambda s: s[: BODY_AT + 56 + 2 * 16_400],  # at a chunk's end
        lambda s: s + b"\0",
        lambda s: s + s,
        lambda s: s[:BODY_AT] + s[BODY_AT:] + s[BODY_AT:],
    ],
)
def test_what_is_cut_off_or_grown_is_refused(change: Callable[[bytes], bytes]) -> None:
    assert_refused(change(LARGE_SEALED))


def test_chunks_swapped_dropped_or_doubled_are_refused() -> None:
    head, chunk = BODY_AT + 56, 16_400
    first, second = LARGE_SEALED[head : head + chunk], LARGE_SEALED[head + chunk : head + 2 * chunk]
    start, rest = LARGE_SEALED[:head], LARGE_SEALED[head + 2 * chunk :]
    assert_refused(start + second + first + rest)
    assert_refused(start + second + rest)
    assert_refused(start + first + first + second + rest)


def test_another_subject_or_purpose_is_refused() -> None:
    sealed = QUAD.seal(SECRET, "alice", purpose="answer")
    assert QUAD.open(sealed, "alice", purpose="answer") == SECRET
    assert_refused(sealed, subject="bob", purpose="answer")
    assert_refused(sealed, subject="alice", purpose="object")
    assert_refused(sealed, subject="alice", purpose="answers")


@pytest.mark.parametrize("layer", range(4))
def test_three_of_the_four_roots_open_nothing(layer: int) -> None:
    sealed = QUAD.seal(SECRET, "alice")
    stranger = Root(ROOTS[layer].key_id, ROOTS[layer].epoch, os.urandom(64))
    assert_refused(sealed, quad=Quad([*ROOTS[:layer], stranger, *ROOTS[layer + 1 :]], SystemEntropy()))


@pytest.mark.parametrize("layer", range(4))
def test_each_layers_body_needs_its_own_data_key(layer: int) -> None:
    """A key block taken from another object of the same owner, one entry of it or all, is refused."""
    sealed, other = QUAD.seal(SECRET, "alice"), QUAD.seal(SECRET, "alice")
    at = HEADER_BYTES + layer * WRAP_BYTES
    assert_refused(sealed[:at] + other[at : at + WRAP_BYTES] + sealed[at + WRAP_BYTES :])
    assert_refused(sealed[:HEADER_BYTES] + other[HEADER_BYTES:BODY_AT] + sealed[BODY_AT:])


def test_roots_in_another_order_are_refused() -> None:
    assert_refused(QUAD.seal(SECRET, "alice"), quad=Quad(ROOTS[::-1], SystemEntropy()))


def test_wrapped_keys_in_another_order_are_refused() -> None:
    sealed = QUAD.seal(SECRET, "alice")
    first, second = HEADER_BYTES + WRAP_BYTES, HEADER_BYTES + 2 * WRAP_BYTES
    swapped = sealed[:HEADER_BYTES] + sealed[first:second] + sealed[HEADER_BYTES:first] + sealed[second:]
    assert_refused(swapped)


@pytest.mark.parametrize(("position", "value"), [(6, 0), (6, 2), (7, 0), (7, 2), (8, 1), (9, 1), (10, 255)])
def test_another_version_suite_or_flag_is_refused(position: int, value: int) -> None:
    sealed = bytearray(QUAD.seal(SECRET, "alice"))
    sealed[position] = value
    assert_refused(bytes(sealed))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=800))
def test_random_bytes_are_refused_and_nothing_else_happens(noise: bytes) -> None:
    assert_refused(noise)
    assert_refused(QUAD.seal(SECRET, "alice")[:HEADER_BYTES] + noise)


def test_rewrapping_moves_the_keys_and_leaves_header_and_body_byte_for_byte() -> None:
    new = Quad([new_root(2) for _ in range(4)], SystemEntropy())
    sealed = QUAD.seal(LARGE, "alice")
    moved = QUAD.rewrap(sealed, "alice", new)
    assert moved[:HEADER_BYTES] == sealed[:HEADER_BYTES]
    assert moved[BODY_AT:] == sealed[BODY_AT:]
    assert new.open(moved, "alice") == LARGE
    assert_refused(moved)  # the old roots may be destroyed now


def test_one_custodian_rotates_alone() -> None:
    rotated = Quad([Root(ROOTS[0].key_id, 2, os.urandom(64)), *ROOTS[1:]], SystemEntropy())
    moved = QUAD.rewrap(QUAD.seal(SECRET, "alice"), "alice", rotated)
    assert rotated.open(moved, "alice") == SECRET
    assert_refused(moved)


def test_rewrapping_for_another_subject_is_refused() -> None:
    with pytest.raises(DecryptionFailedError):
        QUAD.rewrap(QUAD.seal(SECRET, "alice"), "bob", QUAD)


def test_a_stream_in_uneven_pieces_is_the_same_object() -> None:
    pieces = [LARGE[:1], b"", LARGE[1:20_000], LARGE[20_000:150_000], LARGE[150_000:]]
    sealed = b"".join(QUAD.seal_stream(pieces, "alice"))
    assert QUAD.open(sealed, "alice") == LARGE
    for step in (1000, 16_400, 70_000):
        chunks = [sealed[at : at + step] for at in range(0, len(sealed), step)]
        assert b"".join(QUAD.open_stream(chunks, "alice")) == LARGE


def test_a_truncated_stream_never_ends_well() -> None:
    with pytest.raises(DecryptionFailedError):
        list(QUAD.open_stream([LARGE_SEALED[:-17]], "alice"))
    with pytest.raises(DecryptionFailedError):
        list(QUAD.open_stream([], "alice"))


def test_no_two_objects_share_a_salt() -> None:
    salts = {QUAD.seal(b"", "alice")[HEADER_BYTES - 48 : HEADER_BYTES] for _ in range(1000)}
    assert len(salts) == 1000


def test_four_different_roots_are_needed() -> None:
    with pytest.raises(ValueError, match="four roots"):
        Quad(ROOTS[:3], SystemEntropy())
    with pytest.raises(ValueError, match="four roots"):
        Quad([*ROOTS[:3], ROOTS[0]], SystemEntropy())
    with pytest.raises(ValueError, match="the same"):
        Quad([*ROOTS[:3], Root(os.urandom(16), 1, ROOTS[0].secret)], SystemEntropy())


@pytest.mark.parametrize("purpose", ["", "é", "x" * 65])
def test_a_purpose_is_short_ascii(purpose: str) -> None:
    with pytest.raises(ValueError, match="purpose"):
        QUAD.seal(SECRET, "alice", purpose=purpose)


def test_secrets_do_not_print_pickle_copy_or_compare() -> None:
    for value in (ROOTS[0], QUAD):
        assert ROOTS[0].secret.hex() not in repr(value)
        assert repr(ROOTS[0].secret) not in repr(value)
        with pytest.raises(TypeError):
            pickle.dumps(value)
        with pytest.raises(TypeError):
            copy.deepcopy(value)
        with pytest.raises(TypeError):
            _ = value == value  # noqa: PLR0124
        with pytest.raises(TypeError):
            hash(value)


# The independent implementation: the construction's text, HMAC and AES-GCM, and nothing of ours.


def expand(secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SHA-512 (RFC 5869 section 2.3)."""
    output, block, counter = b"", b"", 0
    while len(output) < length:
        counter += 1
        block = hmac.digest(secret, block + info + bytes([counter]), "sha512")
        output += block
    return output[:length]


def cobblestone_keys(key: bytes, salt: bytes, context: bytes) -> tuple[AESGCM, int, bytes]:
    """C2SP chunked-encryption with SHA-512 and AES-256-GCM: AEAD key, base nonce, commitment."""
    derived = expand(key, b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context, 32 + 12 + 32)
    return AESGCM(derived[:32]), int.from_bytes(derived[32:44], "big"), derived[44:]


def open_cobblestone(key: bytes, sealed: bytes, context: bytes) -> bytes:
    salt, commitment, rest = sealed[:24], sealed[24:56], sealed[56:]
    aead, base_nonce, expected = cobblestone_keys(key, salt, context)
    assert commitment == expected
    chunks = [rest[at : at + 16_400] for at in range(0, len(rest), 16_400)]
    assert len(chunks[-1]) < 16_400
    return b"".join(
        aead.decrypt((base_nonce ^ number).to_bytes(12, "big"), chunk, None)
        for number, chunk in enumerate(chunks)
    )


def seal_cobblestone(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    salt = os.urandom(24)
    aead, base_nonce, commitment = cobblestone_keys(key, salt, context)
    chunks = [plaintext[at : at + 16_384] for at in range(0, len(plaintext) + 1, 16_384)]
    sealed = [
        aead.encrypt((base_nonce ^ number).to_bytes(12, "big"), chunk, None)
        for number, chunk in enumerate(chunks)
    ]
    return b"".join([salt, commitment, *sealed])


def quad_contexts(header: bytes, subject: str, layer: int, root: Root) -> tuple[bytes, bytes, bytes]:
    """Key-encryption key, context of the wrapped key, context of the layer."""
    associated = subject.encode()
    digest = hashlib.sha512(header + struct.pack(">Q", len(associated)) + associated).digest()
    epoch = struct.pack(">I", root.epoch)
    label = b"macroslow/quad/v1"
    kek = expand(root.secret, label + b"/kek" + bytes([layer]) + epoch, 32)
    return (
        kek,
        label + b"/wrap" + bytes([layer]) + digest + root.key_id + epoch,
        label + bytes([layer]) + digest,
    )


def test_an_independent_implementation_opens_what_we_seal() -> None:
    sealed = QUAD.seal(LARGE, "älice")
    header, body = sealed[:HEADER_BYTES], sealed[BODY_AT:]
    assert header[:17] == b"MSQUAD\x01\x01\x00\x00\x06object"
    for layer in (4, 3, 2, 1):
        root = ROOTS[layer - 1]
        kek, wrap_context, context = quad_contexts(header, "älice", layer, root)
        entry = sealed[HEADER_BYTES + (layer - 1) * WRAP_BYTES :][:WRAP_BYTES]
        assert entry[:22] == root.key_id + struct.pack(">IH", root.epoch, 104)
        body = open_cobblestone(open_cobblestone(kek, entry[22:], wrap_context), body, context)
    assert body == LARGE


def test_we_open_what_an_independent_implementation_seals() -> None:
    header = b"MSQUAD\x01\x01\x00\x00\x06object" + os.urandom(48)
    block, body = b"", LARGE
    for layer, root in enumerate(ROOTS, 1):
        kek, wrap_context, context = quad_contexts(header, "bob", layer, root)
        data_key = os.urandom(32)
        wrapped = seal_cobblestone(kek, data_key, wrap_context)
        block += root.key_id + struct.pack(">IH", root.epoch, len(wrapped)) + wrapped
        body = seal_cobblestone(data_key, body, context)
    assert QUAD.open(header + block + body, "bob") == LARGE


def test_a_layer_of_another_commitment_is_refused_though_its_gcm_tag_is_good() -> None:
    """The outermost layer is forged by someone who knows its data key, with a false commitment."""
    header = b"MSQUAD\x01\x01\x00\x00\x06object" + os.urandom(48)
    block, body = b"", SECRET
    for layer, root in enumerate(ROOTS, 1):
        kek, wrap_context, context = quad_contexts(header, "bob", layer, root)
        data_key = os.urandom(32)
        wrapped = seal_cobblestone(kek, data_key, wrap_context)
        block += root.key_id + struct.pack(">IH", root.epoch, len(wrapped)) + wrapped
        body = seal_cobblestone(data_key, body, context)
    assert QUAD.open(header + block + body, "bob") == SECRET
    assert_refused(header + block + body[:24] + bytes(32) + body[56:], subject="bob")
