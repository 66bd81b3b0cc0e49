"""Reasons why no new work is taken: each is told when it comes, when it changes and when it is gone."""

import pytest

from macroslow.services.signing.log_health import LogHealth


def test_a_reason_that_stays_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    health = LogHealth()
    for reason in ("full", "full", "fuller", "fuller"):
        health.hold("disk", reason)
    health.hold("witnesses", "none answered")
    assert health.reasons() == ["fuller", "none answered"]
    for name in ("disk", "disk", "witnesses"):
        health.release(name)
    assert health.reasons() == []
    assert caplog.messages == [
        "no new work is taken: full",
        "no new work is taken: fuller",
        "no new work is taken: none answered",
        "over: fuller",
        "over: none answered; new work is taken again",
    ]
