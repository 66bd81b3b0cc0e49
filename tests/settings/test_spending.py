"""What [keys] says of every new key, as the terms that it is made with."""

from pathlib import Path

from macroslow.ports import DAY_NS
from macroslow.settings import load

NOW_NS = 1_700_000_000 * 10**9


def terms(folder: Path, text: str) -> dict[str, object]:
    (folder / "macroslow.toml").write_text(text)
    return load(folder / "macroslow.toml", {}).keys.terms(NOW_NS)


def test_what_is_not_said_is_no_term(tmp_path: Path) -> None:
    assert terms(tmp_path, "") == {}


def test_everything_that_is_said_is_a_term_and_a_fraction_of_a_micro_dollar_is_not_granted(
    tmp_path: Path,
) -> None:
    said = """
[keys]
budget_usd = "2.5000009"
budget_day_usd = 1
budget_month_usd = "0.000001"
requests_per_minute = 60
expires_days = 30
scopes = ["inference:chat"]
"""
    assert terms(tmp_path, said) == {
        "budget_usd_micros": 2_500_000,
        "day_usd_micros": 1_000_000,
        "month_usd_micros": 1,
        "requests_per_minute": 60,
        "expires_ns": NOW_NS + 30 * DAY_NS,
        "scopes": ["inference:chat"],
    }
