"""A client key as a store keeps it: JSON, and its secret's keyed hash apart from it.

A member that is missing has its default, so that a key written before a term was thought of is read.
"""

import json
from dataclasses import asdict

from macroslow.authn.ports import KeyRecord
from macroslow.authn.terms import told, untold


def key_json(record: KeyRecord) -> str:
    """Everything about a key but `secret_hmac`."""
    members = asdict(record) | told(record)
    del members["secret_hmac"]  # bytes: a column of its own
    return json.dumps(members)


def key_from_json(text: str, secret_hmac: bytes) -> KeyRecord:
    """The key that `key_json` wrote."""
    return KeyRecord(**untold(json.loads(text)), secret_hmac=secret_hmac)
