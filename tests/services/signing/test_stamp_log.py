"""The log is dated now and then, whatever the authority does, and what it gives is kept with its note."""

from dataclasses import dataclass, field

import pytest
from tests.contract.fake_books import FakeBooks
from tests.tlog.logs import ORIGIN, octets
from tests.web.fakes import FakeClock

from macroslow.errors import LogUnavailableError, UpstreamUnavailableError, VerificationError
from macroslow.ports import HOUR_NS, NS_PER_S
from macroslow.services.signing.stamp_log import LOOK_EVERY_S, PAUSES_S, StampLog
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append

KEY = LogPrivateKey(ORIGIN, octets("ed25519", 32), octets("ml-dsa-44", 32))
DAY_S = 24 * 3600


@dataclass
class FakeAuthority:
    """Stamps with the time of the test's clock, unless it is down; `name` is what its stamps are of."""

    clock: FakeClock
    name: str = "tsa.example"
    down: bool = False
    stamped: list[bytes] = field(default_factory=list)

    async def stamp(self, message: bytes) -> bytes:
        if self.down:
            raise UpstreamUnavailableError(
                "tsa.example gave no time stamp", upstream="tsa.example", reason=""
            )
        self.stamped.append(message)
        return f"{self.name} {self.clock.ns // NS_PER_S}".encode()

    def dated(self, response: bytes, message: bytes) -> int:
        name, _, seconds = response.decode().partition(" ")
        if name != self.name or message not in self.stamped:
            raise VerificationError("another authority's")
        if int(seconds) > self.clock.ns // NS_PER_S + 300:
            raise VerificationError("from the future")
        return int(seconds)


@dataclass
class Scene:
    books: FakeBooks
    clock: FakeClock
    authority: FakeAuthority
    watch: StampLog

    async def entry(self) -> None:
        event = Event(EventType.SERVER_STARTED, self.clock.ns, "tests", {})
        await self.books.commit(Append(event))

    async def newest(self) -> bytes:
        head = await self.books.head()
        if not head.size:
            raise LogUnavailableError("the log is empty")
        return KEY.sign_checkpoint(head.size, head.root, time_s=1)


@pytest.fixture
def scene() -> Scene:
    books, clock = FakeBooks(), FakeClock()
    authority = FakeAuthority(clock)
    made = Scene(books, clock, authority, None)  # type: ignore[arg-type]
    made.watch = StampLog(books, made.newest, authority, clock, DAY_S)
    return made


async def test_what_is_stamped_is_kept_with_the_exact_note(scene: Scene) -> None:
    await scene.entry()
    assert await scene.watch.once() == LOOK_EVERY_S
    anchor = await scene.books.newest_anchor()
    assert anchor is not None
    assert (anchor.size, [anchor.note]) == (1, scene.authority.stamped)
    assert anchor.token.startswith(b"tsa.example ")


async def test_an_empty_log_is_not_stamped(scene: Scene) -> None:
    assert await scene.watch.once() == LOOK_EVERY_S
    assert scene.authority.stamped == []


async def test_it_is_stamped_again_when_it_is_due_and_something_was_logged_since(scene: Scene) -> None:
    await scene.entry()
    await scene.watch.once()
    await scene.entry()
    scene.clock.pass_s(DAY_S - 1)
    await scene.watch.once()
    assert len(scene.authority.stamped) == 1
    scene.clock.pass_s(1)
    await scene.watch.once()
    assert len(scene.authority.stamped) == 2
    scene.clock.pass_s(10 * DAY_S)
    await scene.watch.once()
    assert len(scene.authority.stamped) == 2  # nothing new


async def test_another_process_that_starts_later_keeps_to_the_same_day(scene: Scene) -> None:
    await scene.entry()
    await scene.watch.once()
    await scene.entry()
    later = StampLog(scene.books, scene.newest, scene.authority, scene.clock, DAY_S)
    await later.once()
    assert len(scene.authority.stamped) == 1


async def test_with_another_authority_it_is_stamped_anew_once(scene: Scene) -> None:
    await scene.entry()
    await scene.watch.once()
    scene.authority.name = "other.example"
    await scene.watch.once()
    assert len(scene.authority.stamped) == 1  # what is there is there, until there is more
    await scene.entry()
    for _ in range(3):
        await scene.watch.once()
    assert len(scene.authority.stamped) == 2


async def test_an_authority_that_is_down_is_told_once_and_asked_with_growing_pauses(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.entry()
    scene.authority.down = True
    waited = [await scene.watch.once() for _ in range(6)]
    assert waited == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]
    assert [record.message for record in caplog.records] == [
        "the log is not time-stamped: tsa.example gave no time stamp; it is tried again"
    ]
    scene.authority.down = False
    assert await scene.watch.once() == LOOK_EVERY_S
    assert caplog.records[-1].message == "over: the log is time-stamped again"
    assert await scene.books.newest_anchor() is not None


async def test_books_that_cannot_be_written_are_tried_again(scene: Scene) -> None:
    await scene.entry()
    scene.books.fail_next_commit = True
    assert await scene.watch.once() == PAUSES_S[0]
    assert await scene.watch.once() == LOOK_EVERY_S
    assert await scene.books.newest_anchor() is not None


async def test_a_clock_that_jumps_back_does_no_harm(scene: Scene) -> None:
    await scene.entry()
    await scene.watch.once()
    await scene.entry()
    scene.clock.ns -= 100 * HOUR_NS
    for _ in range(3):
        await scene.watch.once()
    assert len(scene.authority.stamped) == 2  # the first one is from the future now


async def test_an_anchor_from_the_future_stops_nothing(scene: Scene) -> None:
    await scene.entry()
    scene.clock.pass_s(20 * 365 * DAY_S)
    await scene.watch.once()
    scene.clock.pass_s(-20 * 365 * DAY_S)
    await scene.entry()
    await scene.watch.once()
    anchor = await scene.books.newest_anchor()
    assert anchor is not None
    assert scene.authority.dated(anchor.token, anchor.note) == scene.clock.ns // NS_PER_S


async def test_it_goes_on_until_it_is_cancelled(scene: Scene) -> None:
    slept: list[float] = []

    class EnoughError(Exception):
        pass

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise EnoughError
        await scene.entry()
        scene.clock.pass_s(DAY_S)

    scene.watch.sleep = sleep
    await scene.entry()
    with pytest.raises(EnoughError):
        await scene.watch.run()
    assert len(scene.authority.stamped) == 3
