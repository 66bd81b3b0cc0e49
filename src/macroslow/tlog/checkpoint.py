"""Checkpoints (C2SP tlog-checkpoint): the log's own word about its size and root, signed twice.

Ed25519 (0x01) for today's tools and witnesses, ML-DSA-44 (0x06) against tomorrow's computers: both
lines are required. The log's name is its origin. The public key is a small text file,

    # comment lines
    <vkey of type 0x01>
    <vkey of type 0x06>

that an auditor pins; its fingerprint (160 bits) can be compared by telephone.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import orjson

from macroslow.crypto import base64url, strict_json
from macroslow.crypto.guarded import Guarded
from macroslow.crypto.hybrid import fingerprint
from macroslow.crypto.note_keys import SEED_BYTES, NotePrivateKey, NotePublicKey, NoteType
from macroslow.errors import BadRequestError, VerificationError
from macroslow.ports import Entropy
from macroslow.tlog import note

KEY_TEXT_BYTES: Final = 8 * 1024
OWN_LINES: Final = 2  # signature lines of the log itself, which come first: Ed25519 and ML-DSA-44
HandOverSignatures = tuple[bytes, bytes]
"""Bare signatures by Ed25519 and ML-DSA-44 over the text of a hand-over; see `tlog.hand_over`."""

# Signed by the same keys as checkpoints, and confused with none: a checkpoint's text begins with an origin,
# which has no space, and what ML-DSA-44 signs of one with `subtree/v1`.
_HAND_OVER: Final = "macroslow-hand-over v1\n"
_FIX: Final = "`macroslow audit key` prints the log's public key; pin the copy that you were given"
_ANOTHER_KEY: Final = (
    "was the log's key changed? Ask its owner for `macroslow audit key --succession`, and give that to"
    " `receipt verify --succession FILE`; after a fork, ask for the new log's key"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified tree head. `time_s` is the log's own claim of when, in seconds."""

    origin: str
    size: int
    root: bytes
    time_s: int


@dataclass(frozen=True, slots=True)
class LogPublicKey:
    """Both public keys of one log, under one name: its origin."""

    ed25519: NotePublicKey
    ml_dsa_44: NotePublicKey

    def __post_init__(self) -> None:
        if (self.ed25519.type, self.ml_dsa_44.type) != (NoteType.ED25519, NoteType.ML_DSA_44):
            raise ValueError("a log key is one Ed25519 key and one ML-DSA-44 key")
        if self.ed25519.name != self.ml_dsa_44.name:
            raise ValueError("the two keys of a log have one name")

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.ed25519.name

    @property
    def fingerprint(self) -> str:
        """160 bits over both keys and the origin, in eight groups of four."""
        both = f"macroslow-log-key v1\n{self.ed25519.vkey}\n{self.ml_dsa_44.vkey}\n"
        return fingerprint(hashlib.sha256(both.encode()).digest())

    def verify_hand_over(self, said: str, signatures: HandOverSignatures) -> None:
        """Return if both keys signed the hand-over that says `said`; else VerificationError."""
        message = (_HAND_OVER + said).encode()
        for key, signature in zip((self.ed25519, self.ml_dsa_44), signatures, strict=True):
            key.verify(signature, message)

    def format(self) -> str:
        """Return the text of the public key file."""
        comment = f"# Log key of {self.origin}\n# Fingerprint {self.fingerprint}\n"
        return f"{comment}{self.ed25519.vkey}\n{self.ml_dsa_44.vkey}\n"

    @classmethod
    def parse(cls, text: str) -> "LogPublicKey":
        """Read a public key file; BadRequestError if it is not exactly one log's two keys."""
        lines = [line.strip() for line in text[: KEY_TEXT_BYTES + 1].splitlines()]
        vkeys = [line for line in lines if line and not line.startswith("#")]
        try:
            if len(text) > KEY_TEXT_BYTES or len(vkeys) != 2:
                raise ValueError("it does not hold exactly two verifier keys")
            first, second = sorted(map(NotePublicKey.from_vkey, vkeys), key=lambda key: key.type)
            return cls(first, second)
        except ValueError as error:
            raise BadRequestError(f"this is not the public key of a log: {error}", fix=_FIX) from None


