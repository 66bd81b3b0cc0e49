"""What a witness is asked, and that nothing in its answer counts but a cosignature over what was sent."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tlog.logs import octets

from macroslow.crypto.note_keys import NotePrivateKey, NoteType
from macroslow.errors import VerificationError
from macroslow.tlog import note, witness

NOW_S = 1_800_000_000
TEXT = "gateway.example/log\n5\n" + base64.b64encode(octets("root", 32)).decode() + "\n"
LOG = NotePrivateKey("gateway.example/log", NoteType.ED25519, octets("log", 32))
KINDS = [NoteType.ED25519_COSIGNATURE, NoteType.ML_DSA_44]
KEYS = {kind: NotePrivateKey("w.example", kind, octets(f"w {kind}", 32)) for kind in KINDS}
CHECKPOINT = note.sign(TEXT, [LOG], time_s=0)


def lines(*keys: NotePrivateKey, text: str = TEXT, time_s: int = NOW_S) -> bytes:
    return note.sign(text, keys, time_s=time_s).format().removeprefix(text.encode() + b"\n")


def test_a_request_is_as_the_standard_shows_it() -> None:
    hashes = [bytes([at]) * 32 for at in (1, 2)]
    assert witness.request_body(20852014, hashes, CHECKPOINT.format()) == (
        b"old 20852014\n"
        + b"".join(base64.b64encode(value) + b"\n" for value in hashes)
        + b"\n"
        + CHECKPOINT.format()
    )
    assert witness.request_body(0, [], b"note\n") == b"old 0\n\nnote\n"


@pytest.mark.parametrize("kind", KINDS)
def test_the_line_of_the_pinned_key_is_taken_and_no_other(kind: NoteType) -> None:
    stranger = NotePrivateKey("w.example", kind, octets("stranger", 32))
    line, time_s = witness.cosignature(
        CHECKPOINT, lines(stranger, KEYS[kind]), KEYS[kind].public, now_s=NOW_S
    )
    whole = CHECKPOINT.with_line(line)
    assert (time_s, whole.verify(KEYS[kind].public)) == (NOW_S, NOW_S)
    assert [one.name for one in whole.lines] == ["gateway.example/log", "w.example"]
    assert not whole.signed_by(stranger.public)
    assert whole.with_line(line) == whole


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_no_cosignature_of_what_was_sent_is_refused(kind: NoteType) -> None:
    key = KEYS[kind]
    impostor = NotePrivateKey("w.example", kind, octets("impostor", 32))
    forged = note.SignatureLine("w.example", key.public.key_id, bytes(8) + octets("forged", 64))
    bad = [
        lines(impostor),
        lines(key) * 2,
        lines(key, text=TEXT.replace("\n5\n", "\n6\n")),
        lines(key, text=TEXT.replace("gateway", "getaway")),
        lines(key, time_s=0),
        lines(key, time_s=NOW_S + witness.AHEAD_S + 1),
        lines(key, time_s=2**63),
        note.Note("", (forged,)).format()[1:],
        lines(key)[:-1],
        lines(key)[:-3] + b"\n",
        lines(key) + b"\n",
        b"",
        b"\n",
        b"ok\n",
        b"\xff\n",
        CHECKPOINT.with_line(note.sign(TEXT, [key], time_s=NOW_S).lines[0]).format(),
        lines(key) + b"\xe2\x80\x94 x AAAAAAA=\n" * note.MAX_SIGNATURES,
    ]
    for raw in bad:
        with pytest.raises(VerificationError):
            witness.cosignature(CHECKPOINT, raw, key.public, now_s=NOW_S)


def test_a_clock_that_is_a_little_ahead_is_no_lie() -> None:
    key = KEYS[NoteType.ML_DSA_44]
    ahead_s = NOW_S + witness.AHEAD_S
    assert witness.cosignature(CHECKPOINT, lines(key, time_s=ahead_s), key.public, now_s=NOW_S)[1] == ahead_s


@given(st.integers(0, note.MAX_SIZE))
def test_a_size_survives_its_line(size: int) -> None:
    assert witness.parse_size(b"%d\n" % size) == size


@given(st.binary(max_size=24) | st.from_regex(re.compile(rb"[0-9]{0,22}\n{0,2}"), fullmatch=True))
def test_what_is_no_size_line_is_refused(raw: bytes) -> None:
    try:
        size = witness.parse_size(raw)
    except VerificationError:
        return
    assert raw == b"%d\n" % size
    assert size <= note.MAX_SIZE
