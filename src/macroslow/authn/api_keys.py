"""API keys: a name that may be shown, a secret that may not, and a checksum for scanners.

    msk_ + id (12) + _ + secret (43) + checksum (6)         all in 0-9 A-Z a-z

The secret is 256 bits from the system's generator. The checksum is the CRC-32 of everything
before it, so that a scanner knows a key of ours offline, without a list and nearly without false
alarms; it protects nothing. A store keeps HMAC-SHA256(pepper, id + secret): whoever copies the
store alone can neither use nor test a key. The id has a fixed length, so id + secret is unambiguous.

A *legacy* key is one that another gateway made: its text begins `sk-` and that gateway kept its SHA-256
(64 hexadecimal digits). What is stored is HMAC-SHA256(pepper, those digits), so whoever copied the other
gateway's table has neither a key nor a name of one here. The two kinds of message differ in length.

No clock, store or pepper of its own: all come in as arguments. Everything given to `parse` may come
from an adversary.

Sources: RFC 2104 (HMAC); ISO/IEC 8802-3 (CRC-32).
"""

import hashlib
import hmac
import re
import zlib
from dataclasses import dataclass, field
from typing import Final

from macroslow.authn.ports import KeyRecord
from macroslow.ports import Entropy

KEY_PREFIX: Final = "msk_"  # what begins so is never sent to a provider
ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH: Final = 12
ID_BYTES: Final = 8
SECRET_LENGTH: Final = 43  # 62**43 > 2**256
SECRET_BYTES: Final = 32
CHECKSUM_LENGTH: Final = 6  # 62**6 > 2**32
LEGACY_PREFIX: Final = "sk-"
LEGACY_ID_PREFIX: Final = "legacy"  # longer than an id of ours with its digits, so the two never meet
MAX_LEGACY_BYTES: Final = 512
KEY_LENGTH: Final = len(KEY_PREFIX) + ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH
PATTERN: Final = rf"{KEY_PREFIX}[0-9A-Za-z]{{{ID_LENGTH}}}_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"
"""What a scanner looks for; `parse` then says whether it is a key or only looks like one."""

_KEY: Final = re.compile(
    rf"{KEY_PREFIX}([0-9A-Za-z]{{{ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CREDENTIAL: Final = re.compile(
    rf"(?<![0-9A-Za-z])(?:{KEY_PREFIX}\w+|{LEGACY_PREFIX}[\w-]+|e[wy][\w-]{{8,}}(?:\.[\w-]*){{2,4}}"
    r"|(?:AIza|A[KS]IA|gsk_|gh[oprsu]_|github_pat_|hf_|whsec_|xai-|xox[abprs]-)[\w-]{16,})"
)
"""A key of ours, of another gateway or a provider, or a token (a JSON object in base64 begins ey or ew)."""
SECRET_CHARACTERS: Final = 16  # what is shorter and stands within a text may be a word
_PAIRS: Final = tuple(high + low for high in ALPHABET for low in ALPHABET)


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """The two halves of a well-formed key. Nothing is known about it yet."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LegacyKey:
    """What another gateway stored of a key: the SHA-256 of its text, as 64 lower-case hexadecimal digits."""

    digest: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.digest):
            raise ValueError("not a SHA-256 in lower-case hexadecimal digits")

    @property
    def id(self) -> str:
        """The name of the key here; it tells nothing of the digest."""
        return (
            LEGACY_ID_PREFIX + hashlib.sha256(b"legacy key " + self.digest.encode("ascii")).hexdigest()[:12]
        )


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A key at the one moment when its text exists on this side."""

    text: str = field(repr=False)
    id: str
    secret: str = field(repr=False)


def mint(entropy: Entropy, key_id: str | None = None) -> MintedKey:
    """Make a fresh key, or a fresh secret for one. Whoever gets `text` must be told that it is shown once."""
    if key_id is None:
        key_id = _base62(int.from_bytes(entropy.random(ID_BYTES), "big"), ID_LENGTH)
    secret = _base62(int.from_bytes(entropy.random(SECRET_BYTES), "big"), SECRET_LENGTH)
    body = f"{KEY_PREFIX}{key_id}_{secret}"
    return MintedKey(body + checksum(body), key_id, secret)


def parse(text: str) -> ParsedKey | None:
    """Take a key apart; None if it is not one. One regular expression and one CRC, whatever it holds."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    key_id, secret, check = match.groups()
    if checksum(text[:-CHECKSUM_LENGTH]) != check:
        return None
    return ParsedKey(key_id, secret)


def parse_legacy(credential: bytes) -> LegacyKey | None:
    """The digest of a key of another gateway; None if it cannot be one. A digest itself is no key."""
    if not credential.startswith(LEGACY_PREFIX.encode()) or len(credential) > MAX_LEGACY_BYTES:
        return None
    return LegacyKey(hashlib.sha256(credential).hexdigest())


def is_credential(text: str) -> bool:
    """Whether a text that should have been a name may be a key or a token instead."""
    return _CREDENTIAL.match(text.strip()) is not None


def holds_credential(text: str) -> bool:
    """Whether something in a text may be a key or a token, and is long enough to be of use to a thief."""
    return any(len(found[0]) >= SECRET_CHARACTERS for found in _CREDENTIAL.finditer(text))


def without_credentials(text: str) -> str:
    """`text` as it may be shown: whatever in it may be a key or a token is cut to three letters."""
    return _CREDENTIAL.sub(lambda found: f"{found[0][:3]}…", text)


def id_of(credential: str) -> str:
    """The id under which a key would be known here; "" if the text names none."""
    text = credential.strip()
    if parsed := parse(text):
        return parsed.id
    legacy = parse_legacy(text.encode("utf-8", "surrogatepass"))
    return legacy.id if legacy else ""


def checksum(body: str) -> str:
    """The six characters that end a key whose other characters are `body` (ASCII)."""
    rest, low = divmod(zlib.crc32(body.encode("ascii")), 3844)
    high, middle = divmod(rest, 3844)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


class SecretHasher:
    """Makes what is stored in place of a secret: HMAC-SHA256(pepper, id + secret), 32 bytes.

    Of a legacy key: HMAC-SHA256(pepper, digest).
    """

    def __init__(self, pepper: bytes) -> None:
        # Keyed once: the key schedule costs more than the hash of so short a message.
        self._keyed = hmac.new(pepper, digestmod="sha256")

    def __call__(self, key: ParsedKey | MintedKey | LegacyKey) -> bytes:
        """The keyed hash of one key."""
        message = key.digest if isinstance(key, LegacyKey) else key.id + key.secret
        keyed = self._keyed.copy()
        keyed.update(message.encode("ascii"))
        return keyed.digest()


def is_in_force(record: KeyRecord, now_ns: int) -> bool:
    """Whether a key is neither revoked nor past its expiry."""
    return record.revoked_ns is None and (record.expires_ns is None or now_ns < record.expires_ns)


def has_overlap(record: KeyRecord, now_ns: int) -> bool:
    """Whether the secret before the newest one still works."""
    return record.old_until_ns is not None and now_ns < record.old_until_ns


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
