"""Somebody tries credentials: told once to the server's own log, to the metrics and to every webhook.

Where it comes from is told to the operator alone: an address is personal data, and the audit log keeps
none that it cannot erase.
"""

import logging
from typing import Final

from macroslow.ports import Clock, Entropy
from macroslow.services.alerts.send_alerts import Outlet, message_of

GUESSING: Final = "credentials.guessing"
_ID_BYTES: Final = 16
log: Final = logging.getLogger("macroslow.security")


class AlertGuessing:
    """Called with an address whose credentials fail too often; who calls sees to it that once is enough.

    `raised` counts the alerts by kind.
    """

    def __init__(self, outlet: Outlet, clock: Clock, entropy: Entropy, *, gateway: str) -> None:
        self.raised = {GUESSING: 0}
        self._outlet = outlet
        self._clock = clock
        self._entropy = entropy
        self._gateway = gateway

    def __call__(self, address: str) -> None:
        """Tell it."""
        log.warning("%s: too many bad credentials from %s", GUESSING, address)
        self.raised[GUESSING] += 1
        alert_id = self._entropy.random(_ID_BYTES).hex()
        facts = {"address": address}
        self._outlet.send(message_of(GUESSING, alert_id, self._gateway, facts, self._clock.now_ns()))
