"""The compact form of a JSON Web Token, taken apart. Nothing is known about what it says yet.

Read strictly: three parts, base64url in its one form, JSON with one reading (no member twice, no
NaN, bounded depth), so that no other reader of the same bytes can see another token. A header with
`crit` is refused (RFC 7515, section 4.1.11: we understand no extension). `jku`, `x5u`, `jwk` and `x5c`
are never looked at (RFC 8725, section 3.10), and `kid` is a name to look up and nothing else.

Source: RFC 7515, sections 3.1 and 5.2; RFC 7519, section 7.2; RFC 8725, sections 3.1 and 3.3.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.crypto import base64url, strict_json

MAX_TOKEN_BYTES: Final = 16 * 1024  # what common servers take as one header
MAX_DEPTH: Final = 8
MAX_SIGNATURE_BYTES: Final = 1024  # an RSA key of 8192 bits signs with so many
_NAME: Final = re.compile(r"[ -~]{1,256}")


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """What a token says of itself. Anybody may have written it.

    `kid` and `typ` are empty where the header has none; `typ` is in lower case.
    """

    algorithm: str
    kid: str
    typ: str
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def issuer(self) -> str:
        """The `iss` claim; "" if it is none or no text."""
        return self.text("iss")

    def text(self, claim: str) -> str:
        """A claim that is text; "" if it is none or something else."""
        value = self.claims.get(claim)
        return value if isinstance(value, str) else ""


def looks_like_one(credential: bytes) -> bool:
    """Whether a credential has the two full stops of a signed token: a decision on its kind alone."""
    return credential.count(b".") == 2


def read(credential: bytes) -> UnverifiedToken:
    """Take a token apart; ValueError says in one sentence what is wrong with it (from an adversary)."""
    if len(credential) > MAX_TOKEN_BYTES:
        raise ValueError(f"it has {len(credential)} bytes, more than {MAX_TOKEN_BYTES}")
    if not credential.isascii():
        raise ValueError("it has characters outside ASCII")
    parts = credential.decode("ascii").split(".")
    if len(parts) != 3:
        raise ValueError(f"it has {len(parts) - 1} full stops, not the 2 of a signed token")
    header = _json_object(parts[0], "header")
    claims = _json_object(parts[1], "payload")
    signature = _decode(parts[2], "signature")
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise ValueError(f"its signature has {len(signature)} bytes, more than {MAX_SIGNATURE_BYTES}")
    if "crit" in header:
        raise ValueError("its header has `crit`: no extension is understood here")
    return UnverifiedToken(
        algorithm=_name_in(header, "alg"),
        kid=_name_in(header, "kid"),
        typ=_name_in(header, "typ").lower(),
        claims=claims,
        signing_input=credential[: len(parts[0]) + 1 + len(parts[1])],
        signature=signature,
    )


def _json_object(part: str, where: str) -> dict[str, Any]:
    try:
        parsed = strict_json.parse(
            _decode(part, where), limit_bytes=MAX_TOKEN_BYTES, max_depth=MAX_DEPTH, floats=True
        )
    except ValueError as error:
        raise ValueError(f"its {where}: {error}") from None
    if not isinstance(parsed, dict):
        raise ValueError(f"its {where} is no JSON object")  # noqa: TRY004
    return parsed


def _decode(part: str, where: str) -> bytes:
    try:
        return base64url.decode(part)
    except ValueError as error:
        raise ValueError(f"its {where} is {error}") from None


def _name_in(header: Mapping[str, Any], member: str) -> str:
    """A member of the header that is a short printable name; "" if there is none."""
    if member not in header:
        return ""
    value = header[member]
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"its `{member}` is not 1 to 256 printable ASCII characters")
    return value
