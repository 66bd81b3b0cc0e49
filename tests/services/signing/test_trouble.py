"""A trouble is told when it begins and when it ends, and not more often than once a minute."""

import logging

import pytest
from tests.services.key_house import SetClock

from macroslow.ports import MINUTE_NS
from macroslow.services.signing.trouble import Trouble


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def trouble(clock: SetClock) -> Trouble:
    return Trouble(logging.getLogger("macroslow.log"), clock)


def test_it_is_told_once_and_its_end_once(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    assert [trouble.begins("down") for _ in range(3)] == [True, False, False]
    for _ in range(3):
        trouble.ends("up")
    assert caplog.messages == ["down", "up"]


def test_the_end_of_what_never_began_is_not_told(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    trouble.ends("up")
    assert caplog.messages == []


def test_what_flaps_is_told_once_a_minute(
    trouble: Trouble, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(120):  # two minutes, down and up again in each second
        trouble.begins("down")
        trouble.ends("up")
        clock.time_ns += MINUTE_NS // 60
    assert caplog.messages == ["down", "up"] * 2


def test_what_goes_on_is_not_told_again(
    trouble: Trouble, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    trouble.begins("down")
    clock.time_ns += 10 * MINUTE_NS
    assert not trouble.begins("still down")
    assert caplog.messages == ["down"]
