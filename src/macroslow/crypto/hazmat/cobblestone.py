"""Cobblestone-256: chunked, committing AES-256-GCM (C2SP chunked-encryption with SHA-512).

A 24-byte salt, a 32-byte commitment to key and context, then chunks of 16 KiB with a tag each; the
last one is short. Truncation, reordering, another key or another context are all refused.
"""

from typing import Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from macroslow.errors import DecryptionFailedError

KEY_BYTES: Final = 32
OVERHEAD_BYTES: Final = 24 + 32 + 16  # of a message that fits one chunk


def encrypt(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Return the ciphertext; its salt comes from the library's own generator."""
    encryptor = Cobblestone256Encryptor(key, context)
    return encryptor.update(plaintext) + encryptor.finalize()


def decrypt(key: bytes, ciphertext: bytes | memoryview, context: bytes) -> bytes:
    """Return the plaintext, all of it verified; else DecryptionFailedError."""
    decryptor = Cobblestone256Decryptor(key, context)
    try:
        return decryptor.update(ciphertext) + decryptor.finalize()
    except (InvalidTag, ValueError):
        raise DecryptionFailedError("the sealed bytes do not open", reason="Cobblestone-256") from None
