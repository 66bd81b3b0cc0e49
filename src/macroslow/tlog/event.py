"""Events: what the log records, in one canonical form.

An event is a flat or nested JSON object of a restricted profile: ASCII keys; strings, booleans,
null, integers below 2**53 in absolute value, lists and objects of these; no floats. Within it
`json.dumps(sort_keys=True, separators=(",", ":"), ensure_ascii=False)` equals RFC 8785.
"""

import enum
from collections.abc import Mapping
from typing import Final

from macroslow.values import value


class EventType(enum.IntEnum):
    """The type that a leaf shows in clear (two bytes). Numbers are for ever; never reuse one."""

    LOG_STARTED = 1
    LOG_FORKED = 2
    LOG_KEY_ROTATED = 3
    SUBJECT_ERASED = 4
    RUN_ACCEPTED = 10
    RUN_FINISHED = 11
    RUN_INTERRUPTED = 12
    CHAT_COMPLETED = 20
    CHAT_UNKNOWN = 21
    API_CALLED = 22
    MCP_CALLED = 23
    IMAGES_CALLED = 24
    MCP_FORWARDED = 25
    REFUSED = 30
    REFUSALS_SUMMARY = 31
    KEY_CREATED = 40
    KEY_REVOKED = 41
    SIGNER_TRUSTED = 42
    SIGNER_REVOKED = 43
    KEY_CHANGED = 44
    KEY_ROTATED = 45
    JWT_REVOKED = 46
    MCP_PINS_APPROVED = 47
    SERVER_STARTED = 50
    SERVER_STOPPED = 51
    BUDGET_ALERT = 60
    MCP_BLOCKED = 61


def name_of(number: int) -> str:
    """The name of an event's type, as entries about others have it: key-created. For ever, as numbers are."""
    return EventType(number).name.lower().replace("_", "-")


class EventClass(enum.IntEnum):
    """What kind of record an event is: how long it is held, and under which of its subject's keys it lies."""

    ACTIVITY = 0
    SECURITY = 1
    ADMINISTRATION = 2


CLASSES: Final[Mapping[EventType, EventClass]] = {
    EventType.LOG_STARTED: EventClass.ADMINISTRATION,
    EventType.LOG_FORKED: EventClass.ADMINISTRATION,
    EventType.LOG_KEY_ROTATED: EventClass.ADMINISTRATION,
    EventType.SUBJECT_ERASED: EventClass.ADMINISTRATION,
    EventType.RUN_ACCEPTED: EventClass.ACTIVITY,
    EventType.RUN_FINISHED: EventClass.ACTIVITY,
    EventType.RUN_INTERRUPTED: EventClass.ACTIVITY,
    EventType.CHAT_COMPLETED: EventClass.ACTIVITY,
    EventType.CHAT_UNKNOWN: EventClass.ACTIVITY,
    EventType.API_CALLED: EventClass.ACTIVITY,
    EventType.MCP_CALLED: EventClass.ACTIVITY,
    EventType.IMAGES_CALLED: EventClass.ACTIVITY,
    EventType.MCP_FORWARDED: EventClass.ACTIVITY,
    EventType.REFUSED: EventClass.SECURITY,
    EventType.REFUSALS_SUMMARY: EventClass.SECURITY,
    EventType.KEY_CREATED: EventClass.ADMINISTRATION,
    EventType.KEY_REVOKED: EventClass.ADMINISTRATION,
    EventType.SIGNER_TRUSTED: EventClass.ADMINISTRATION,
    EventType.SIGNER_REVOKED: EventClass.ADMINISTRATION,
    EventType.KEY_CHANGED: EventClass.ADMINISTRATION,
    EventType.KEY_ROTATED: EventClass.ADMINISTRATION,
    EventType.JWT_REVOKED: EventClass.SECURITY,
    EventType.MCP_PINS_APPROVED: EventClass.ADMINISTRATION,
    EventType.SERVER_STARTED: EventClass.ADMINISTRATION,
    EventType.SERVER_STOPPED: EventClass.ADMINISTRATION,
    EventType.BUDGET_ALERT: EventClass.ACTIVITY,
    EventType.MCP_BLOCKED: EventClass.ADMINISTRATION,
}
"""Of every type: numbers and classes of a written log never change."""


@value
class PersonFields:
    """What a shared event says about one more person, who is `subject`."""

    subject: str
    fields: Mapping[str, object]


@value
class Event:
    """Something that happened. `subject` is whose personal data `fields` holds: their key seals it.

    `others` is what it says about further persons, sealed by the key of each.
    """

    type: EventType
    time_ns: int
    subject: str
    fields: Mapping[str, object]
    others: tuple[PersonFields, ...] = ()
