"""The keys of an issuer: a JSON Web Key Set as a table from (key id, algorithm) to a public key.

A key stands in the table only under the algorithms that its type can verify, so a token cannot have
an RSA key used as the secret of an HMAC: there is no such entry (RFC 8725, sections 2.1 and 3.1). A
set from the network holds public keys alone; whatever else stands in it is left out and said so.

Source: RFC 7517, sections 4 and 5.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from macroslow.crypto import strict_json
from macroslow.crypto.jose import Algorithm, SharedSecret, VerificationKey, public_key

MAX_SET_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 100
MAX_DEPTH: Final = 6
MAX_KID_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True)
class KeySet:
    """What an issuer may have signed with. `left_out` says, key by key, what is not used and why."""

    keys: Mapping[tuple[str, Algorithm], VerificationKey] = field(
        default_factory=lambda: MappingProxyType({})
    )
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len({kid for kid, _ in self.keys})

    def find(self, kid: str, algorithm: Algorithm) -> VerificationKey | None:
        """The key of this name for this algorithm.

        A token that names no key is signed by the only one that it could be, or by nobody.
        """
        if kid:
            return self.keys.get((kid, algorithm))
        candidates = [key for (_, fits), key in self.keys.items() if fits is algorithm]
        return candidates[0] if len(candidates) == 1 else None


EMPTY: Final = KeySet()


@dataclass(frozen=True, slots=True)
class OneSecret(KeySet):
    """The one secret of an issuer that signs with HMAC; whatever key id its tokens have."""

    secret: SharedSecret | None = None

    def __len__(self) -> int:
        return 1

    def find(self, kid: str, algorithm: Algorithm) -> VerificationKey | None:
        """The secret, and for HS256 alone."""
        return self.secret if algorithm is Algorithm.HS256 else None


def read_key_set(raw: bytes) -> KeySet:
    """Read a JSON Web Key Set from the network. ValueError refuses it as a whole: the old one stays."""
    parsed = strict_json.parse(raw, limit_bytes=MAX_SET_BYTES, max_depth=MAX_DEPTH)
    members = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(members, list):
        raise ValueError("it is no JSON Web Key Set: an object with a list `keys`")  # noqa: TRY004
    if len(members) > MAX_KEYS:
        raise ValueError(f"it has {len(members)} keys, more than {MAX_KEYS}")
    keys: dict[tuple[str, Algorithm], VerificationKey] = {}
    left_out: list[str] = []
    for number, member in enumerate(members):
        try:
            keys.update({name: key for name, key in _entries(member) if name not in keys})
        except ValueError as error:
            left_out.append(f"key {number + 1}: {error}")
    return KeySet(MappingProxyType(keys), tuple(left_out))


def _entries(member: object) -> Iterator[tuple[tuple[str, Algorithm], VerificationKey]]:
    """One key under each algorithm that it may verify. ValueError: why it is left out."""
    if not isinstance(member, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - what came from outside is a wrong value
    _check_purpose(member)
    kid = member.get("kid", "")
    if not isinstance(kid, str) or len(kid) > MAX_KID_CHARACTERS:
        raise ValueError(f"its `kid` is no text of up to {MAX_KID_CHARACTERS} characters")
    key, algorithms = public_key(member)
    if "alg" in member:
        algorithms = tuple(each for each in algorithms if each == member["alg"])
    if not algorithms:
        raise ValueError("its `alg` is none that is understood for its type")
    for algorithm in algorithms:
        yield (kid, algorithm), key


def _check_purpose(member: Mapping[str, Any]) -> None:
    if member.get("use", "sig") != "sig":
        raise ValueError("it is not for signatures (`use`)")
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("it is not for verification (`key_ops`)")
    if "d" in member or "k" in member:  # of every type in RFC 7518, sections 6.2.2, 6.3.2 and 6.4
        raise ValueError("it is a secret: no public key set holds one")
