"""Rounds of optimistic changes against a store in memory that others change too."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.errors import OverloadedError
from macroslow.limits.rounds import MAX_KEYS, MAX_ROUNDS, Rounds, Stored, Write


class Answer:
    """What a future is to a round."""

    def __init__(self) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._done = False

    def done(self) -> bool:
        return self._done

    def leave(self) -> None:
        self._done = True

    def set_result(self, result: Any) -> None:
        assert not self._done
        self.result, self._done = result, True

    def set_exception(self, exception: BaseException) -> None:
        assert not self._done
        self.error, self._done = exception, True


class Store:
    def __init__(self) -> None:
        self.states: dict[str, Stored] = {}

    def write(self, writes: Sequence[Write]) -> list[str]:
        written = []
        for write in writes:
            if self.states.get(write.key, Stored(0, None)).stamp_ns == write.before_ns:
                self.states[write.key] = write.new
                written.append(write.key)
        return written


def count(state: bytes | None, now_ns: int) -> tuple[bytes, int]:
    number = int.from_bytes(state or b"", "big") + 1
    return number.to_bytes(8, "big"), number


def one_round(rounds: Rounds, store: Store, now_ns: int = 1_000) -> None:
    keys = rounds.begin()
    found = {key: store.states[key] for key in keys if key in store.states}
    rounds.end(store.write(rounds.decide(found, now_ns)))


def test_changes_of_one_key_are_decided_in_order_and_written_once() -> None:
    rounds, store, answers = Rounds(), Store(), [Answer() for _ in range(5)]
    for answer in answers:
        rounds.ask("k", count, answer)
    assert rounds.begin() == ["k"]
    (write,) = rounds.decide({}, 7)
    assert write == Write("k", 0, Stored(7, (5).to_bytes(8, "big")))
    rounds.end(store.write([write]))
    assert [answer.result for answer in answers] == [1, 2, 3, 4, 5]
    assert not rounds.waiting


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.sampled_from(["ask", "read", "write"])),
        max_size=60,
    ),
    st.lists(st.integers(-50, 50), max_size=60),
)
def test_no_change_of_three_processes_is_lost_however_their_rounds_interleave(
    moves: list[tuple[int, str, str]], steps_ns: list[int]
) -> None:
    store, processes = Store(), [Rounds() for _ in range(3)]
    answers: dict[str, list[Answer]] = {"a": [], "b": [], "c": []}
    read: dict[int, dict[str, Stored]] = {}
    now_ns = 1_000
    for at, (number, key, move) in enumerate(moves):
        now_ns += steps_ns[at] if at < len(steps_ns) else 1  # the store's clock may be set back
        rounds = processes[number]
        if move == "ask":
            answers[key].append(Answer())
            rounds.ask(key, count, answers[key][-1])
        elif move == "read" and number not in read:
            read[number] = {each: store.states[each] for each in rounds.begin() if each in store.states}
        elif move == "write" and number in read:
            rounds.end(store.write(rounds.decide(read.pop(number), now_ns)))
    for number, found in read.items():
        processes[number].end(store.write(processes[number].decide(found, now_ns)))
    while any(rounds.waiting for rounds in processes):
        for rounds in processes:
            one_round(rounds, store, now_ns)
    for each in answers.values():
        assert sorted(answer.result for answer in each) == list(range(1, len(each) + 1))


def test_stamps_grow_though_the_clock_is_set_back() -> None:
    rounds, store = Rounds(), Store()
    stamps = []
    for now_ns in (500, 100, 100, 900):
        rounds.ask("k", lambda state, at_ns: (b"%d" % at_ns, at_ns), Answer())
        one_round(rounds, store, now_ns)
        stamps.append(store.states["k"].stamp_ns)
        assert store.states["k"].state == b"%d" % stamps[-1]
    assert stamps == [500, 501, 502, 900]


def test_a_state_that_stays_the_same_is_not_written() -> None:
    rounds, answer = Rounds(), Answer()
    rounds.ask("k", lambda state, _: (state, "seen"), answer)
    rounds.begin()
    assert rounds.decide({"k": Stored(5, b"x")}, 9) == []
    assert answer.result == "seen"
    rounds.end([])
    assert not rounds.waiting


def test_what_one_raises_is_his_alone_and_who_left_changes_nothing() -> None:
    rounds, store = Rounds(), Store()
    raising, gone, counting = Answer(), Answer(), Answer()
    rounds.ask("k", lambda *_: 1 / 0, raising)  # type: ignore[arg-type,return-value]
    rounds.ask("k", count, gone)
    rounds.ask("k", count, counting)
    gone.leave()
    one_round(rounds, store)
    assert isinstance(raising.error, ZeroDivisionError)
    assert counting.result == 1


def test_who_always_loses_is_told_in_the_end() -> None:
    rounds, answer = Rounds(), Answer()
    rounds.ask("k", count, answer)
    for at in range(MAX_ROUNDS):
        assert not answer.done()
        rounds.begin()
        rounds.decide({}, at + 1)
        rounds.end([])
    assert isinstance(answer.error, OverloadedError)
    assert not rounds.waiting


def test_a_failed_round_tells_everybody_in_it_and_nobody_else() -> None:
    rounds, inside, later = Rounds(), Answer(), Answer()
    rounds.ask("k", count, inside)
    rounds.begin()
    rounds.ask("k", count, later)
    error = OverloadedError("away")
    rounds.fail(error)
    assert inside.error is error
    assert not later.done()
    assert rounds.begin() == ["k"]


def test_a_round_is_bounded_and_the_rest_comes_next() -> None:
    rounds, store = Rounds(), Store()
    answers = [Answer() for _ in range(MAX_KEYS + 3)]
    for at, answer in enumerate(answers):
        rounds.ask(f"k{at}", count, answer)
    assert len(rounds.begin()) == MAX_KEYS
    rounds.end(store.write(rounds.decide({}, 1)))
    assert rounds.waiting
    assert len(rounds.begin()) == 3


@pytest.mark.parametrize("state", [b"", b"x"])
def test_forgetting_is_written_and_remembers_its_stamp(state: bytes) -> None:
    rounds, store = Rounds(), Store()
    store.states["k"] = Stored(7, state)
    rounds.ask("k", lambda *_: (None, None), Answer())
    one_round(rounds, store, 3)
    assert store.states["k"] == Stored(8, None)
