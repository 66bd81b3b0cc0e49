"""Signed notes (C2SP signed-note): a text, an empty line, signature lines.

The text of a note means nothing before a signature of a known key is verified. Lines of unknown
keys are ignored, so that witnesses can add theirs; a line of a known key must verify.

Ed25519 (type 0x01) signs the text itself. Cosignatures (C2SP tlog-cosignature) carry a time in
seconds: type 0x04 signs a header, the time and the text; type 0x06 (ML-DSA-44) signs a structure
of name, time, origin, size and root, for which the text must be a checkpoint.
"""

import base64
import binascii
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.crypto.note_keys import NotePrivateKey, NotePublicKey, NoteType, check_name
from macroslow.errors import VerificationError

MAX_NOTE_BYTES: Final = 256 * 1024
MAX_SIGNATURES: Final = 64  # the standard asks for 16 at least
MAX_SIZE: Final = 2**63 - 1
_SUBTREE_LABEL: Final = b"subtree/v1\n\0"
_TIME: Final = struct.Struct(">Q")
_DASH: Final = "\u2014 "
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROLS: Final = bytes(range(32)).replace(b"\n", b"")  # in UTF-8 part of no other character


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One line: whose it claims to be, and the bytes after the key identifier."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart; nothing in it is believed yet. `text` ends with a line feed."""

    text: str
    lines: tuple[SignatureLine, ...]

    def signed_by(self, key: NotePublicKey) -> bool:
        """Whether there is a line that claims to be of `key`."""
        return any(_claims(line, key) for line in self.lines)

    def line_of(self, key: NotePublicKey) -> SignatureLine:
        """Return the line that claims to be of `key`; VerificationError if there is none or more than one."""
        lines = [line for line in self.lines if _claims(line, key)]
        if len(lines) != 1:
            raise VerificationError(f"{len(lines)} {key.type.name} signatures of {key.name!r} instead of one")
        return lines[0]

    def verify(self, key: NotePublicKey) -> int:
        """Return the time of `key`'s signature in seconds (0 for type 0x01).

        VerificationError if it has no line or more than one, or the line does not verify.
        """
        time_s, signature = _split_time(key.type, self.line_of(key).signature)
        key.verify(signature, signed_message(key, self.text, time_s))
        return time_s

    def with_line(self, line: SignatureLine) -> "Note":
        """Return the note with `line`, in place of one of the same key if there is one."""
        others = (one for one in self.lines if (one.name, one.key_id) != (line.name, line.key_id))
        return Note(self.text, (*others, line))

    def format(self) -> bytes:
        """Return the note as it is sent and stored."""
        lines = [f"{_DASH}{line.name} {_base64(line.key_id + line.signature)}\n" for line in self.lines]
        return "".join([self.text, "\n", *lines]).encode()


@dataclass(frozen=True, slots=True)
class Body:
    """The three lines of a checkpoint's text (C2SP tlog-checkpoint)."""

    origin: str
    size: int
    root: bytes


def parse(raw: bytes) -> Note:
    """Take a note apart; VerificationError if it is not one, or passes a limit."""
    whole = _decode(raw)
    head, separator, tail = whole.rpartition("\n\n")
    if not separator or not head or not tail.endswith("\n"):
        raise VerificationError("the signed note is not a text, an empty line and signature lines")
    return Note(head + "\n", _parse_lines(tail))


def parse_lines(raw: bytes) -> tuple[SignatureLine, ...]:
    """Take signature lines apart, as a witness sends them; VerificationError if they are none."""
    whole = _decode(raw)
    if not whole.endswith("\n"):
        raise VerificationError("the signature lines are cut off")
    return _parse_lines(whole)


def sign(text: str, keys: Sequence[NotePrivateKey], *, time_s: int) -> Note:
    """Return `text` signed by each of `keys`; cosignatures carry `time_s`."""
    lines = []
    for key in keys:
        public = key.public
        signature = key.sign(signed_message(public, text, time_s))
        prefix = b"" if public.type is NoteType.ED25519 else _TIME.pack(time_s)
        lines.append(SignatureLine(public.name, public.key_id, prefix + signature))
    return Note(text, tuple(lines))


def signed_message(key: NotePublicKey, text: str, time_s: int) -> bytes:
    """Return the bytes that a signature of `key` over `text` covers."""
    match key.type:
        case NoteType.ED25519:
            return text.encode()
        case NoteType.ED25519_COSIGNATURE:
            return f"cosignature/v1\ntime {time_s}\n{text}".encode()
        case NoteType.ML_DSA_44:
            return _cosigned_message(key.name, time_s, parse_body(text))


def parse_body(text: str) -> Body:
    """Return the checkpoint that `text` is; VerificationError if it is none.

    Extension lines are refused: no ML-DSA-44 signature covers them.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0] or not _DECIMAL.fullmatch(lines[1]):
        raise VerificationError("the signed text is not origin, tree size and root hash")
    root = decode_hash(lines[2])
    if int(lines[1]) > MAX_SIZE or len(lines[0].encode()) > 255:
        raise VerificationError("the checkpoint's size or origin is out of bounds")
    return Body(lines[0], int(lines[1]), root)


def format_body(body: Body) -> str:
    """Return the checkpoint's text."""
    return f"{body.origin}\n{body.size}\n{_base64(body.root)}\n"


def decode_hash(text: str) -> bytes:
    """Return the 32 bytes of a base64 line; VerificationError if it is not exactly that."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 32 or _base64(value) != text:
        raise VerificationError("a hash is not the base64 form of 32 bytes")
    return value


def _cosigned_message(name: str, time_s: int, body: Body) -> bytes:
    """`cosigned_message` of tlog-cosignature: strings with a length byte, integers as u64."""
    cosigner, origin = name.encode(), body.origin.encode()
    parts = [_SUBTREE_LABEL, bytes([len(cosigner)]), cosigner, _TIME.pack(time_s)]
    parts += [bytes([len(origin)]), origin, _TIME.pack(0), _TIME.pack(body.size), body.root]
    return b"".join(parts)


def _split_time(note_type: NoteType, signature: bytes) -> tuple[int, bytes]:
    if note_type is NoteType.ED25519:
        return 0, signature
    time_s = int.from_bytes(signature[: _TIME.size], "big")
    if len(signature) < _TIME.size or time_s > MAX_SIZE:
        raise VerificationError("a cosignature is cut off, or its time is out of bounds")
    return time_s, signature[_TIME.size :]


def _decode(raw: bytes) -> str:
    if len(raw) > MAX_NOTE_BYTES:
        raise VerificationError("the signed note is larger than any we accept")
    try:
        whole = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise VerificationError("the signed note is not UTF-8") from None
    if len(raw.translate(None, _CONTROLS)) != len(raw):
        raise VerificationError("the signed note has control characters")
    return whole


def _parse_lines(tail: str) -> tuple[SignatureLine, ...]:
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise VerificationError(f"the signed note has more than {MAX_SIGNATURES} signatures")
    return tuple(_parse_line(line) for line in lines)


def _parse_line(line: str) -> SignatureLine:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        check_name(name)
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not line.startswith(_DASH) or len(decoded) < 5 or _base64(decoded) != encoded:
        raise VerificationError("the signed note has a line that is no signature line")
    return SignatureLine(name, decoded[:4], decoded[4:])


def _claims(line: SignatureLine, key: NotePublicKey) -> bool:
    return (line.name, line.key_id) == (key.name, key.key_id)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
