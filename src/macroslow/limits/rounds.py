"""Changes to shared states, gathered in rounds: read all, decide all, write all that nobody else changed.

However many callers wait, a round costs two journeys to the store; several changes of one key are decided
one after the other and written once. A written state carries a stamp, the store's time of its change,
which grows with every change. A write counts only where the stamp is still the one that was read
(optimistic locking); whoever lost decides again in the next round, on the newer state.

Pure: the journeys are the caller's, and so are the answers to those who wait.

Source: compare-and-swap; Kung and Robinson, "On Optimistic Methods for Concurrency Control" (1981).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from macroslow.errors import OverloadedError
from macroslow.ports import DAY_NS

MAX_KEYS: Final = 500
"""Keys of one round."""

MAX_ROUNDS: Final = 100
"""Rounds in which a change may lose against other processes: somebody wins in each."""

LIFETIME_NS: Final = DAY_NS
"""How long a state that nobody changes is worth keeping."""

Decide = Callable[[bytes | None, int], tuple[bytes | None, Any]]
"""See `limits.ports.RateStore`."""


class Answer(Protocol):
    """What a caller waits on; a future does."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: BaseException, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A state as it is stored; `state` None: it was forgotten, or never was (then `stamp_ns` is 0)."""

    stamp_ns: int
    state: bytes | None


NOTHING: Final = Stored(0, None)


@dataclass(frozen=True, slots=True)
class Write:
    """Set `key` to `new` if its stamp is still `before_ns`."""

    key: str
    before_ns: int
    new: Stored


@dataclass(slots=True, eq=False)
class _Asked:
    decide: Decide
    answer: Answer
    rounds: int = 0
    result: Any = None


class Rounds:
    """The changes that wait. One round at a time: `begin`, `decide`, `end`, or `fail`."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[_Asked]] = {}
        self._round: dict[str, list[_Asked]] = {}

    @property
    def waiting(self) -> bool:
        """Whether a round has anything to do."""
        return bool(self._waiting)

    def ask(self, key: str, decide: Decide, answer: Answer) -> None:
        """Have `key` changed by a coming round."""
        self._waiting.setdefault(key, []).append(_Asked(decide, answer))

    def begin(self) -> Sequence[str]:
        """Begin a round; return the keys to read."""
        self._round = {key: self._waiting.pop(key) for key in [*self._waiting][:MAX_KEYS]}
        return [*self._round]

    def decide(self, found: Mapping[str, Stored], now_ns: int) -> Sequence[Write]:
        """Decide every change on what was `found` (a key that is missing has no state); what to write.

        A key whose state stays the same is not written: its callers are answered.
        """
        writes = []
        for key, asked in [*self._round.items()]:
            before = found.get(key, NOTHING)
            # Later than the last change, even where the store's clock was set back.
            stamp_ns = max(now_ns, before.stamp_ns + 1)
            state = before.state
            for change in asked:
                state = _decided(change, state, stamp_ns)
            if state == before.state:
                _tell(self._round.pop(key))
            else:
                writes.append(Write(key, before.stamp_ns, Stored(stamp_ns, state)))
        return writes

    def end(self, written: Sequence[str]) -> None:
        """The keys that were `written` are settled, the others wait for the next round."""
        for key in written:
            _tell(self._round.pop(key))
        for key, asked in self._round.items():
            lost = [change for change in asked if not _given_up(change)]
            if lost:
                self._waiting[key] = lost + self._waiting.get(key, [])
        self._round = {}

    def out_of_reach(self) -> None:
        """The store did not answer: tell everybody in the round, and nobody where the store is."""
        self.fail(OverloadedError("the shared limits cannot be reached"))

    def fail(self, error: Exception) -> None:
        """Nobody knows whether the round was written: tell everybody in it."""
        for asked in self._round.values():
            for change in asked:
                if not change.answer.done():
                    change.answer.set_exception(error)
        self._round = {}


def _decided(change: _Asked, state: bytes | None, now_ns: int) -> bytes | None:
    if change.answer.done():  # its caller left, or it raised in an earlier round
        return state
    try:
        state, change.result = change.decide(state, now_ns)
    except Exception as error:  # noqa: BLE001  the caller's own: it goes back to him
        change.answer.set_exception(error)
    return state


def _given_up(change: _Asked) -> bool:
    change.rounds += 1
    if change.rounds >= MAX_ROUNDS and not change.answer.done():
        change.answer.set_exception(
            OverloadedError("too many processes change the same limit at once", retry_after_s=1.0)
        )
    return change.answer.done()


def _tell(asked: Sequence[_Asked]) -> None:
    for change in asked:
        if not change.answer.done():
            change.answer.set_result(change.result)
