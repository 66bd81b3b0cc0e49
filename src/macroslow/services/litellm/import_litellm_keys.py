"""LiteLLM's table of keys (an export of LiteLLM_VerificationToken) as keys of ours.

LiteLLM keeps the SHA-256 of a key, so the key works here without anybody seeing it. A right is never
widened in silence: a key that was restricted in a way that is unknown here is not taken, unless the
operator says so. A budget whose period is unknown becomes a total of what is left, which is less.

Source: LiteLLM's database schema, model LiteLLM_VerificationToken (2026-10).
"""

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from macroslow.authn.principal import RESERVED_NAMES
from macroslow.errors import BadRequestError
from macroslow.metering.ledger import MAX_COUNT
from macroslow.metering.money import micros_down
from macroslow.ports import NS_PER_S
from macroslow.services.identity.wished_keys import MAX_NOTE_CHARACTERS
from macroslow.services.litellm.words import period_of

MAX_KEYS: Final = 100_000
EVERY_MODEL: Final = frozenset({"all-proxy-models", "*"})
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NOT_NAME: Final = re.compile(r"[^A-Za-z0-9._@+:/-]+")
_RESTRICTIONS: Final = ("models", "allowed_routes", "model_max_budget", "object_permission_id")
"""Members that narrow what a key may do, and have no counterpart here."""
_UNKNOWN: Final = {
    "tpm_limit": "tokens per minute are bounded by provider here, not by key",
    "max_parallel_requests": "calls at once are bounded by provider here, not by key",
    "budget_id": "a shared budget: write it as [[budgets]] for its team",
    "organization_id": "there are teams here, and no organizations",
}
_MOST_NS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One row: `adopt` are the arguments of a key of the verb `keys.adopt`, None if it is not taken.

    `name` is what LiteLLM shows of the key (its alias); `notes` say what is not as it was.
    """

    number: int
    name: str
    adopt: Mapping[str, object] | None
    notes: tuple[str, ...]


def read_keys(text: str, *, without_restrictions: bool = False) -> list[KeyRow]:
    """Read a JSON list, an object with one, or CSV with a header line. BadRequestError for another text."""
    rows = _json_rows(text) if text.lstrip()[:1] in {"[", "{"} else _csv_rows(text)
    if len(rows) > MAX_KEYS:
        raise BadRequestError(f"more than {MAX_KEYS} keys", fix="import them in several files")
    return [_row(number, row, without_restrictions) for number, row in enumerate(rows, start=1)]


def _json_rows(text: str) -> list[Mapping[str, object]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequestError(
            "the table of keys is not JSON", fix="export it again, as JSON or as CSV with a header line"
        ) from None
    if isinstance(found, dict):
        found = next((value for value in found.values() if isinstance(value, list)), None)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise BadRequestError("the table of keys is not a list of objects", fix=_HOW)
    return found


def _csv_rows(text: str) -> list[Mapping[str, object]]:
    try:
        found = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error:
        raise BadRequestError("the table of keys is not CSV", fix=_HOW) from None
    if not found or "token" not in found[0]:
        raise BadRequestError("the table of keys has no column `token`", fix=_HOW)
    return [{name: value for name, value in row.items() if isinstance(name, str)} for row in found]


_HOW: Final = "psql -c '\\copy \"LiteLLM_VerificationToken\" to keys.csv csv header'"


def _row(number: int, row: Mapping[str, object], without_restrictions: bool) -> KeyRow:
    name = _text(row.get("key_alias")) or _text(row.get("key_name")) or f"key {number}"
    digest = _text(row.get("token"))
    if not _DIGEST.fullmatch(digest):
        return KeyRow(number, name, None, ("its token is no SHA-256 in hexadecimal digits",))
    restricted = [member for member in _RESTRICTIONS if _restricts(member, row.get(member))]
    if restricted and not without_restrictions:
        why = f"is restricted by {', '.join(restricted)}; --without-restrictions takes it without"
        return KeyRow(number, name, None, (why,))
    notes = [f"{member} is no longer in force" for member in restricted]
    notes += [f"{member}: {why}" for member, why in _UNKNOWN.items() if _list(row.get(member))]
    try:
        adopt = {"digest": digest, **_named(row, number, notes), **_bounds(row, notes)}
    except ValueError as error:
        return KeyRow(number, name, None, (str(error),))
    return KeyRow(number, name, adopt, tuple(notes))


def _named(row: Mapping[str, object], number: int, notes: list[str]) -> dict[str, object]:
    """Whose it is: the user, else the alias."""
    user = _text(row.get("user_id"))
    alias = _text(row.get("key_alias"))
    wished = user if user and user != "default_user_id" else alias
    principal = _name(wished) or f"litellm-{number}"
    if principal.lower() in RESERVED_NAMES:
        principal = f"litellm-{principal}"
    if wished and principal != wished:
        notes.append(f"is called {principal} here")
    note = "".join(one for one in alias if one.isprintable())[:MAX_NOTE_CHARACTERS]
    return {"principal": principal, "team": _name(_text(row.get("team_id"))), "note": note}


def _name(text: str) -> str:
    name = _NOT_NAME.sub("-", text).strip("-._@+:/")[:128]
    return f"litellm-{name}"[:128] if name.startswith(("sk-", "msk_")) else name


def _bounds(row: Mapping[str, object], notes: list[str]) -> dict[str, object]:
    """Budget, rate and end. ValueError for what cannot be read: a key without its bound is not taken."""
    found: dict[str, object] = {"revoked": _flag(row.get("blocked"))}
    rpm = _number(row.get("rpm_limit"), "rpm_limit")
    if rpm is not None:
        if not 1 <= rpm <= 10_000_000:
            raise ValueError("its rpm_limit is not from 1 to 10000000")
        found["requests_per_minute"] = int(rpm)
    expires = _text(row.get("expires"))
    if expires:
        found["expires_ns"] = _time_ns(expires)
    budget = _number(row.get("max_budget"), "max_budget")
    if budget is not None:
        period = period_of(_text(row.get("budget_duration")))
        left = budget - (_number(row.get("spend"), "spend") or 0)
        if period is None:
            notes.append(
                f"{_text(row.get('budget_duration'))!r} is no period here: what is left is its total"
            )
        amounts = {"day": ("day_usd_micros", budget), "month": ("month_usd_micros", budget)}
        member, usd = amounts.get(period or "", ("budget_usd_micros", left))
        found[member] = _micros(usd)
    return found


def _micros(usd: Decimal) -> int:
    return min(MAX_COUNT, micros_down(max(usd, Decimal(0))))


def _time_ns(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("its expires is no time") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, min(_MOST_NS, int(moment.timestamp()) * NS_PER_S))


def _number(value: object, member: str) -> Decimal | None:
    """A number of a JSON or CSV cell; None where there is none."""
    if value is None or value == "":
        return None
    try:
        number = Decimal("NaN") if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > MAX_COUNT:
        raise ValueError(f"its {member} is not a number")
    return number


def _flag(value: object) -> bool:
    """Whether a cell says yes. What is neither yes nor no counts as yes: a blocked key stays so."""
    if value is None or isinstance(value, bool):
        return bool(value)
    return str(value).strip().lower() not in {"", "f", "false", "0", "null"}


def _restricts(member: str, value: object) -> bool:
    listed = _list(value)
    return bool(set(listed) - EVERY_MODEL) if member == "models" else bool(listed)


def _list(value: object) -> list[str]:
    """The elements of a list: JSON's, PostgreSQL's `{a,b}`, or one text. Empty tables are none."""
    if isinstance(value, list | dict):
        return [str(one) for one in value]
    text = "" if value is None else str(value).strip()
    if text in {"", "null", "{}", "[]"}:
        return []
    if text[0] == "[" or (text.startswith('{"') and ":" in text):
        return _parsed(text)
    return [one.strip('" ') for one in text.strip("{}").split(",")]


def _parsed(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return [text]  # unread, and so a restriction
    return [str(one) for one in found] if isinstance(found, list | dict) else [text]


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) and value.strip().lower() != "null" else ""
