"""A client key as a store keeps it: JSON, and its secret's keyed hash apart from it.

A member that is missing has its default, so that a key written before a term was thought of is read.
"""

import json
from dataclasses import asdict

from macroslow.authn.ports import KeyRecord
from macroslow.authn.terms import told, untold


def key_json(record: KeyRecord) -> str:
    """Everything about a key but `secret_hmac`; the keyed hash of its secret before is in hexadecimal."""
    members = asdict(record) | told(record) | {"old_secret_hmac": record.old_secret_hmac.hex()}
    del members["secret_hmac"]  # bytes: a column of its own
    return json.dumps(members)


def key_from_json(text: str, secret_hmac: bytes) -> KeyRecord:
    """The key that `key_json` wrote."""
    members = untold(json.loads(text))
    members["old_secret_hmac"] = bytes.fromhex(members.get("old_secret_hmac", ""))
    return KeyRecord(**members, secret_hmac=secret_hmac)
