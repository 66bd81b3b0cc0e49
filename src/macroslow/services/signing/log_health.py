"""Whether the log can take new work: the reasons why not, each held by whoever found it.

New work is what would have to be logged: calls, runs, tools. Settling, revoking, erasing and reading go on
while a reason is held.
"""

import logging
from typing import Final

log: Final = logging.getLogger("macroslow.log")


class LogHealth:
    """One per process. Each reason has a name, so that whoever holds it can change or release it."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    def hold(self, name: str, reason: str) -> None:
        """Take no new work, and say why; told once where it is the same reason again."""
        if self._held.get(name) != reason:
            log.error("no new work is taken: %s", reason)
        self._held[name] = reason

    def release(self, name: str) -> None:
        """This reason is gone. Idempotent."""
        reason = self._held.pop(name, None)
        if reason is not None:
            log.warning("over: %s%s", reason, "" if self._held else "; new work is taken again")

    def reasons(self) -> list[str]:
        """Why new work is not taken; empty: it is."""
        return list(self._held.values())