class LogPrivateKey(Guarded):
    """Both private keys of one log, made from their 32-byte seeds. ValueError for a bad origin."""

    __slots__ = ("_ed25519", "_ml_dsa_44", "public")

    def __init__(self, origin: str, ed25519_seed: bytes, ml_dsa_44_seed: bytes) -> None:
        self._ed25519: Final = NotePrivateKey(origin, NoteType.ED25519, ed25519_seed)
        self._ml_dsa_44: Final = NotePrivateKey(origin, NoteType.ML_DSA_44, ml_dsa_44_seed)
        self.public: Final = LogPublicKey(self._ed25519.public, self._ml_dsa_44.public)

    @classmethod
    def generate(cls, origin: str, entropy: Entropy) -> "LogPrivateKey":
        """Return a new key for the log `origin`."""
        return cls(origin, entropy.random(SEED_BYTES), entropy.random(SEED_BYTES))

    def sign_checkpoint(self, size: int, root: bytes, *, time_s: int) -> bytes:
        """Return the signed note. Whether the tree extends the last one is the caller's to check."""
        body = note.Body(self.public.origin, size, root)
        return note.sign(note.format_body(body), [self._ed25519, self._ml_dsa_44], time_s=time_s).format()

    def sign_hand_over(self, said: str) -> HandOverSignatures:
        """Return signatures over the text of a hand-over, below its first line."""
        message = (_HAND_OVER + said).encode()
        return self._ed25519.sign(message), self._ml_dsa_44.sign(message)

    def to_json(self) -> str:
        """Return the text of a key file. It holds the seeds: write it to a private file only."""
        members = {
            "macroslow_log_key": 1,
            "origin": self.public.origin,
            "ed25519_seed": base64url.encode(self._ed25519.seed()),
            "ml_dsa_44_seed": base64url.encode(self._ml_dsa_44.seed()),
        }
        return orjson.dumps(members, option=orjson.OPT_INDENT_2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str) -> "LogPrivateKey":
        """Read a key file; BadRequestError if it is none."""
        try:
            raw = text.encode("utf-8", "surrogatepass")
            value = strict_json.parse(raw, limit_bytes=KEY_TEXT_BYTES, max_depth=1)
            members = value if isinstance(value, dict) and len(value) == 4 else {}
            match members:
                case {
                    "macroslow_log_key": 1,
                    "origin": str() as origin,
                    "ed25519_seed": str() as ed25519_seed,
                    "ml_dsa_44_seed": str() as ml_dsa_44_seed,
                }:
                    return cls(origin, base64url.decode(ed25519_seed), base64url.decode(ml_dsa_44_seed))
                case _:
                    raise ValueError("its members are others")
        except ValueError as error:
            raise BadRequestError(f"this is not the private key of a log: {error}") from None


def verify_checkpoint(signed_note: bytes, log_key: LogPublicKey) -> Checkpoint:
    """Return the tree head that both of the log's keys signed; else VerificationError."""
    parsed = note.parse(signed_note)
    return verify_parsed(parsed, log_key)


def verify_parsed(parsed: note.Note, log_key: LogPublicKey) -> Checkpoint:
    """As `verify_checkpoint`, of a note that is taken apart already."""
    for key, label in ((log_key.ed25519, "Ed25519"), (log_key.ml_dsa_44, "ML-DSA-44")):
        if not parsed.signed_by(key):
            raise VerificationError(
                f"the checkpoint has no {label} signature of the pinned log key of {log_key.origin!r}: "
                "it was signed by another key, or the line was removed",
                fix=_ANOTHER_KEY,
            )
    parsed.verify(log_key.ed25519)
    time_s = parsed.verify(log_key.ml_dsa_44)
    body = note.parse_body(parsed.text)
    if body.origin != log_key.origin:
        raise VerificationError(f"the checkpoint is of the log {body.origin!r}, not {log_key.origin!r}")
    return Checkpoint(body.origin, body.size, body.root, time_s)
