"""What every rate store must do. Subclass `RateStoreContract` and give it a `stores` fixture:

two `RateStore`s, as two processes would hold them, on one fresh store with one clock.
"""

import asyncio
import re
import struct
from collections.abc import Callable

import pytest

from macroslow.errors import OverloadedError
from macroslow.limits.ports import RateStore

SECOND_NS = 10**9
STATE = struct.Struct(">qq")  # units taken, and when the window began
Decide = Callable[[bytes | None, int], tuple[bytes | None, bool]]


def add_one(state: bytes | None, now_ns: int) -> tuple[bytes, int]:
    count = int.from_bytes(state, "big") + 1 if state is not None else 1
    return count.to_bytes(8, "big"), count


def take(limit: int, units: int, window_ns: int = 3600 * SECOND_NS) -> Decide:
    """Take `units` from `limit` in a fixed window, or nothing."""

    def decide(state: bytes | None, now_ns: int) -> tuple[bytes | None, bool]:
        taken, since_ns = STATE.unpack(state) if state is not None else (0, now_ns)
        if now_ns - since_ns >= window_ns:
            taken, since_ns = 0, now_ns
        if taken + units > limit:
            return state, False
        return STATE.pack(taken + units, since_ns), True

    return decide


def read(state: bytes | None, now_ns: int) -> tuple[bytes | None, bytes | None]:
    return state, state


def clock(state: bytes | None, now_ns: int) -> tuple[bytes | None, int]:
    return state, now_ns


class RateStoreContract:
    async def test_a_key_never_seen_has_no_state_and_what_is_written_is_read(
        self, stores: tuple[RateStore, RateStore]
    ) -> None:
        one, other = stores
        assert await one.change("k", read) is None
        for state in (b"", b"\x00", bytes(range(256)), b"x" * 65_536):
            assert await one.change("k", lambda _, __, new=state: (new, "done")) == "done"
            assert await one.change("k", read) == state
            assert await other.change("k", read) == state

    async def test_none_forgets(self, stores: tuple[RateStore, RateStore]) -> None:
        one, other = stores
        await one.change("k", lambda *_: (b"state", None))
        await other.change("k", lambda *_: (None, None))
        assert await one.change("k", read) is None
        await one.change("k", lambda *_: (None, None))  # also where there is nothing
        assert await other.change("k", read) is None

    @pytest.mark.parametrize(
        "pair",
        [("a", "b"), ("a", "A"), ("a", "a "), ("k" * 500, "k" * 499), ("ä/%_'\"\\;--", "a/%_'\"\\;--")],
    )
    async def test_keys_do_not_touch_each_other(
        self, stores: tuple[RateStore, RateStore], pair: tuple[str, str]
    ) -> None:
        first, second = pair
        await stores[0].change(first, lambda *_: (b"first", None))
        assert await stores[1].change(second, read) is None
        await stores[1].change(second, lambda *_: (b"second", None))
        assert await stores[0].change(first, read) == b"first"

    async def test_no_change_is_lost(self, stores: tuple[RateStore, RateStore]) -> None:
        """Read, decide, write is one step for everybody, within a process and between two."""
        counts = await asyncio.gather(*(stores[at % 2].change("k", add_one) for at in range(200)))
        assert sorted(counts) == list(range(1, 201))
        assert await stores[0].change("k", read) == (200).to_bytes(8, "big")

    async def test_two_processes_on_one_store_never_exceed_a_limit(
        self, stores: tuple[RateStore, RateStore]
    ) -> None:
        units = [1 + at % 7 for at in range(120)]
        taken = await asyncio.gather(
            *(stores[at % 2].change("k", take(200, count)) for at, count in enumerate(units))
        )
        total = sum(count for count, ok in zip(units, taken, strict=True) if ok)
        assert 200 - 7 < total <= 200
        state = await stores[0].change("k", read)
        assert state is not None
        assert STATE.unpack(state)[0] == total

    async def test_the_result_is_that_of_the_call_whose_state_was_written(
        self, stores: tuple[RateStore, RateStore]
    ) -> None:
        async def note(store: RateStore) -> int:
            seen: list[int] = []

            def decide(state: bytes | None, now_ns: int) -> tuple[bytes, int]:
                new, count = add_one(state, now_ns)
                seen.append(count)
                return new, count

            result = await store.change("k", decide)
            assert result == seen[-1]
            return result

        results = await asyncio.gather(*(note(stores[at % 2]) for at in range(60)))
        assert sorted(results) == list(range(1, 61))

    async def test_what_decide_raises_comes_out_and_nothing_was_written(
        self, stores: tuple[RateStore, RateStore]
    ) -> None:
        await stores[0].change("k", lambda *_: (b"before", None))

        def refuse(state: bytes | None, now_ns: int) -> tuple[bytes | None, None]:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await stores[0].change("k", refuse)
        assert await stores[1].change("k", read) == b"before"
        assert await stores[0].change("k", lambda *_: (b"after", True))  # and it still serves

    async def test_the_clock_is_one_for_all_and_never_runs_backwards(
        self, stores: tuple[RateStore, RateStore]
    ) -> None:
        def stamp(state: bytes | None, now_ns: int) -> tuple[bytes, int]:
            before_ns = int.from_bytes(state, "big") if state else 0
            return now_ns.to_bytes(8, "big"), now_ns - before_ns

        written = [await stores[at % 2].change("k", stamp) for at in range(60)]
        assert written[0] > 1_600_000_000 * SECOND_NS  # since 1970
        assert min(written[1:]) >= 0
        first, second = await stores[0].change("k", clock), await stores[1].change("k", clock)
        assert 0 <= second - first < 60 * SECOND_NS

    async def test_a_change_that_is_cancelled_happens_whole_or_not_at_all(
        self, stores: tuple[RateStore, RateStore]
    ) -> None:
        for turns in range(12):
            await stores[0].change("k", lambda *_: (b"before", None))
            task = asyncio.ensure_future(stores[0].change("k", lambda *_: (b"after", None)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert await stores[1].change("k", read) in {b"before", b"after"}
            assert await stores[0].change("k", lambda *_: (b"next", True))  # and it still serves

    async def test_many_keys_at_once_do_not_wait_for_each_other(
        self, stores: tuple[RateStore, RateStore]
    ) -> None:
        calls = [stores[at % 2].change(f"k{at % 40}", add_one) for at in range(200)]
        counts = await asyncio.gather(*calls)
        assert sorted(counts) == sorted(list(range(1, 6)) * 40)


class UnreachableContract:
    """For stores that can be out of reach. `unreachable` is one whose server is gone."""

    async def test_a_store_out_of_reach_is_an_error_that_says_so(self, unreachable: RateStore) -> None:
        with pytest.raises(OverloadedError):
            await unreachable.change("k", read)

    async def test_who_is_refused_does_not_learn_where_the_store_is_and_the_log_says_it_once(
        self, unreachable: RateStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nor by the cause of the error, which an edge might print; the log names what went wrong."""
        for _ in range(3):
            with pytest.raises(OverloadedError) as refused:
                await unreachable.change("k", read)
            assert refused.value.detail == refused.value.reason == "the shared limits cannot be reached"
        (told,) = (record.getMessage() for record in caplog.records if record.name == "macroslow.limits")
        assert re.search(r"reached: \w+(Error|Exception)\b", told)
