"""Signed notes: strict in shape, open to lines of others, deaf to lines that do not verify."""

import base64
import hashlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.crypto.note_keys import NotePrivateKey, NotePublicKey, NoteType
from macroslow.errors import VerificationError
from macroslow.tlog import note

TEXT = "gateway.example/log\n5\n" + base64.b64encode(bytes(32)).decode() + "\n"
TIME_S = 1_800_000_000


def key(note_type: NoteType, name: str = "gateway.example/log", seed: int = 1) -> NotePrivateKey:
    return NotePrivateKey(name, note_type, bytes([seed]) * 32)


ED25519, COSIGNER, ML_DSA = key(NoteType.ED25519), key(NoteType.ED25519_COSIGNATURE), key(NoteType.ML_DSA_44)
SIGNED = note.sign(TEXT, [ED25519, COSIGNER, ML_DSA], time_s=TIME_S).format()


def line(name: str, blob: bytes) -> str:
    return f"\u2014 {name} {base64.b64encode(blob).decode()}\n"


def test_a_note_survives_its_text_form() -> None:
    parsed = note.parse(SIGNED)
    assert parsed.text == TEXT
    assert parsed.format() == SIGNED
    assert [parsed.verify(one.public) for one in (ED25519, COSIGNER, ML_DSA)] == [0, TIME_S, TIME_S]


def test_the_key_identifier_is_the_hash_of_name_type_and_key() -> None:
    for one in (ED25519, COSIGNER, ML_DSA):
        public = one.public
        expected = hashlib.sha256(b"gateway.example/log\n" + bytes([public.type]) + public.raw).digest()[:4]
        assert public.key_id == expected


def test_each_type_signs_the_message_of_its_standard() -> None:
    parsed = note.parse(SIGNED)
    plain, cosigned, ml_dsa = (one.signature for one in parsed.lines)
    ED25519.public.verify(plain, TEXT.encode())
    COSIGNER.public.verify(cosigned[8:], f"cosignature/v1\ntime {TIME_S}\n{TEXT}".encode())
    name = b"gateway.example/log"
    message = b"subtree/v1\n\0" + bytes([len(name)]) + name + struct.pack(">Q", TIME_S)
    message += bytes([len(name)]) + name + struct.pack(">QQ", 0, 5) + bytes(32)
    ML_DSA.public.verify(ml_dsa[8:], message)
    assert cosigned[:8] == ml_dsa[:8] == struct.pack(">Q", TIME_S)


def test_lines_of_unknown_keys_are_ignored_up_to_the_limit() -> None:
    others = "".join(line(f"witness{number}.example", bytes(4 + 2428)) for number in range(40))
    parsed = note.parse(SIGNED + others.encode())
    assert parsed.verify(ML_DSA.public) == TIME_S
    small = "".join(
        line(f"witness{number}.example", bytes(4 + 72)) for number in range(note.MAX_SIGNATURES - 2)
    )
    with pytest.raises(VerificationError, match="more than"):
        note.parse(SIGNED + small.encode())


def test_a_known_name_with_another_key_identifier_is_another_key() -> None:
    stranger = line("gateway.example/log", b"\0\1\2\3" + bytes(64))
    assert note.parse(SIGNED + stranger.encode()).verify(ED25519.public) == 0


def test_a_second_line_of_a_known_key_is_refused() -> None:
    again = line("gateway.example/log", ED25519.public.key_id + bytes(64))
    with pytest.raises(VerificationError, match="2 ED25519"):
        note.parse(SIGNED + again.encode()).verify(ED25519.public)


def test_a_missing_line_is_refused() -> None:
    alone = note.sign(TEXT, [ED25519], time_s=TIME_S)
    with pytest.raises(VerificationError, match="0 ML_DSA_44"):
        alone.verify(ML_DSA.public)
    assert not alone.signed_by(ML_DSA.public)


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, len(SIGNED) - 1), value=st.integers(0, 255))
def test_no_changed_byte_verifies(position: int, value: int) -> None:
    altered = SIGNED[:position] + bytes([value]) + SIGNED[position + 1 :]
    if altered == SIGNED:
        return
    with pytest.raises(VerificationError):
        verify_all(altered)


def verify_all(raw: bytes) -> None:
    parsed = note.parse(raw)
    for one in (ED25519, COSIGNER, ML_DSA):
        parsed.verify(one.public)


@pytest.mark.parametrize("key_number", [0, 1, 2])
@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s + b"\0", lambda s: s[:3], lambda s: b"x"])
def test_a_signature_of_another_length_is_refused(key_number: int, change: Callable[[bytes], bytes]) -> None:
    one = (ED25519, COSIGNER, ML_DSA)[key_number]
    parsed = note.parse(SIGNED)
    cut = note.SignatureLine(one.public.name, one.public.key_id, change(parsed.lines[key_number].signature))
    with pytest.raises(VerificationError):
        note.Note(TEXT, (cut,)).verify(one.public)


