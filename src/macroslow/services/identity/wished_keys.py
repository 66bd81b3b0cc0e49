"""What a client key shall be, or shall be from now on, and everything that is wrong with the wish."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # of typing itself only from 3.12 on, as pydantic reads it

from macroslow.authn.addresses import read_network
from macroslow.authn.api_keys import holds_credential, is_credential, without_credentials
from macroslow.authn.jwt.check import PRINCIPAL_PREFIX
from macroslow.authn.ports import KeyRecord
from macroslow.authn.principal import PSEUDONYM_PREFIX, RESERVED_NAMES
from macroslow.authn.terms import CALLER_NAME, CALLER_NAME_FORM, MAX_WEIGHT, Terms, untold
from macroslow.authz import scopes as known_scopes
from macroslow.authz.subset import WITHIN
from macroslow.authz.uri import Pattern
from macroslow.errors import BadRequestError, Problem
from macroslow.metering.ledger import MAX_COUNT
from macroslow.metering.money import in_cents
from macroslow.services.identity.key_words import excesses, moment
from macroslow.services.verbs import Texts, TimeNs, Whole

MAX_NOTE_CHARACTERS: Final = 200
MAX_GRANTS: Final = 200
MAX_ADDRESSES: Final = 100
_MOST: Final = {"weight": MAX_WEIGHT, "requests_per_minute": 10_000_000, "concurrent_requests": 100_000}
_STRICT: Final = ConfigDict(extra="forbid", strict=True)  # a verb's own is not handed down to these


@dataclass(frozen=True, slots=True)
class NewKey(Terms):
    """What a key shall be. `budget_usd_micros` None: no budget of its own."""

    principal: str
    scopes: frozenset[str] = field(default=known_scopes.CLIENT_DEFAULT, kw_only=True)
    note: str = field(default="", kw_only=True)
    budget_usd_micros: int | None = field(default=None, kw_only=True)


@with_config(_STRICT)
class KeyTerms(TypedDict, total=False):
    """What a key shall be, or shall be from now on. Money in micro-dollars, None: no bound.

    What is missing is as `NewKey` has it, or stays as it is.
    """

    scopes: Texts
    grants: Texts
    addresses: Texts
    team: str
    weight: Whole
    note: str
    requests_per_minute: Whole | None
    concurrent_requests: Whole | None
    expires_ns: TimeNs | None
    budget_usd_micros: Whole | None
    day_usd_micros: Whole | None
    month_usd_micros: Whole | None


def new_key(principal: str, wish: KeyTerms) -> NewKey:
    """The key that is wished for, right or wrong."""
    return NewKey(principal, **untold(wish))


def changed_record(before: KeyRecord, wanted: KeyTerms) -> KeyRecord:
    """The record after the change; the budget for the life of a key is its account's, not its record's."""
    given = untold(wanted)
    given.pop("budget_usd_micros", None)
    return replace(before, **given)


def faults_of(new: NewKey, now_ns: int) -> list[Problem]:
    """Everything that is wrong with the wish for a new key."""
    faults = _name_faults(new.principal) + term_faults(new) + budget_faults(new.budget_usd_micros)
    return faults + _listener_faults(new.scopes) + expiry_faults(new.expires_ns, now_ns)


def faults_of_made(made: NewKey | KeyRecord, maker: KeyRecord) -> list[Problem]:
    """Everything in which a key is more than the key that makes it, both making sense by themselves.

    Runs are their principal's: what it makes is the maker's own, or has a name below the maker's.
    """
    faults = excesses(made, maker)
    if made.principal != maker.principal and not made.principal.startswith(f"{maker.principal}/"):
        own = f"{maker.principal}, or {maker.principal}/ and a name"
        faults.append(Problem(f"a key makes keys for its own principal: {own}", field="principal"))
    return faults


def change_faults(before: KeyRecord, after: KeyRecord, wanted: KeyTerms, now_ns: int) -> list[Problem]:
    """What is wrong with a change. Rights only become fewer: a key is not known to be where it was given."""
    faults = term_faults(after) + budget_faults(wanted.get("budget_usd_micros"))
    if "expires_ns" in wanted:
        faults += expiry_faults(after.expires_ns, now_ns)
    if not faults:
        faults += [
            Problem("a key's rights only become fewer", fix="make a new key", field=name)
            for name in ("scopes", "grants")
            if not WITHIN[name](getattr(after, name), getattr(before, name))
        ]
    return faults


def expiry_faults(expires_ns: int | None, now_ns: int) -> list[Problem]:
    """What is wrong with an expiry that is set now; one set before may have passed."""
    if expires_ns is not None and expires_ns <= now_ns:
        return [Problem(f"{moment(expires_ns)} has passed", field="expires_ns")]
    return []


def _name_faults(principal: str) -> list[Problem]:
    faults = []
    if is_credential(principal) or holds_credential(principal):
        faults.append(_kept_for_ever("principal"))
    if not CALLER_NAME.fullmatch(principal):
        faults.append(Problem(CALLER_NAME_FORM, field="principal"))
    if principal.lower().startswith(PRINCIPAL_PREFIX):
        faults.append(Problem("names that begin so are those of tokens' subjects", field="principal"))
    if principal.lower().startswith(PSEUDONYM_PREFIX):
        faults.append(Problem("names that begin so stand for persons who were erased", field="principal"))
    if principal.lower() in RESERVED_NAMES:
        faults.append(
            Problem("this name is the gateway's own: its runs would be the key's", field="principal")
        )
    return faults


def _kept_for_ever(field: str) -> Problem:
    return Problem(
        "what looks like a key or a token is in it, and the log would keep it for ever",
        fix="name whoever uses the key, or what for; if a real one was typed, replace it where it is from",
        field=field,
    )


def _listener_faults(scopes: frozenset[str]) -> list[Problem]:
    """An administrator's key opens no client's route: a client's scope is only for what it may hand on."""
    idle = set(filter(known_scopes.is_client, scopes))
    if not idle or not known_scopes.administrates(scopes) or known_scopes.ADMIN_KEYS in scopes:
        return []
    return [
        Problem(
            "a key with a scope admin:… opens the administrators' listener alone, where"
            f" {', '.join(sorted(idle))} would open nothing",
            fix=f"make two keys; only with {known_scopes.ADMIN_KEYS} may one hand on such scopes",
            field="scopes",
        )
    ]


