"""What a client key shall be, or shall be from now on, and everything that is wrong with the wish."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # of typing itself only from 3.12 on, as pydantic reads it

from macroslow.authn.ports import KeyRecord
from macroslow.authn.terms import Terms, untold
from macroslow.authz import scopes as known_scopes
from macroslow.authz.uri import Pattern
from macroslow.errors import BadRequestError, Problem
from macroslow.metering.ledger import MAX_COUNT
from macroslow.services.verbs import Texts, TimeNs, Whole

MAX_NOTE_CHARACTERS: Final = 200
MAX_GRANTS: Final = 200
RESERVED: Final = frozenset({"operator", "gateway"})  # who acts where no client does
MAX_WEIGHT: Final = 100
_STRICT: Final = ConfigDict(extra="forbid", strict=True)  # a verb's own is not handed down to these
_NAME_FORM: Final = "1 to 128 of letters, digits and . _ @ + : / -, a letter or digit first"
_PRINCIPAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:/-]{0,127}")


@dataclass(frozen=True, slots=True)
class NewKey(Terms):
    """What a key shall be. `budget_usd_micros` None: no budget of its own."""

    principal: str
    scopes: frozenset[str] = field(default=known_scopes.CLIENT_DEFAULT, kw_only=True)
    note: str = field(default="", kw_only=True)
    budget_usd_micros: int | None = field(default=None, kw_only=True)


@with_config(_STRICT)
class KeyChange(TypedDict, total=False):
    """What shall be different about a key; what is missing stays. Money in micro-dollars, None: no bound."""

    team: str
    weight: Whole
    note: str
    requests_per_minute: Whole | None
    budget_usd_micros: Whole | None
    day_usd_micros: Whole | None
    month_usd_micros: Whole | None


@with_config(_STRICT)
class KeyWish(KeyChange, total=False):
    """What a new key shall be; what is missing is as `NewKey` has it."""

    scopes: Texts
    grants: Texts
    expires_ns: TimeNs | None


def new_key(principal: str, wish: KeyWish) -> NewKey:
    """The key that is wished for, right or wrong."""
    return NewKey(principal, **untold(wish))


def changed_record(before: KeyRecord, wanted: KeyChange) -> KeyRecord:
    """The record after the change; the budget for the life of a key is its account's, not its record's."""
    given = untold(wanted)
    given.pop("budget_usd_micros", None)
    return replace(before, **given)


def faults_of(new: NewKey, now_ns: int) -> list[Problem]:
    faults = _scope_faults(new.scopes) + _grant_faults(new.grants) + _name_faults(new.principal)
    faults += bound_faults(new) + budget_faults(new.budget_usd_micros)
    if new.expires_ns is not None and new.expires_ns <= now_ns:
        faults.append(Problem("the expiry has passed", field="expires_ns"))
    return faults


def _name_faults(principal: str) -> list[Problem]:
    faults = []
    if principal.startswith(("msk_", "sk-")):
        faults.append(
            Problem(
                "this is a key, not a name: the log would keep it for ever",
                "name whoever uses it",
                field="principal",
            )
        )
    if not _PRINCIPAL.fullmatch(principal):
        faults.append(Problem(_NAME_FORM, field="principal"))
    if principal.lower() in RESERVED:
        faults.append(
            Problem("this name is the gateway's own: its runs would be the key's", field="principal")
        )
    return faults


def bound_faults(key: NewKey | KeyRecord) -> list[Problem]:
    """What is wrong with what may also be changed later."""
    faults = []
    if len(key.note) > MAX_NOTE_CHARACTERS or not (key.note.isprintable() or not key.note):
        faults.append(Problem(f"at most {MAX_NOTE_CHARACTERS} printable characters", field="note"))
    if key.requests_per_minute is not None and not 1 <= key.requests_per_minute <= 10_000_000:
        faults.append(Problem("1 to 10000000", field="requests_per_minute"))
    if key.team and not _PRINCIPAL.fullmatch(key.team):
        faults.append(Problem(_NAME_FORM, field="team"))
    if not 1 <= key.weight <= MAX_WEIGHT:
        faults.append(Problem(f"1 to {MAX_WEIGHT}", field="weight"))
    faults += budget_faults(key.day_usd_micros, "day_usd_micros")
    return faults + budget_faults(key.month_usd_micros, "month_usd_micros")


def budget_faults(usd_micros: int | None, field: str = "budget_usd_micros") -> list[Problem]:
    if usd_micros is None or 0 <= usd_micros <= MAX_COUNT:
        return []
    return [Problem("millionths of a dollar, 0 or more", field=field)]


def _scope_faults(scopes: Collection[str]) -> list[Problem]:
    known = ", ".join(sorted(known_scopes.ALL))
    return [
        Problem(f"no scope {scope!r}", fix=f"one of {known}", field="scopes")
        for scope in sorted(scopes)
        if scope not in known_scopes.ALL
    ]


def _grant_faults(grants: Sequence[str]) -> list[Problem]:
    if len(grants) > MAX_GRANTS:
        return [Problem(f"more than {MAX_GRANTS} grants", field="grants")]
    return [fault for grant in grants if (fault := _grant_fault(grant)) is not None]


def _grant_fault(grant: str) -> Problem | None:
    """What the decision on a document would find wrong with the grant, found while it can be mended."""
    try:
        Pattern.parse(grant)
    except BadRequestError as error:
        return Problem(error.detail, fix=error.fix, field="grants")
    return None
