"""Checkpoints: both of the log's keys or none, and only the log's."""

import copy
import pickle
import re
from collections.abc import Callable

import pytest

from macroslow.crypto.note_keys import NotePrivateKey, NoteType
from macroslow.errors import BadRequestError, VerificationError
from macroslow.tlog import checkpoint, note
from macroslow.tlog.checkpoint import Checkpoint, LogPrivateKey, LogPublicKey

ROOT = bytes(range(32))


def lines(signed: bytes) -> tuple[str, str, str]:
    """Text, Ed25519 line, ML-DSA line."""
    text, _, rest = signed.decode().rpartition("\n\n")
    first, second = rest.splitlines(keepends=True)
    return text + "\n", first, second


@pytest.fixture(scope="module")
def signed(log_key: LogPrivateKey) -> bytes:
    return log_key.sign_checkpoint(7, ROOT, time_s=1_800_000_000)


def test_a_checkpoint_of_the_log_is_what_was_signed(signed: bytes, log_key: LogPrivateKey) -> None:
    expected = Checkpoint("gateway.example/log", 7, ROOT, 1_800_000_000)
    assert checkpoint.verify_checkpoint(signed, log_key.public) == expected


def test_cosignatures_of_others_do_not_matter(signed: bytes, log_key: LogPrivateKey) -> None:
    witness = NotePrivateKey("witness.example", NoteType.ML_DSA_44, bytes(32))
    parsed = note.parse(signed)
    more = note.sign(parsed.text, [witness], time_s=5).lines
    cosigned = note.Note(parsed.text, (*more, *parsed.lines)).format()
    assert checkpoint.verify_checkpoint(cosigned, log_key.public).size == 7


@pytest.mark.parametrize(("kept", "missing"), [(1, "ML-DSA-44"), (2, "Ed25519")])
def test_a_stripped_line_is_refused_by_name(
    kept: int, missing: str, signed: bytes, log_key: LogPrivateKey
) -> None:
    parts = lines(signed)
    with pytest.raises(VerificationError, match=missing):
        checkpoint.verify_checkpoint((parts[0] + "\n" + parts[kept]).encode(), log_key.public)


def test_another_logs_key_signs_nothing_here(
    signed: bytes, log_key: LogPrivateKey, other_log_key: LogPrivateKey
) -> None:
    with pytest.raises(VerificationError, match="another key"):
        checkpoint.verify_checkpoint(signed, other_log_key.public)
    with pytest.raises(VerificationError, match="another key"):
        checkpoint.verify_checkpoint(other_log_key.sign_checkpoint(7, ROOT, time_s=1), log_key.public)


def test_one_stolen_key_is_not_enough(
    log_key: LogPrivateKey, other_log_key: LogPrivateKey, signed: bytes
) -> None:
    """Whoever breaks one algorithm still cannot move the root: lines of two checkpoints do not mix."""
    other = log_key.sign_checkpoint(7, bytes(32), time_s=1_800_000_000)
    text, ed25519, ml_dsa = lines(signed)
    _, other_ed25519, other_ml_dsa = lines(other)
    for mixed in (text + "\n" + ed25519 + other_ml_dsa, text + "\n" + other_ed25519 + ml_dsa):
        with pytest.raises(VerificationError, match="does not verify"):
            checkpoint.verify_checkpoint(mixed.encode(), log_key.public)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.replace(b"\n7\n", b"\n8\n"),
        lambda s: s.replace(b"gateway.example/log\n7", b"gateway.example/lof\n7"),
        lambda s: s.replace(b"AAEC", b"BAEC"),
        lambda s: s.replace(b"=\n\n", b"=\nextension\n\n"),
        lambda s: s.replace(b"\n", b"\r\n"),
        lambda s: s[:-1],
        lambda s: s + b"\n",
        lambda s: b"",
    ],
)
def test_an_altered_checkpoint_is_refused(
    change: Callable[[bytes], bytes], signed: bytes, log_key: LogPrivateKey
) -> None:
    assert change(signed) != signed
    with pytest.raises(VerificationError):
        checkpoint.verify_checkpoint(change(signed), log_key.public)