def term_faults(key: NewKey | KeyRecord) -> list[Problem]:
    """What is wrong with the terms and the note, whenever they were set."""
    faults = _scope_faults(key.scopes) + _grant_faults(key.grants) + _address_faults(key.addresses)
    if is_credential(key.team) or holds_credential(key.team):
        faults.append(_kept_for_ever("team"))
    if holds_credential(key.note):
        faults.append(_kept_for_ever("note"))
    if len(key.note) > MAX_NOTE_CHARACTERS or not (key.note.isprintable() or not key.note):
        faults.append(Problem(f"at most {MAX_NOTE_CHARACTERS} printable characters", field="note"))
    if key.team and not CALLER_NAME.fullmatch(key.team):
        faults.append(Problem(CALLER_NAME_FORM, field="team"))
    for name, most in _MOST.items():
        value = getattr(key, name)
        if value is not None and not 1 <= value <= most:
            faults.append(Problem(f"{value} is not one of 1 to {most}", field=name))
    faults += budget_faults(key.day_usd_micros, "day_usd_micros")
    return faults + budget_faults(key.month_usd_micros, "month_usd_micros")


def budget_faults(usd_micros: int | None, field: str = "budget_usd_micros") -> list[Problem]:
    """What is wrong with an amount of micro-dollars; None: no bound."""
    if usd_micros is None or 0 <= usd_micros <= MAX_COUNT:
        return []
    return [Problem(f"not an amount from $0.00 to {in_cents(MAX_COUNT)}", field=field)]


def _scope_faults(scopes: Collection[str]) -> list[Problem]:
    return [
        Problem(
            f"no scope {without_credentials(scope)!r}", fix=f"one of {known_scopes.KNOWN}", field="scopes"
        )
        for scope in sorted(scopes)
        if not known_scopes.is_known(scope)
    ]


def _grant_faults(grants: Sequence[str]) -> list[Problem]:
    if len(grants) > MAX_GRANTS:
        return [Problem(f"more than {MAX_GRANTS} grants", field="grants")]
    if any(map(holds_credential, grants)):
        return [_kept_for_ever("grants")]
    return [fault for grant in grants if (fault := _grant_fault(grant)) is not None]


def _grant_fault(grant: str) -> Problem | None:
    """What the decision on a document would find wrong with the grant, found while it can be mended."""
    try:
        Pattern.parse(grant)
    except BadRequestError as error:
        return Problem(without_credentials(error.detail), fix=error.fix, field="grants")
    return None


def _address_faults(addresses: Sequence[str]) -> list[Problem]:
    if len(addresses) > MAX_ADDRESSES:
        return [Problem(f"more than {MAX_ADDRESSES} networks", field="addresses")]
    return [fault for one in addresses if (fault := _address_fault(one)) is not None]


def _address_fault(text: str) -> Problem | None:
    try:
        read_network(text)
    except ValueError as error:
        return Problem(str(error), field="addresses")
    return None
