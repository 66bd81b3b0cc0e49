"""When to try again, and what may be tried again at all. Pure functions; randomness is passed in.

Exponential backoff with full jitter: before the n-th repetition wait a random time of at most
`base * 2^n`, so that many callers that failed together do not come back together. Whoever says when
to come back is believed, and a little spread is added. No wait reaches past the deadline.

Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
"""

from collections.abc import Mapping
from typing import Final

from macroslow.ports import NS_PER_S

BASE_NS: Final = NS_PER_S // 2
MOST_NS: Final = 20 * NS_PER_S
ENTROPY_BYTES: Final = 8

REFUSED_STATUSES: Final = frozenset({429, 500, 503, 529})
"""Statuses of a provider that did no work that it charges for."""

LOST_STATUSES: Final = frozenset({408, 502, 504, 520, 522, 524})
"""Statuses of intermediaries that lost their upstream or its patience: the work may have been done."""


def wait_ns(attempt: int, entropy: bytes, left_ns: int, retry_after_ns: int | None = None) -> int | None:
    """How long to wait before repetition `attempt` (0 is the first); None: not within `left_ns`.

    `entropy` is ENTROPY_BYTES fresh bytes; `retry_after_ns` is what was asked for. (What a provider asks
    for is kept by its account's allowance, for all calls.)
    """
    spread_ns = min(MOST_NS, BASE_NS << min(attempt, 32))
    if retry_after_ns is not None:
        spread_ns = min(spread_ns, BASE_NS)
    jitter_ns = spread_ns * int.from_bytes(entropy, "big") >> (8 * len(entropy))
    waited_ns = (retry_after_ns or 0) + jitter_ns
    return waited_ns if waited_ns < left_ns else None


def repeatable(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a call that was answered so may be sent again without the risk that it is billed twice.

    A provider's `x-should-retry: false` is honoured, its "true" proves nothing.
    """
    return status in REFUSED_STATUSES and headers.get("x-should-retry", "").strip().lower() != "false"
