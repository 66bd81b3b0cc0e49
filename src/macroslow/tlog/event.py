"""Events: what the log records, in one canonical form.

An event is a flat or nested JSON object of a restricted profile: ASCII keys; strings, booleans,
null, integers below 2**53 in absolute value, lists and objects of these; no floats. Within it
`json.dumps(sort_keys=True, separators=(",", ":"), ensure_ascii=False)` equals RFC 8785.
"""

import enum
from collections.abc import Mapping

from macroslow.values import value


class EventType(enum.IntEnum):
    """The type that a leaf shows in clear (two bytes). Numbers are for ever; never reuse one."""

    LOG_STARTED = 1
    RUN_ACCEPTED = 10
    RUN_FINISHED = 11
    RUN_INTERRUPTED = 12
    CHAT_COMPLETED = 20
    CHAT_UNKNOWN = 21
    API_CALLED = 22
    REFUSED = 30
    REFUSALS_SUMMARY = 31
    KEY_CREATED = 40
    KEY_REVOKED = 41
    SIGNER_TRUSTED = 42
    SIGNER_REVOKED = 43
    KEY_CHANGED = 44
    KEY_ROTATED = 45
    JWT_REVOKED = 46
    SERVER_STARTED = 50
    SERVER_STOPPED = 51
    BUDGET_ALERT = 60


@value
class Event:
    """Something that happened. `subject` is whose personal data `fields` holds: their key seals it."""

    type: EventType
    time_ns: int
    subject: str
    fields: Mapping[str, object]
