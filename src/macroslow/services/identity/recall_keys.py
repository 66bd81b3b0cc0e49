"""A client key that was let in before is known again by one hash of its text, and is not taken apart anew.

What is kept of a text is its SHA-256, begun with a secret of this gateway's, and it is kept beside the key in
the key ring: so there is one a key, of its newest secret, and any change of the key, whoever makes it, is the
end of it. Only a text that was examined in full and let in is kept; bad ones leave nothing behind. Texts of
administrators are not kept: where clients are served those are refused, after the work of any bad key.

This says whose text it is and no more. Whether the key lets anybody in now is asked at every request.

Each text as long as a key costs one hash and one comparison here, so that time does not tell which ids exist.
"""

import hashlib
import hmac
from typing import Final

from macroslow.authn.api_keys import ID_LENGTH, KEY_LENGTH, KEY_PREFIX
from macroslow.authn.keyring import NO_TEXT, HeldKey, KeyRing
from macroslow.authn.principal import Principal
from macroslow.authz.scopes import administrates

_ID: Final = slice(len(KEY_PREFIX), len(KEY_PREFIX) + ID_LENGTH)


class RecallKeys:
    """The texts of one key ring's keys. The secret that hashes begin with is made from `pepper`."""

    def __init__(self, keyring: KeyRing, pepper: bytes) -> None:
        self._keyring = keyring
        self._begun = hashlib.sha256(hmac.digest(pepper, b"texts of keys", "sha256"))

    def __call__(self, credential: bytes) -> HeldKey | None:
        """The key of which this is the text, in force or not; None: it is not known, good or bad."""
        if len(credential) != KEY_LENGTH:
            return None
        held = self._keyring.get(credential[_ID].decode("latin-1"))
        # Not `==`: the time of the comparison would tell how much of the hash fits.
        same = hmac.compare_digest(self._hash(credential), NO_TEXT if held is None else held.text_hash)
        return held if same else None

    def remember(self, credential: bytes, principal: Principal) -> None:
        """Know this text again, by which `principal` was let in just now."""
        held = self._keyring.get(principal.key_id)
        if held is None or held.record.legacy or administrates(principal.scopes):
            return
        if principal.generation == held.record.generation:
            held.text_hash = self._hash(credential)

    def _hash(self, credential: bytes) -> bytes:
        hashed = self._begun.copy()
        hashed.update(credential)
        return hashed.digest()