def test_extension_lines_are_refused_though_ed25519_covers_them(log_key: LogPrivateKey) -> None:
    """No ML-DSA signature covers them, so they could be swapped by whoever breaks Ed25519."""
    body = note.format_body(note.Body("gateway.example/log", 7, ROOT))
    ed25519 = NotePrivateKey("gateway.example/log", NoteType.ED25519, bytes(32))
    ml_dsa = NotePrivateKey("gateway.example/log", NoteType.ML_DSA_44, bytes(32))
    extended = note.Note(
        body + "more\n",
        (
            note.sign(body + "more\n", [ed25519], time_s=1).lines[0],
            note.sign(body, [ml_dsa], time_s=1).lines[0],
        ),
    ).format()
    with pytest.raises(VerificationError, match="origin, tree size and root"):
        checkpoint.verify_checkpoint(extended, LogPublicKey(ed25519.public, ml_dsa.public))


def test_a_checkpoint_of_another_origin_under_our_name_is_refused(log_key: LogPrivateKey) -> None:
    keys = [
        NotePrivateKey("gateway.example/log", kind, bytes(32))
        for kind in (NoteType.ED25519, NoteType.ML_DSA_44)
    ]
    other = note.sign(note.format_body(note.Body("other.example", 7, ROOT)), keys, time_s=1).format()
    with pytest.raises(VerificationError, match=r"other\.example"):
        checkpoint.verify_checkpoint(other, LogPublicKey(keys[0].public, keys[1].public))


# Key files


def test_the_public_key_file_survives_and_can_be_compared_by_telephone(log_key: LogPrivateKey) -> None:
    text = log_key.public.format()
    assert LogPublicKey.parse(text) == log_key.public
    assert LogPublicKey.parse("\n".join(reversed(text.splitlines()))) == log_key.public
    assert re.fullmatch(r"([A-Z2-7]{4}-){7}[A-Z2-7]{4}", log_key.public.fingerprint)
    assert log_key.public.fingerprint in text


def test_two_logs_have_two_fingerprints(log_key: LogPrivateKey, other_log_key: LogPrivateKey) -> None:
    assert log_key.public.fingerprint != other_log_key.public.fingerprint


def test_a_public_key_file_is_exactly_two_keys_of_one_log(
    log_key: LogPrivateKey, other_log_key: LogPrivateKey
) -> None:
    comment, _, first, second = log_key.public.format().splitlines()
    foreign = LogPrivateKey("other.example", bytes(32), bytes(32)).public.ml_dsa_44.vkey
    for text in (
        "",
        comment,
        first,
        second,
        f"{first}\n{first}",
        f"{second}\n{second}",
        f"{first}\n{second}\n{other_log_key.public.ed25519.vkey}",
        f"{first}\n{foreign}",
        f"{first} {second}",
        "x\n" * 5000,
        log_key.to_json(),
    ):
        with pytest.raises(BadRequestError, match="public key of a log"):
            LogPublicKey.parse(text)


def test_the_private_key_file_survives(log_key: LogPrivateKey) -> None:
    assert LogPrivateKey.from_json(log_key.to_json()).public == log_key.public


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "",
        lambda t: "[]",
        lambda t: t.replace("ed25519_seed", "seed"),
        lambda t: t.replace('"macroslow_log_key": 1', '"macroslow_log_key": 2'),
        lambda t: t.replace("gateway.example/log", "a b"),
        lambda t: t.replace('_seed": "', '_seed": "AA'),
        lambda t: t.replace("{", '{"more": 1,', 1),
        lambda t: "[" * 8000,
        lambda t: t + " " * 10_000,
    ],
)
def test_a_damaged_private_key_file_is_refused(change: Callable[[str], str], log_key: LogPrivateKey) -> None:
    with pytest.raises(BadRequestError, match="private key of a log"):
        LogPrivateKey.from_json(change(log_key.to_json()))


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "a" * 256, "a\0b", "a\u2028b"])
def test_an_origin_that_notes_cannot_carry_is_refused(origin: str) -> None:
    with pytest.raises(ValueError):
        LogPrivateKey(origin, bytes(32), bytes(32))


def test_a_private_log_key_does_not_print_pickle_or_copy(log_key: LogPrivateKey) -> None:
    assert repr(log_key) == "LogPrivateKey(…)"
    with pytest.raises(TypeError):
        pickle.dumps(log_key)
    with pytest.raises(TypeError):
        copy.copy(log_key)
