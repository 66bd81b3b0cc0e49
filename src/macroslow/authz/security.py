"""Security events: one record for every refusal, and for everything the operator does.

Who, from where, what, how it was decided and why, under which request, when (UTC). Nothing in it is a
caller's free text: names are the operator's, reasons are codes of ours, routes are templates, so that an
event can go to the log, to a log collector and into counters as it is.
"""

import enum
from typing import Final

from macroslow.values import value


class Verdict(enum.StrEnum):
    """How it was decided."""

    ALLOWED = "allowed"
    REFUSED = "refused"


@value
class SecurityEvent:
    """One decision. Times are in ns since 1970 (UTC); "" and 0 stand for what is not known or not there."""

    time_ns: int
    verdict: Verdict
    reason: str  # an error's code or an authentication's `Refusal`
    method: str = ""
    route: str = ""  # the template of the route, or the operator's verb
    principal: str = ""
    key_id: str = ""
    address: str = ""  # of the caller, as the edge knows it
    request_id: str = ""
    client_request_id: str = ""
    status: int = 0
    step: str = ""
    target: str = ""  # what an act made, changed or ended: ids of keys, names of signers

    def fields(self) -> dict[str, object]:
        """What is known, by name; the time is left to whoever writes it."""
        known = {name: getattr(self, name) for name in _NAMES}
        return {name: found for name, found in known.items() if found not in ("", 0)}


_NAMES: Final = tuple(name for name in SecurityEvent.__slots__ if name != "time_ns")  # type: ignore[attr-defined]
