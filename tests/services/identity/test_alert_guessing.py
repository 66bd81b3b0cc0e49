"""Guessing is told to the log, the metrics and every webhook."""

import json
import logging

import pytest
from tests.services.key_house import SetClock

from macroslow.adapters.system import SystemEntropy
from macroslow.services.alerts.send_alerts import Message
from macroslow.services.identity.alert_guessing import GUESSING, AlertGuessing


class Outlet:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)


def test_guessing_is_told_everywhere(caplog: pytest.LogCaptureFixture) -> None:
    outlet = Outlet()
    tell = AlertGuessing(outlet, SetClock(), SystemEntropy(), gateway="local")
    with caplog.at_level(logging.WARNING, "macroslow.security"):
        tell("192.0.2.7")
    tell("192.0.2.8")
    assert tell.raised == {GUESSING: 2}
    assert "192.0.2.7" in caplog.text
    told = [json.loads(message.body) for message in outlet.sent]
    assert told[0]["type"] == GUESSING
    assert told[0]["data"] == {"gateway": "local", "address": "192.0.2.7"}
    assert len({message.id for message in outlet.sent}) == 2
