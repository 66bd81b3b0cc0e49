"""Cobblestone-256: chunked, committing AES-256-GCM (C2SP chunked-encryption with SHA-512).

A 24-byte salt, a 32-byte commitment to key and context, then chunks of 16 KiB with a tag each; the
last one is short. Truncation, reordering, another key or another context are all refused.

A `Cascade` is several layers run as one. Large pieces pass through buffers that are kept, since
fresh memory costs more than the encryption, and the library gives up the interpreter's lock there.
"""

from collections.abc import Sequence
from typing import Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from macroslow.errors import DecryptionFailedError

KEY_BYTES: Final = 32
CHUNK_BYTES: Final = 16 * 1024
TAG_BYTES: Final = 16
PREFIX_BYTES: Final = 24 + 32
OVERHEAD_BYTES: Final = PREFIX_BYTES + TAG_BYTES  # of a message that fits one chunk

Bytes = bytes | memoryview
KeyAndContext = tuple[bytes, bytes]


def encrypt(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Return the ciphertext; its salt comes from the library's own generator."""
    encryptor = Cobblestone256Encryptor(key, context)
    return encryptor.update(plaintext) + encryptor.finalize()


def decrypt(key: bytes, ciphertext: bytes, context: bytes) -> bytes:
    """Return the plaintext, all of it verified; else DecryptionFailedError."""
    cascade = decrypting([(key, context)])
    return bytes(cascade.update(ciphertext)) + cascade.finalize()


def encrypting(layers: Sequence[KeyAndContext]) -> "Cascade":
    """Return the encryption under all `layers`, the first innermost."""
    return Cascade([Cobblestone256Encryptor(key, context) for key, context in layers])


def decrypting(layers: Sequence[KeyAndContext]) -> "Cascade":
    """Return the decryption of `encrypting(layers)`: the last layer is taken off first."""
    return Cascade([Cobblestone256Decryptor(key, context) for key, context in reversed(layers)])


class Cascade:
    """Layers in the order in which bytes pass them. What a decryption gives out is to be believed
    only after `finalize` has returned. Both methods raise DecryptionFailedError."""

    __slots__ = ("_buffers", "_layers")

    def __init__(self, layers: Sequence[Cobblestone256Encryptor | Cobblestone256Decryptor]) -> None:
        self._layers = layers
        self._buffers = [memoryview(b"")] * len(layers)

    def update(self, data: Bytes) -> Bytes:
        """Return what all layers give out for `data`; valid until the next call."""
        for index in range(len(self._layers)):
            data = self._pass(index, data)
        return data

    def finalize(self) -> bytes:
        """Return the rest. Every byte that was given out is verified now."""
        rest = b""
        try:
            for layer in self._layers:
                rest = layer.update(rest) + layer.finalize()
        except (InvalidTag, ValueError):
            raise _failed() from None
        return rest

    def _pass(self, index: int, data: Bytes) -> Bytes:
        layer = self._layers[index]
        try:
            if len(data) < CHUNK_BYTES:
                return layer.update(data)
            buffer = self._buffer(index, len(data))
            return buffer[: layer.update_into(data, buffer)]
        except (InvalidTag, ValueError):
            raise _failed() from None

    def _buffer(self, index: int, size_bytes: int) -> memoryview:
        """Room for `size_bytes` and one chunk held back, encrypted."""
        chunks = size_bytes // CHUNK_BYTES + 2
        needed = PREFIX_BYTES + chunks * (CHUNK_BYTES + TAG_BYTES)
        if len(self._buffers[index]) < needed:
            self._buffers[index] = memoryview(bytearray(needed))
        return self._buffers[index]


def _failed() -> DecryptionFailedError:
    return DecryptionFailedError("the sealed bytes do not open", reason="Cobblestone-256")
