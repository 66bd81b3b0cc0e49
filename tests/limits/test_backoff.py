"""When to try again, and what may be tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.limits.backoff import BASE_NS, ENTROPY_BYTES, MOST_NS, repeatable, wait_ns

entropies = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)
LONG_NS = 10**15


@given(st.integers(0, 10**6), entropies)
def test_waits_grow_up_to_a_bound_and_are_spread_over_all_of_it(attempt, entropy):
    most_ns = min(MOST_NS, BASE_NS << min(attempt, 40))
    assert 0 <= wait_ns(attempt, entropy, LONG_NS) < most_ns
    assert wait_ns(attempt, bytes(8), LONG_NS) == 0
    assert wait_ns(attempt, b"\xff" * 8, LONG_NS) >= most_ns - 1


@given(st.integers(0, 20), entropies, st.integers(0, 10**12))
def test_what_the_provider_asks_for_is_never_undercut(attempt, entropy, retry_after_ns):
    waited_ns = wait_ns(attempt, entropy, LONG_NS, retry_after_ns)
    assert retry_after_ns <= waited_ns <= retry_after_ns + BASE_NS


@given(st.integers(0, 20), entropies, st.integers(-10, 10**11), st.none() | st.integers(0, 10**11))
def test_no_wait_reaches_the_deadline(attempt, entropy, left_ns, retry_after_ns):
    waited_ns = wait_ns(attempt, entropy, left_ns, retry_after_ns)
    assert waited_ns is None or waited_ns < left_ns


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_what_did_no_work_is_repeated_unless_the_provider_says_no(status):
    assert repeatable(status, {})
    assert repeatable(status, {"x-should-retry": "true"})
    assert not repeatable(status, {"x-should-retry": "False "})


@pytest.mark.parametrize("status", [200, 201, 400, 401, 402, 403, 404, 408, 409, 413, 422, 501, 502, 504])
def test_what_may_have_done_work_is_never_repeated(status):
    assert not repeatable(status, {})
    assert not repeatable(status, {"x-should-retry": "true"})
