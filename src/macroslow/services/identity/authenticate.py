"""Who shows these credentials: a client key, a token or both become a principal, or nobody.

Where two keys are shown both must be the same valid key. Where issuers are configured a JSON Web Token
may come as the bearer; a key beside it must be valid too, and what both may is left. Keys of another gateway
(`sk-…`) are looked at only where some were imported. All bad credentials look alike from outside; `reason`
tells them apart in the log.

Cost: a few microseconds, and less for a key that was let in before (`RecallKeys`). The keyed hash is
computed for unknown ids too, so that time does not tell which ids exist.
"""

import hmac
from dataclasses import field, replace
from typing import Final

from macroslow.authn.addresses import is_from
from macroslow.authn.api_keys import (
    KEY_PREFIX,
    LegacyKey,
    ParsedKey,
    SecretHasher,
    has_overlap,
    is_in_force,
    parse,
    parse_legacy,
)
from macroslow.authn.jwt.token import looks_like_one
from macroslow.authn.keyring import HeldKey, KeyRing
from macroslow.authn.own_key import OwnKey
from macroslow.authn.principal import Principal, TokenPrincipal, together
from macroslow.authn.refusal import Refusal, bad_credential, no_credential
from macroslow.ports import Clock
from macroslow.services.identity.recall_keys import RecallKeys
from macroslow.services.identity.verify_tokens import VerifyTokens
from macroslow.values import value

_NOBODY: Final = bytes(32)


@value
class Credentials:
    """What one request shows, unexamined: each None where it is not there, and b"" where it is empty.

    `address` is the peer's; "" if it has none, and then it is in no network.
    """

    api_key: bytes | None = field(default=None, repr=False)
    bearer: bytes | None = field(default=None, repr=False)
    address: str = ""


class Authenticate:
    """Reads the key ring, and waits for nothing; what a token has to wait for, `VerifyTokens` says."""

    def __init__(
        self,
        keyring: KeyRing,
        pepper: bytes,
        clock: Clock,
        tokens: VerifyTokens | None = None,
        own_keys_for: str | None = None,
    ) -> None:
        """`own_keys_for` is the provider whose keys callers may bring beside a token; None: no one's."""
        self.keyring = keyring
        self._own_keys_for = own_keys_for
        self.tokens = tokens
        self._hasher = SecretHasher(pepper)
        self._recall = RecallKeys(keyring, pepper)
        self._clock = clock

    async def __call__(self, shown: Credentials) -> Principal:
        """Return who shows these. Raises CredentialError, whose `reason` says more to the log."""
        api_key, bearer, address = shown.api_key, shown.bearer, shown.address
        if self.tokens is None or bearer is None or not looks_like_one(bearer):
            return self._let_in(_the_one(api_key, bearer), address)
        token = await self.tokens(bearer)
        if api_key is None:
            return token
        own_key = self._own_key(api_key)
        if own_key is not None:
            return replace(token, own_key=own_key)
        return together(self._let_in(api_key, address), token)

    def _own_key(self, credential: bytes) -> OwnKey | None:
        """The caller's own key with a provider; None where the credential is, or looks like, one of ours.

        A key of another gateway that was taken over, even if it has ended since, is one of ours. So is a
        token of an issuer of ours, which an SDK that has one credential may send in both headers.
        """
        if self._own_keys_for is None or KEY_PREFIX.encode() in credential.lower():
            return None
        if self.tokens is not None and self.tokens.is_ours(credential):
            return None
        parsed = self._parsed(credential)
        if parsed is not None and self.keyring.get(parsed.id) is not None:
            return None
        return OwnKey.read(credential, self._own_keys_for)

    def _let_in(self, credential: bytes, address: str) -> Principal:
        now_ns = self._clock.now_ns()
        held = self._recall(credential)
        if (
            held is not None
            and self.keyring.in_force(held.record, now_ns)
            and is_from(held.principal.addresses, address)
        ):
            principal = self.keyring.with_makers(held.principal, held.record)
        else:  # whatever is refused has cost the same work, known again or not
            principal = self.by_key(credential)
            if not is_from(principal.addresses, address):
                raise bad_credential(Refusal.ADDRESS, principal=principal.name, key_id=principal.key_id)
            self._recall.remember(credential, principal)
        self.keyring.used_ns[principal.key_id] = now_ns
        return principal

    def admits(self, principal: Principal) -> bool:
        """Whether a caller who was let in would be let in now: nothing that he showed has ended since.

        What began under a token that is over in the meantime goes on: tokens last for minutes.
        """
        return all(self._still_admits(each) for each in principal.credentials())

    def _still_admits(self, credential: Principal) -> bool:
        if isinstance(credential, TokenPrincipal):
            return self.tokens is not None and self.tokens.admits(credential)
        now_ns = self._clock.now_ns()
        if credential.key_id:
            return self.keyring.admits(credential, now_ns)
        return credential.expires_ns is None or now_ns < credential.expires_ns

    def by_key(self, credential: bytes) -> Principal:
        """Who shows this key, wherever from. CredentialError as for a request; it does not count as used."""
        parsed = self._parsed(credential)
        if parsed is None:
            raise bad_credential(
                Refusal.MALFORMED if credential.startswith(KEY_PREFIX.encode()) else Refusal.OTHER_KIND
            )
        held = self.keyring.get(parsed.id)
        principal = _shown(held, self._hasher(parsed))
        if held is None:
            raise bad_credential(Refusal.UNKNOWN)
        if principal is None:
            raise bad_credential(Refusal.WRONG_SECRET, key_id=parsed.id)
        if ended := self._ended(held, principal):
            raise bad_credential(ended, principal=principal.name, key_id=parsed.id)
        return self.keyring.with_makers(principal, held.record)

    def _ended(self, held: HeldKey, principal: Principal) -> Refusal | None:
        """Why a key of which a secret was shown lets nobody in any more; None: it does."""
        now_ns = self._clock.now_ns()
        if not is_in_force(held.record, now_ns):
            return Refusal.EXPIRED if held.record.revoked_ns is None else Refusal.REVOKED
        if not self.keyring.in_force(held.record, now_ns):
            return Refusal.MAKER
        if principal is held.old and not has_overlap(held.record, now_ns):
            return Refusal.ROTATED
        return None

    def _parsed(self, credential: bytes) -> ParsedKey | LegacyKey | None:
        if self.keyring.has_legacy and (legacy := parse_legacy(credential)):
            return legacy
        return parse(credential.decode("latin-1"))


def _shown(held: HeldKey | None, keyed_hash: bytes) -> Principal | None:
    """Who shows the secret with this hash; None if it is neither of the key's.

    Not `==`: the time of the comparison would tell how much of the hash fits.
    """
    if hmac.compare_digest(keyed_hash, held.record.secret_hmac if held else _NOBODY):
        return held.principal if held else None
    if held and held.old and hmac.compare_digest(keyed_hash, held.record.old_secret_hmac):
        return held.old
    return None


def _the_one(api_key: bytes | None, bearer: bytes | None) -> bytes:
    if api_key is None and bearer is None:
        raise no_credential()
    if api_key is None or bearer is None:
        return api_key or bearer or b""
    if not hmac.compare_digest(api_key, bearer):
        raise bad_credential(Refusal.AMBIGUOUS)
    return api_key
