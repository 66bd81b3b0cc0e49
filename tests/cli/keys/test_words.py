"""Keys as people read them: whatever they hold, the table fits, and nothing is told in a machine's words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.cli.keys._words import TITLES, fitted, page_of, rows_of, terms_of, when

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
names = st.text("abcdefghij/.-", min_size=1, max_size=60)
cents = st.integers(0, 99_999).map(lambda number: number * 10_000)
amounts = st.none() | cents
moments = st.none() | st.integers(-(10**7), 10**7).map(
    lambda seconds: (NOW + timedelta(seconds=seconds)).isoformat()
)


def key(**other: Any) -> dict[str, Any]:
    """What a verb returns of a key."""
    return {
        "id": "0123456789ab",
        "principal": "ann",
        "state": "in force",
        "note": "",
        "scopes": ["inference:chat"],
        "grants": [],
        "addresses": [],
        "team": "",
        "weight": 1,
        "requests_per_minute": None,
        "concurrent_requests": None,
        "day_usd_micros": None,
        "month_usd_micros": None,
        "legacy": False,
        "maker": "",
        "created_at": "2026-11-01T08:00:00+00:00",
        "generation": 1,
        "overlap_until": None,
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
        "budget_usd_micros": None,
        "spent_usd_micros": 0,
        "held_usd_micros": 0,
    } | other


keys = st.builds(
    key,
    principal=names,
    team=st.just("") | names,
    note=st.just("") | st.text("abc de", max_size=200),
    state=st.sampled_from(["in force", "revoked", "expired", "ended with its maker"]),
    spent_usd_micros=cents,
    budget_usd_micros=amounts,
    day_usd_micros=amounts,
    month_usd_micros=amounts,
    expires_at=moments,
    last_used_at=moments,
)


def width_of(rows: list[dict[str, str]], titles: dict[str, str]) -> int:
    lines = [titles, *rows]
    return sum(max(len(line[name]) for line in lines) + 2 for name in titles) - 2


@given(st.lists(keys, min_size=1, max_size=4))
def test_the_table_fits_its_terminal(some: list[dict[str, Any]]) -> None:
    rows, titles = fitted(rows_of(some, NOW), 100)
    assert titles.keys() >= {"id", "principal", "state", "spent", "expires", "used"}
    assert width_of(rows, titles) <= 100
    for row, one in zip(rows, some, strict=True):
        assert row["id"] == one["id"]
        assert one["principal"].startswith(row["principal"].removesuffix("…"))


@given(st.lists(keys, min_size=1, max_size=4))
def test_for_a_file_nothing_is_cut(some: list[dict[str, Any]]) -> None:
    rows, titles = fitted(rows_of(some, NOW), None)
    assert [(row["principal"], row["note"]) for row in rows] == [
        (one["principal"], one["note"]) for one in some
    ]
    assert set(TITLES) - titles.keys() <= {"team", "budget", "day", "month", "note"}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "just now"),
        (-59, "just now"),
        (30, "in 1 min"),
        (-60, "1 min ago"),
        (-3599, "59 min ago"),
        (7200, "in 2 h"),
        (-47 * 3600, "47 h ago"),
        (3 * 86400, "in 3 days"),
        (-13 * 86400, "13 days ago"),
        (14 * 86400, "2026-12-06"),
        (-400 * 86400, "2025-10-18"),
    ],
)
def test_near_times_are_told_from_now_on_and_far_ones_by_their_day(seconds: int, told: str) -> None:
    assert when(NOW + timedelta(seconds=seconds), NOW) == told


def test_one_line_tells_all_that_bounds_a_key_and_nothing_that_does_not() -> None:
    assert terms_of(key(), NOW) == "NO budget: it may spend without limit"
    assert terms_of(key(concurrent_requests=3), NOW).endswith("without limit; 3 requests at once")
    bounded = key(
        budget_usd_micros=2_000_000,
        expires_at="2026-11-22T12:01:00+00:00",
        requests_per_minute=60,
        addresses=["10.0.0.0/8", "::1/128"],
    )
    assert terms_of(bounded, NOW) == (
        "budget $2.00; until 2026-11-22 12:01 UTC (in 1 min), 60 requests a minute, from 10.0.0.0/8, ::1/128"
    )


def test_a_page_tells_a_key_in_words_and_units() -> None:
    told = dict(
        page_of(
            key(
                maker="ba9876543210",
                generation=2,
                overlap_until="2026-11-23T12:00:00+00:00",
                expires_at="2026-11-25T12:00:00+00:00",
                last_used_at="2026-10-01T09:30:00+00:00",
                spent_usd_micros=1500,
                day_usd_micros=2_000_000,
                requests_per_minute=60,
            ),
            NOW,
        )
    )
    assert told["made"] == "2026-11-01 08:00 UTC by key ba9876543210"
    assert told["secret"] == "number 2; the one before works until 2026-11-23 12:00 UTC"
    assert told["expires"] == "2026-11-25 12:00 UTC (in 3 days)"
    assert told["last used"] == "2026-10-01 09:30 UTC"
    assert told["spent"] == "$0.0015, and $0.00 held"
    assert (told["budget"], told["budget by day"]) == ("no bound", "$2.00")
    assert (told["requests a minute"], told["requests at once"]) == ("60", "no bound")
    assert (told["used from"], told["grants"], told["note"]) == ("anywhere", "none", "none")
