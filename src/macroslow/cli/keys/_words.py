"""Client keys as people read them: a table that fits their terminal, and a page about one.

Times are told from now on where that is near, amounts to the last digit that says something. What programs
read is `--json`. A key is the object that the verbs `keys.…` return.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from macroslow.cli.console.columns import Amount, in_utc
from macroslow.metering.money import in_cents

Key = Mapping[str, Any]
NEAR: Final = timedelta(days=14)
BUDGETS: Final = {
    "budget_usd_micros": "budget {}",
    "day_usd_micros": "{} a day",
    "month_usd_micros": "{} a month",
}
TITLES: Final = {
    "id": "ID",
    "principal": "PRINCIPAL",
    "team": "TEAM",
    "state": "STATE",
    "spent": "SPENT",
    "budget": "BUDGET",
    "day": "A DAY",
    "month": "A MONTH",
    "expires": "EXPIRES",
    "used": "LAST USED",
    "note": "NOTE",
}
_MAY_LACK: Final = frozenset({"team", "budget", "day", "month", "note"})
_LEAST: Final = {"note": 8, "team": 6, "principal": 12}  # characters; the first is cut first
_GAP: Final = 2


def rows_of(keys: Sequence[Key], now: datetime) -> list[dict[str, str]]:
    """The cells of the table, by the members of TITLES."""
    return [
        {
            "id": key["id"],
            "principal": key["principal"],
            "team": key["team"],
            "state": "maker ended" if key["state"].startswith("ended") else key["state"],
            "spent": _amount(key["spent_usd_micros"]),
            "budget": _amount(key["budget_usd_micros"]),
            "day": _amount(key["day_usd_micros"]),
            "month": _amount(key["month_usd_micros"]),
            "expires": _near(key["expires_at"], now),
            "used": _near(key["last_used_at"], now),
            "note": key["note"],
        }
        for key in keys
    ]


def fitted(rows: Sequence[dict[str, str]], width: int | None) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Rows and titles for `width` columns (None: any): what no key has is left out, long texts are cut."""
    lacking = {name for name in _MAY_LACK if all(row[name] in {"", "-"} for row in rows)}
    titles = {name: title for name, title in TITLES.items() if name not in lacking}
    fitting = [*rows]
    for name, least in _LEAST.items():
        excess = 0 if width is None else _width(fitting, titles) - width
        if name in titles and excess > 0:
            most = max(least, _column(fitting, titles, name) - excess)
            fitting = [{**row, name: _cut(row[name], most)} for row in fitting]
    for name in ("note", "team"):
        if width is not None and _width(fitting, titles) > width:
            titles.pop(name, None)
    return fitting, titles


def page_of(key: Key, now: datetime) -> Iterator[tuple[str, str]]:
    """Everything about one key: what it is called, and how it stands."""
    yield "id", key["id"]
    yield "principal", key["principal"]
    yield "team", key["team"] or "none"
    yield "note", key["note"] or "none"
    yield "state", _state(key)
    yield "made", f"{in_utc(key['created_at'])} by {_maker(key)}"
    yield "secret", _secret(key)
    yield "expires", _moment(key["expires_at"], now)
    yield "last used", _moment(key["last_used_at"], now)
    yield "spent", f"{in_cents(key['spent_usd_micros'])}, and {in_cents(key['held_usd_micros'])} held"
    yield "budget", _bound(_amount(key["budget_usd_micros"]))
    yield "budget by day", _bound(_amount(key["day_usd_micros"]))
    yield "budget by month", _bound(_amount(key["month_usd_micros"]))
    yield "requests a minute", _bound(key["requests_per_minute"])
    yield "requests at once", _bound(key["concurrent_requests"])
    yield "weight", str(key["weight"])
    yield "used from", ", ".join(key["addresses"]) or "anywhere"
    yield "scopes", ", ".join(key["scopes"]) or "none"
    yield "grants", ", ".join(key["grants"]) or "none"


def budgets_of(key: Key) -> str:
    """The budgets of a key in one line."""
    told = [form.format(in_cents(key[name])) for name, form in BUDGETS.items() if key[name] is not None]
    return ", ".join(told) or "NO budget: it may spend without limit"


def terms_of(key: Key, now: datetime) -> str:
    """What bounds a key, in one line: its budgets, and what else is set."""
    others = {
        "until {}": key["expires_at"] and _moment(key["expires_at"], now),
        "{} requests a minute": key["requests_per_minute"],
        "{} requests at once": key["concurrent_requests"],
        "from {}": ", ".join(key["addresses"]),
    }
    told = ", ".join(form.format(value) for form, value in others.items() if value)
    return "; ".join(filter(None, (budgets_of(key), told)))


def when(moment: datetime, now: datetime) -> str:
    """How far an instant is from now: in 3 days, 5 min ago; beyond two weeks its day."""
    span = abs(moment - now)
    if span >= NEAR:
        return f"{moment:%Y-%m-%d}"
    minutes = int(span.total_seconds()) // 60
    if minutes < 1:
        return "just now" if moment <= now else "in 1 min"
    count, unit = (minutes, "min") if minutes < 60 else (minutes // 60, "h")
    if minutes >= 2 * 24 * 60:
        count, unit = minutes // (24 * 60), "days"
    return f"{count} {unit} ago" if moment <= now else f"in {count} {unit}"


def _near(told: str | None, now: datetime) -> str:
    return "never" if told is None else when(datetime.fromisoformat(told), now)


def _moment(told: str | None, now: datetime) -> str:
    """An instant, and how far it is if it is near."""
    near = _near(told, now)
    if told is None:
        return near
    return in_utc(told) if told.startswith(near) else f"{in_utc(told)} ({near})"


def _state(key: Key) -> str:
    since = f" since {in_utc(key['revoked_at'])}" if key["revoked_at"] else ""
    others = "; made by another gateway, which keeps its hash" if key["legacy"] else ""
    return f"{key['state']}{since}{others}"


def _maker(key: Key) -> str:
    return f"key {key['maker']}" if key["maker"] else "the operator"


def _secret(key: Key) -> str:
    number = f"number {key['generation']}"
    if key["overlap_until"] is None:
        return number
    return f"{number}; the one before works until {in_utc(key['overlap_until'])}"


def _amount(usd_micros: int | None) -> Amount:
    return Amount("-" if usd_micros is None else in_cents(usd_micros))


def _bound(value: object) -> str:
    return "no bound" if value in (None, "-") else str(value)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _column(rows: Sequence[Mapping[str, str]], titles: Mapping[str, str], name: str) -> int:
    return max(len(titles[name]), *(len(row[name]) for row in rows))


def _width(rows: Sequence[Mapping[str, str]], titles: Mapping[str, str]) -> int:
    return sum(_column(rows, titles, name) + _GAP for name in titles) - _GAP
