"""What everybody is told of a key that is none of theirs."""

from typing import Final

from macroslow.authn.api_keys import LEGACY_ID_PREFIX, id_of, is_credential
from macroslow.errors import NotFoundError

MAX_ID_CHARACTERS: Final = 24


def unknown_key(key_id: str) -> NotFoundError:
    """The error. What cannot be an id is not repeated: it may be a key."""
    if is_credential(key_id):
        own = id_of(key_id)
        told = "that is a key; its id is {}" if own else "that is a credential, and no key's id"
        if own.startswith(LEGACY_ID_PREFIX):
            told = "that is a key of others; its id is {} if it was imported"
        fix = f"macroslow keys show {own}" if own else "macroslow keys list"
        return NotFoundError(told.format(own), fix=fix, step="keys")
    named = repr(key_id) if len(key_id) <= MAX_ID_CHARACTERS and key_id.isalnum() else "of that id"
    return NotFoundError(f"no key {named}", fix="macroslow keys list", step="keys")
