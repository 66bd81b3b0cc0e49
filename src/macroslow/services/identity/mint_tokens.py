"""Tokens of the development issuer: for trials on one machine, signed with a key that never leaves it.

A configuration that has such an issuer does not start where others can reach the listener.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.authn.jwt.issuer import IssuerRules
from macroslow.authn.jwt.keys import KeySet
from macroslow.authz.scopes import KNOWN_CLIENT, is_client
from macroslow.crypto import base64url
from macroslow.crypto.jose import Algorithm, SigningKey
from macroslow.errors import BadRequestError
from macroslow.ports import NS_PER_S, Clock, Entropy

KID: Final = "development"
MAX_LIFETIME_S: Final = 24 * 60 * 60
_JTI_BYTES: Final = 16
_PURPOSE: Final = b"macroslow development issuer v1"  # with its spaces it is no key's id and secret


def development_key(pepper: bytes) -> SigningKey:
    """The key of the development issuer of the state folder with this pepper."""
    return SigningKey(hmac.digest(pepper, _PURPOSE, "sha256"))


def development_keys(key: SigningKey) -> KeySet:
    """What its tokens are checked with."""
    return KeySet({(KID, Algorithm.EDDSA): key.public})


@dataclass(frozen=True, slots=True)
class MintTokens:
    """Makes tokens for one development issuer."""

    key: SigningKey
    rules: IssuerRules
    clock: Clock
    entropy: Entropy

    def __call__(self, subject: str, scopes: Sequence[str], lifetime_s: int) -> str:
        """A token of `subject`, good for `lifetime_s` from now. BadRequestError for what makes no sense."""
        if not 1 <= lifetime_s <= MAX_LIFETIME_S:
            raise BadRequestError(f"a lifetime is 1 to {MAX_LIFETIME_S} s", fix="--lifetime 60m")
        if unknown := [each for each in scopes if not is_client(each)]:
            raise BadRequestError(f"no scope {min(unknown)!r}", fix=f"one of {KNOWN_CLIENT}")
        now_s = self.clock.now_ns() // NS_PER_S
        claims = {
            "iss": self.rules.issuer,
            "sub": subject,
            "aud": min(self.rules.audiences),
            "client_id": "macroslow-jwt-mint",
            "iat": now_s,
            "exp": now_s + lifetime_s,
            "jti": base64url.encode(self.entropy.random(_JTI_BYTES)),
            "scope": " ".join(sorted(scopes)),
        }
        return self.key.sign({"typ": "at+jwt", "kid": KID}, claims)
