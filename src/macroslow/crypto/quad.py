"""`macroslow-quad v1`: bytes sealed in four nested AES-256-GCM layers under four separate roots.

Each layer is Cobblestone-256 (committing, chunked AES-256-GCM) under a random data key of its own,
and each data key is wrapped under one 64-byte root, so that nothing opens without all four roots.
That is 256-bit security (NIST category 5) with four-of-four custody; the 2,048 bits of the roots
are the amount of key material, not a security level.

Layout of a sealed object, integers big-endian:

    header     magic (6) | version u8 | suite u8 | flags u16 | purpose: u8 length, ASCII
               | object id (16) | salt (32)
    key block  4 x: key id (16) | epoch u32 | u16 length, wrapped data key
    body       layer 4 ( layer 3 ( layer 2 ( layer 1 ( plaintext ))))

H = SHA-512(header | u64 length of the subject | subject). The context of layer i is
"macroslow/quad/v1" | i | H, that of its wrapped key "macroslow/quad/v1/wrap" | i | H | key id |
epoch. The key block stays outside H, so that `rewrap` moves an object to other roots without
touching its body. Replay is not covered: callers bind what is current into the subject.
"""

import hashlib
import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from macroslow.crypto.guarded import Guarded
from macroslow.crypto.hazmat import cobblestone, hkdf
from macroslow.crypto.hazmat.cobblestone import KEY_BYTES, Bytes
from macroslow.errors import DecryptionFailedError
from macroslow.ports import Entropy

LAYERS: Final = 4
ROOT_BYTES: Final = 64
KEY_ID_BYTES: Final = 16
OBJECT_ID_BYTES: Final = 16
SALT_BYTES: Final = 32
WRAPPED_BYTES: Final = KEY_BYTES + cobblestone.OVERHEAD_BYTES
MAX_PURPOSE_BYTES: Final = 64
MAX_EPOCH: Final = 2**32 - 1
STEP_BYTES: Final = 64 * 1024

_LABEL: Final = b"macroslow/quad/v1"
_PREFIX: Final = struct.Struct(">6sBBHB")
_MAGIC, _VERSION, _SUITE, _FLAGS = b"MSQUAD", 1, 1, 0
_WRAP: Final = struct.Struct(f">{KEY_ID_BYTES}sIH{WRAPPED_BYTES}s")
_Wrapped = tuple[bytes, int, bytes]  # key id, epoch, wrapped data key


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Root(Guarded):
    """One custodian's root: 64 uniform random bytes, with a public identifier and an epoch."""

    key_id: bytes
    epoch: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key_id) != KEY_ID_BYTES or len(self.secret) != ROOT_BYTES:
            raise ValueError("a root has a key id of 16 bytes and a secret of 64")
        if not 0 <= self.epoch <= MAX_EPOCH:
            raise ValueError("an epoch is a number of 32 bits")


class Quad(Guarded):
    """Seals and opens under four roots. Their key-encryption keys are derived once and kept."""

    __slots__ = ("_entropy", "_keks", "_names")

    def __init__(self, roots: Sequence[Root], entropy: Entropy) -> None:
        if len(roots) != LAYERS or len({root.key_id for root in roots}) != LAYERS:
            raise ValueError("four roots with four key ids are needed")
        if len({root.secret for root in roots}) != LAYERS:
            raise ValueError("two roots are the same: they give no separate custody")
        self._entropy = entropy
        self._names = tuple((root.key_id, root.epoch) for root in roots)
        self._keks = tuple(_kek(layer, root) for layer, root in enumerate(roots, 1))

    def seal(self, plaintext: bytes, subject: str, *, purpose: str = "object") -> bytes:
        """Return sealed bytes that open for the same subject and purpose alone.

        ValueError if `purpose` is not 1 to 64 ASCII characters.
        """
        return _joined(self._seal(_steps(plaintext), subject, purpose))

    def open(self, sealed: bytes, subject: str, *, purpose: str = "object") -> bytes:
        """Return the plaintext, all four layers verified; else DecryptionFailedError."""
        return _joined(self._open(_steps(sealed), subject, purpose))

    def seal_stream(
        self, chunks: Iterable[bytes], subject: str, *, purpose: str = "object"
    ) -> Iterator[bytes]:
        """Seal what `chunks` give, in constant memory if they are small (64 KiB is a good size)."""
        return map(bytes, self._seal(chunks, subject, purpose))

    def open_stream(
        self, chunks: Iterable[bytes], subject: str, *, purpose: str = "object"
    ) -> Iterator[bytes]:
        """Open what `chunks` give. Believe nothing before the end: the last step checks the whole.

        Write to a temporary place, and keep it only if no DecryptionFailedError came.
        """
        return map(bytes, self._open(chunks, subject, purpose))

    def _seal(self, chunks: Iterable[Bytes], subject: str, purpose: str) -> Iterator[Bytes]:
        header = _header(purpose, self._entropy)
        digest = _digest(header, subject)
        keys = self._entropy.random(LAYERS * KEY_BYTES)
        data_keys = [keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)]
        yield header + self._wrap(data_keys, digest)
        cascade = cobblestone.encrypting(_layers(data_keys, digest))
        for chunk in chunks:
            yield cascade.update(chunk)
        yield cascade.finalize()

    def _open(self, chunks: Iterable[Bytes], subject: str, purpose: str) -> Iterator[Bytes]:
        source = iter(chunks)
        head, first = _take(source, _head_bytes(purpose))
        header, wrapped = _parse(head, purpose)
        digest = _digest(header, subject)
        cascade = cobblestone.decrypting(_layers(self._unwrap(wrapped, digest), digest))
        yield cascade.update(first)
        for chunk in source:
            yield cascade.update(chunk)
        yield cascade.finalize()

    def rewrap(self, sealed: bytes, subject: str, onto: "Quad", *, purpose: str = "object") -> bytes:
        """Return the same object under the roots of `onto`; header and body stay byte for byte.

        DecryptionFailedError if the key block does not open here. The body is not opened.
        """
        head_bytes = _head_bytes(purpose)
        header, wrapped = _parse(sealed[:head_bytes], purpose)
        digest = _digest(header, subject)
        block = onto._wrap(self._unwrap(wrapped, digest), digest)
        return b"".join([header, block, memoryview(sealed)[head_bytes:]])

    def _wrap(self, data_keys: Sequence[bytes], digest: bytes) -> bytes:
        block = bytearray()
        for layer, (key_id, epoch), kek, data_key in zip(
            range(1, LAYERS + 1), self._names, self._keks, data_keys, strict=True
        ):
            wrapped = cobblestone.encrypt(kek, data_key, _wrap_context(layer, digest, key_id, epoch))
            block += _WRAP.pack(key_id, epoch, len(wrapped), wrapped)
        return bytes(block)

    def _unwrap(self, block: Sequence[_Wrapped], digest: bytes) -> list[bytes]:
        data_keys = []
        for layer, name, kek, (key_id, epoch, wrapped) in zip(
            range(1, LAYERS + 1), self._names, self._keks, block, strict=True
        ):
            if name != (key_id, epoch):
                raise _failed(f"layer {layer} is under another root or epoch")
            data_keys.append(cobblestone.decrypt(kek, wrapped, _wrap_context(layer, digest, key_id, epoch)))
        return data_keys


