"""Alerts on their way: repeated, bounded, and never in anybody's way."""

import asyncio
from contextlib import suppress

import pytest

from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.services.alerts.send_alerts import MAX_WAITING, PAUSES_S, Message, SendAlerts


class Given:
    """A receiver that answers as it is told: an error to raise, or None; then always None."""

    name = "receiver"

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.got: list[str] = []
        self.changed = asyncio.Event()

    async def post(self, message_id: str, body: bytes) -> None:
        self.got.append(message_id)
        self.changed.set()
        await asyncio.sleep(0)
        if self.answers and (error := self.answers.pop(0)):
            raise error

    async def until(self, count: int) -> None:
        while len(self.got) < count:
            self.changed.clear()
            await self.changed.wait()


class Zeros:
    def random(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)


class Running:
    """Delivery under way, whose pauses are counted and not waited for."""

    def __init__(self, *receivers: object) -> None:
        self.pauses: list[float] = []
        self.sender = SendAlerts(receivers, Zeros(), self.pause)  # type: ignore[arg-type]

    async def pause(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        await asyncio.sleep(0)

    async def __aenter__(self) -> "Running":
        self._task = asyncio.create_task(self.sender.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        for _ in range(10):  # what was answered is counted
            await asyncio.sleep(0)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


DOWN = UpstreamUnavailableError("down", upstream="r")
GONE = UpstreamRefusedError("gone", upstream="r", status=410)


def message(name: str) -> Message:
    return Message(name, b"{}")


async def test_every_receiver_gets_what_is_sent_in_order() -> None:
    one, two = Given(), Given()
    async with Running(one, two) as running:
        for name in "abc":
            running.sender.send(message(name))
        await one.until(3)
        await two.until(3)
    assert one.got == two.got == ["a", "b", "c"]
    assert (running.sender.delivered, running.sender.given_up) == (6, 0)


async def test_what_fails_is_repeated_under_the_same_id_after_growing_pauses() -> None:
    receiver = Given(DOWN, DOWN, None)
    async with Running(receiver) as running:
        running.sender.send(message("a"))
        await receiver.until(3)
    assert receiver.got == ["a", "a", "a"]
    assert running.pauses == [*PAUSES_S[:2]]
    assert running.sender.delivered == 1


async def test_after_the_last_pause_it_is_given_up_and_the_next_one_has_its_turn() -> None:
    receiver = Given(*[DOWN] * (len(PAUSES_S) + 1))
    async with Running(receiver) as running:
        running.sender.send(message("a"))
        running.sender.send(message("b"))
        await receiver.until(len(PAUSES_S) + 2)
    assert receiver.got == ["a"] * (len(PAUSES_S) + 1) + ["b"]
    assert (running.sender.delivered, running.sender.given_up) == (1, 1)


async def test_who_wants_no_more_gets_no_more() -> None:
    receiver, other = Given(GONE), Given()
    async with Running(receiver, other) as running:
        running.sender.send(message("a"))
        running.sender.send(message("b"))
        await other.until(2)
    running.sender.send(message("c"))
    assert receiver.got == ["a"]
    assert running.sender.given_up == 3


async def test_a_dead_receiver_keeps_a_bounded_number_of_the_newest() -> None:
    sender = SendAlerts([Given()], Zeros())
    for number in range(10_000):
        sender.send(message(str(number)))
    (line,) = sender._lines
    assert len(line._waiting) == MAX_WAITING
    assert line._waiting[-1].id == "9999"
    assert sender.given_up == 10_000 - MAX_WAITING


async def test_one_that_hangs_does_not_hold_up_another() -> None:
    class Hanging(Given):
        async def post(self, message_id: str, body: bytes) -> None:
            await asyncio.Event().wait()

    other = Given()
    async with Running(Hanging(), other) as running:
        running.sender.send(message("a"))
        await other.until(1)
    assert other.got == ["a"]


async def test_without_receivers_nothing_is_kept() -> None:
    sender = SendAlerts([], Zeros())
    sender.send(message("a"))
    assert (sender.delivered, sender.given_up) == (0, 0)
    await sender.run()


@pytest.mark.parametrize("byte", [0, 255])
async def test_a_pause_is_cut_by_up_to_a_half(byte: int) -> None:
    class Bytes(Zeros):
        def random(self, size_bytes: int) -> bytes:
            return bytes([byte]) * size_bytes

    receiver = Given(DOWN)
    running = Running(receiver)
    running.sender = SendAlerts([receiver], Bytes(), running.pause)  # type: ignore[list-item]
    async with running:
        running.sender.send(message("a"))
        await receiver.until(2)
    assert PAUSES_S[0] / 2 < running.pauses[0] <= PAUSES_S[0]
