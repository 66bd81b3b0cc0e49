"""Keys of signed notes (C2SP signed-note): a name, a signature type, a key identifier of 4 bytes.

The types we use: 0x01 Ed25519 over the note's text; 0x04 and 0x06, the timestamped cosignatures of
C2SP tlog-cosignature by Ed25519 and ML-DSA-44. A public key's text form is the vkey,
`name+hash+base64(type, key)`. What message each type signs is in `tlog.note`.
"""

import base64
import enum
import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from macroslow.crypto.guarded import Guarded
from macroslow.crypto.hazmat import ed25519
from macroslow.crypto.hazmat.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from macroslow.crypto.hazmat.ml_dsa import MLDSA44PrivateKey, MLDSA44PublicKey

MAX_NAME_BYTES: Final = 255  # of a cosigner name in tlog-cosignature
MAX_VKEY_CHARACTERS: Final = 4096  # an ML-DSA-44 vkey has about 1,800
SEED_BYTES: Final = ed25519.SEED_BYTES

# Plus, spaces, controls, what steers or hides text, and what is for private use. By code points, not by
# properties: so the rule is one in every version of Unicode, and for whoever else verifies.
_NOT_IN_NAMES: Final = re.compile(
    r"[\0- +\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f"
    r"\u3000\ud800-\uf8ff\ufeff\ufff0-\ufffb\ufffe\uffff\U000e0000-\U0010ffff]"
)


class NoteType(enum.IntEnum):
    """Signature types of C2SP signed-note."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    ML_DSA_44 = 0x06


@dataclass(frozen=True, slots=True)
class NotePublicKey:
    """A verifier key. ValueError if the name or the key's length does not fit."""

    name: str
    type: NoteType
    raw: bytes
    key_id: bytes = field(init=False)
    _key: Ed25519PublicKey | MLDSA44PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        is_ml_dsa = self.type is NoteType.ML_DSA_44
        object.__setattr__(
            self, "_key", MLDSA44PublicKey(self.raw) if is_ml_dsa else Ed25519PublicKey(self.raw)
        )
        digest = hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.raw).digest()
        object.__setattr__(self, "key_id", digest[:4])

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if this key signed exactly `message`; else VerificationError."""
        self._key.verify(signature, message)

    @property
    def vkey(self) -> str:
        """The text form."""
        material = base64.b64encode(bytes([self.type]) + self.raw).decode("ascii")
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @classmethod
    def from_vkey(cls, text: str) -> "NotePublicKey":
        """Read a vkey; ValueError if it is none, or of a type that we do not verify."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        if len(text) > MAX_VKEY_CHARACTERS:
            raise ValueError("a verifier key of this length does not exist")
        material = base64.b64decode(encoded, validate=True)
        if not material or material[0] not in set(NoteType):
            raise ValueError("a verifier key of an unknown signature type")
        key = cls(name, NoteType(material[0]), material[1:])
        if key.key_id.hex() != key_id or key.vkey != text:
            raise ValueError("the verifier key's identifier does not fit its name and key")
        return key


class NotePrivateKey(Guarded):
    """A note signer's key, made from its 32-byte seed."""

    __slots__ = ("_key", "public")

    def __init__(self, name: str, note_type: NoteType, seed: bytes) -> None:
        is_ml_dsa = note_type is NoteType.ML_DSA_44
        self._key: Final = MLDSA44PrivateKey(seed) if is_ml_dsa else Ed25519PrivateKey(seed)
        self.public: Final = NotePublicKey(name, note_type, self._key.public.raw)

    def seed(self) -> bytes:
        """Return the seed, to be written to a key file."""
        return self._key.seed()

    def sign(self, message: bytes) -> bytes:
        """Return the bare signature over `message`."""
        return self._key.sign(message)


def check_name(name: str) -> None:
    """Return if `name` can name a key and a log; else ValueError."""
    fits = 1 <= len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES
    if not fits or _NOT_IN_NAMES.search(name):
        raise ValueError(
            "a key name has 1 to 255 bytes, no space, no plus sign and nothing that is not shown"
        )