def _header(purpose: str, entropy: Entropy) -> bytes:
    name = _purpose_bytes(purpose)
    prefix = _PREFIX.pack(_MAGIC, _VERSION, _SUITE, _FLAGS, len(name))
    return prefix + name + entropy.random(OBJECT_ID_BYTES + SALT_BYTES)


def _purpose_bytes(purpose: str) -> bytes:
    if not purpose.isascii() or not 1 <= len(purpose) <= MAX_PURPOSE_BYTES:
        raise ValueError("a purpose is 1 to 64 ASCII characters")
    return purpose.encode("ascii")


def _head_bytes(purpose: str) -> int:
    return _PREFIX.size + len(_purpose_bytes(purpose)) + OBJECT_ID_BYTES + SALT_BYTES + LAYERS * _WRAP.size


def _parse(head: bytes, purpose: str) -> tuple[bytes, list[_Wrapped]]:
    """Header and key block of what an adversary may have written: one version, one suite, exact lengths."""
    name = _purpose_bytes(purpose)
    prefix = _PREFIX.pack(_MAGIC, _VERSION, _SUITE, _FLAGS, len(name)) + name
    if not head.startswith(prefix) or len(head) != _head_bytes(purpose):
        raise _failed("another format, suite or purpose, or cut off")
    block_at = len(head) - LAYERS * _WRAP.size
    wrapped: list[_Wrapped] = []
    for key_id, epoch, length, data_key in _WRAP.iter_unpack(head[block_at:]):
        if length != WRAPPED_BYTES:
            raise _failed("a wrapped key of another length")
        wrapped.append((key_id, epoch, data_key))
    return head[:block_at], wrapped


def _take(source: Iterator[Bytes], size_bytes: int) -> tuple[bytes, Bytes]:
    """The first `size_bytes` of the source (fewer if it ends), and what came with them."""
    head, rest = bytearray(), memoryview(b"")
    while len(head) < size_bytes:
        chunk = next(source, None)
        if chunk is None:
            break
        missing = size_bytes - len(head)
        head += chunk[:missing]
        rest = memoryview(chunk)[missing:]
    return bytes(head), rest


def _steps(data: bytes) -> Iterator[Bytes]:
    view = memoryview(data)
    return (view[at : at + STEP_BYTES] for at in range(0, len(data), STEP_BYTES))


def _joined(pieces: Iterable[Bytes]) -> bytes:
    whole = io.BytesIO()  # hands out its own buffer at the end, without a copy
    for piece in pieces:
        whole.write(piece)
    return whole.getvalue()


def _digest(header: bytes, subject: str) -> bytes:
    associated = subject.encode("utf-8", "surrogatepass")
    return hashlib.sha512(header + struct.pack(">Q", len(associated)) + associated).digest()


def _kek(layer: int, root: Root) -> bytes:
    info = _LABEL + b"/kek" + bytes([layer]) + struct.pack(">I", root.epoch)
    return hkdf.expand(root.secret, info, KEY_BYTES)


def _layers(data_keys: Sequence[bytes], digest: bytes) -> list[tuple[bytes, bytes]]:
    return [(key, _LABEL + bytes([layer]) + digest) for layer, key in enumerate(data_keys, 1)]


def _wrap_context(layer: int, digest: bytes, key_id: bytes, epoch: int) -> bytes:
    return _LABEL + b"/wrap" + bytes([layer]) + digest + key_id + struct.pack(">I", epoch)


def _failed(reason: str) -> DecryptionFailedError:
    return DecryptionFailedError("the sealed bytes do not open", reason=reason)
