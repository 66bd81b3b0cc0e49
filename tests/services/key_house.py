"""What the tests of keys share: books in memory, a clock that is set by hand, a pepper."""

import json
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TypeVar

from tests.contract.fake_books import FakeBooks

from macroslow.adapters.system import SystemEntropy
from macroslow.authn.keyring import KeyRing
from macroslow.services.identity.authenticate import Authenticate
from macroslow.services.identity.manage_keys import ManageKeys

T = TypeVar("T")
PEPPER = bytes(range(32))
START_NS = 1_700_000_000 * 10**9


def at_once(answer: Coroutine[object, None, T]) -> T:
    """What a coroutine returns that waits for nothing: with a key, authentication does not."""
    try:
        answer.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("it waited")


@dataclass
class SetClock:
    """`ran_ns` is how much more than the clock says the monotonic one counted."""

    time_ns: int = START_NS
    ran_ns: int = 0

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic_ns(self) -> int:
        return self.time_ns + self.ran_ns


class KeyHouse:
    """Keys and those who read them, over one store."""

    def __init__(self) -> None:
        self.books = FakeBooks()
        self.clock = SetClock()
        self.keyring = KeyRing()
        self.keys = ManageKeys(self.books, self.keyring, PEPPER, self.clock, SystemEntropy())
        self.authenticate = Authenticate(self.keyring, PEPPER, self.clock)

    async def restarted(self) -> "KeyHouse":
        """Another process on the same books."""
        other = KeyHouse()
        other.books, other.clock = self.books, self.clock
        other.keys = ManageKeys(self.books, other.keyring, PEPPER, self.clock, SystemEntropy())
        other.authenticate = Authenticate(other.keyring, PEPPER, self.clock)
        await other.keys.load()
        return other

    async def logged(self) -> list[tuple[int, str, dict[str, object]]]:
        """Type, subject and fields of every entry."""
        entries = await self.books.entries(0, 1000)
        return [(one.type, one.subject, json.loads(one.event or b"{}")["fields"]) for one in entries]