@pytest.mark.parametrize("type_pair", [(ED25519, COSIGNER), (COSIGNER, ED25519)])
def test_a_signature_of_one_type_is_none_of_another(type_pair: tuple[NotePrivateKey, NotePrivateKey]) -> None:
    signer, pretended = type_pair
    signature = note.sign(TEXT, [signer], time_s=TIME_S).lines[0].signature
    bare = signature[-64:]
    for forged in (bare, struct.pack(">Q", TIME_S) + bare):
        with pytest.raises(VerificationError):
            note.Note(
                TEXT, (note.SignatureLine(signer.public.name, pretended.public.key_id, forged),)
            ).verify(pretended.public)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"\n\n",
        b"text\n\n",
        b"text\n\nno dash\n",
        b"text\n\n\xe2\x80\x94 name\n",
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAB=\n",
        b"text\n\n\xe2\x80\x94 na+me AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94  AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 na\xc2\xa0me AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA= \n",
        b"text\n\n\xe2\x80\x94 name  AAAAAAA=\n",
        b"text\n\n- name AAAAAAA=\n",
        b"text\n\xe2\x80\x94 name AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA=",
        b"text\r\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"te\0xt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"x" * (note.MAX_NOTE_BYTES + 1),
    ],
)
def test_what_is_no_note_is_refused(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        note.parse(raw)


@settings(max_examples=150)
@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: f"{text}\n\n\u2014 a AAAAAAA=\n".encode())
)
def test_random_notes_raise_nothing_but_a_refusal(raw: bytes) -> None:
    try:
        parsed = note.parse(raw)
    except VerificationError:
        return
    assert parsed.format() == raw


@pytest.mark.parametrize(
    "text",
    [
        TEXT + "extension\n",
        TEXT[:-1],
        "\n" + TEXT,
        "a\n05\n" + TEXT.split("\n")[2] + "\n",
        "a\n-5\n" + TEXT.split("\n")[2] + "\n",
        "a\n\u0665\n" + TEXT.split("\n")[2] + "\n",
        "a\n" + "9" * 19 + "\n" + TEXT.split("\n")[2] + "\n",
        "a\n" + "9" * 5000 + "\n" + TEXT.split("\n")[2] + "\n",
        "\n5\n" + TEXT.split("\n")[2] + "\n",
        "a\n5\nAAAA\n",
        "a\n5\n" + "A" * 42 + "B=\n",
        "a" * 256 + "\n5\n" + TEXT.split("\n")[2] + "\n",
    ],
)
def test_a_text_that_is_no_checkpoint_has_no_ml_dsa_signature(text: str) -> None:
    with pytest.raises(VerificationError):
        note.parse_body(text)


# Verifier keys


@pytest.mark.parametrize("one", [ED25519, COSIGNER, ML_DSA])
def test_a_vkey_survives_its_text_form(one: NotePrivateKey) -> None:
    assert NotePublicKey.from_vkey(one.public.vkey) == one.public


RAW = ED25519.public.raw
WEAK = (1).to_bytes(32, "little")  # the point of order 1


def vkey(name: str, note_type: int, raw: bytes, key_id: str | None = None) -> str:
    material = bytes([note_type]) + raw
    expected = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex()
    return f"{name}+{key_id or expected}+{base64.b64encode(material).decode()}"


def test_the_vkey_helper_makes_good_ones() -> None:
    assert NotePublicKey.from_vkey(vkey("a", 1, RAW)).name == "a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a+b",
        "a++",
        "+00000000+AQ==",
        vkey("a", 1, bytes(31)),
        vkey("a", 1, bytes(33)),
        vkey("a", 6, RAW),
        vkey("a", 1, bytes(1312)),
        vkey("a", 2, RAW),
        vkey("a", 255, RAW),
        vkey("a", 1, WEAK),
        vkey("a", 4, WEAK),
        vkey("a", 1, RAW, "00000000"),
        vkey("a", 1, RAW).upper(),
        vkey("a b", 1, RAW),
        vkey("", 1, RAW),
        vkey("a" * 256, 1, RAW),
        vkey("a", 1, RAW) + "\n",
        vkey("a", 1, RAW) + " ",
        "x" * 10_000,
    ],
)
def test_what_is_no_vkey_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        NotePublicKey.from_vkey(text)


def test_every_control_character_but_the_line_feed_is_refused_wherever_it_stands() -> None:
    for code in set(range(32)) - {10}:
        for at in (0, 5, len(SIGNED)):
            with pytest.raises(VerificationError, match="control characters"):
                note.parse(SIGNED[:at] + bytes([code]) + SIGNED[at:])


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1))
def test_no_other_character_is_taken_for_one(text: str) -> None:
    assert note.parse(text.encode() + b"\n" + SIGNED).text == f"{text}\n{TEXT}"
