"""Erase a person: destroy the keys that open what the log holds of them, and the ciphertext with them.

Activity goes at once. What law asks for about security and administration is held until its retention
ends, and shown as held; `EndRetention` takes it then. The tree does not change, so every proof and receipt
stays valid, and one new entry says what went, under which pseudonym, and what is held until when.

That entry names nobody in clear. While something is held, the person's name lies in it as their own part,
under their key of administration, which therefore goes last: whoever completes the erasure reads it there,
and once it is complete nobody can.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from macroslow.authn.api_keys import without_credentials
from macroslow.authn.keyring import KeyRing, account_of
from macroslow.authn.ports import DropKey
from macroslow.authn.principal import PSEUDONYM_PREFIX, RESERVED_NAMES, THE_GATEWAY, THE_OPERATOR
from macroslow.errors import BadRequestError, ConflictError, NotFoundError
from macroslow.metering.ledger import CloseAccount
from macroslow.ports import HOUR_NS, Clock, Entropy
from macroslow.services.erasure.erasure_accounts import row_bytes
from macroslow.services.erasure.pending_erasures import pending_of
from macroslow.services.verbs import utc
from macroslow.tlog.event import Event, EventClass, EventType, PersonFields, name_of
from macroslow.tlog.ports import Append, EraseSubject
from macroslow.workflow.books import Books, Change

PIECE: Final = 2_000  # entries counted at once
TRIES: Final = 5
PSEUDONYM_BYTES: Final = 4
ALL: Final = frozenset(EventClass)
AGAIN_NS: Final = HOUR_NS
SHOWN: Final = 8  # keys that a refusal names


@dataclass(frozen=True, slots=True)
class Census:
    """Entries in which something of a person's is sealed. `newest_ns`: of what they tell, not of erasures."""

    by_type: Mapping[str, int]
    first_index: int | None
    last_index: int | None
    sha256: str
    newest_ns: int

    @property
    def entries(self) -> int:
        """How many."""
        return sum(self.by_type.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes now, and what is held until when: the next of it, and the last. None: nothing is held."""

    classes: frozenset[EventClass]
    going: Census
    held: Mapping[str, int]
    next_ns: int | None
    held_until_ns: int | None

    def told(self) -> dict[str, object]:
        """As JSON, and as the log keeps it."""
        return {
            "classes": sorted(each.name.lower() for each in self.classes),
            "entries": self.going.entries,
            "by_type": dict(self.going.by_type),
            "held": dict(self.held),
            "held_until": utc(self.held_until_ns),
        }


@dataclass(frozen=True, slots=True)
class EraseSubjects:
    """`hold_ns` is how long a class is held after its newest event; `keys_changed` reads client keys anew."""

    books: Books
    clock: Clock
    entropy: Entropy
    hold_ns: Mapping[EventClass, int]
    keys_changed: Callable[[], Awaitable[None]]

    async def plan(self, subject: str) -> Plan:
        """What `__call__` would do now. Raises as it does."""
        _require_person(subject)
        plan = await self._plan(subject, ALL)
        pending = await pending_of(self.books, subject)
        if not plan.going.entries and pending is not None:
            raise ConflictError(
                f"{subject!r} was erased already, as entry {pending.index} says",
                fix=f"macroslow audit show {pending.index}: what is held goes when its time has come",
            )
        if not plan.going.entries and not plan.held:
            raise NotFoundError(
                f"the log holds nothing of {subject!r}",
                fix="give the name as entries have it: macroslow audit tail",
            )
        await self._require_at_rest(subject)
        return plan

    async def __call__(self, subject: str, reason: str) -> dict[str, object]:
        """Erase what may go. Return what went, what is held, the pseudonym, and the entry that says so.

        BadRequestError for a name that is no person's; NotFoundError where the log holds nothing of it;
        ConflictError while the person has keys in force or work under way, and where all was erased before.
        """
        _require_person(subject)
        if _names(reason, subject):
            raise BadRequestError("the reason names the person, and the log keeps it", fix="say it otherwise")
        for _ in range(TRIES):
            plan = await self.plan(subject)
            with suppress(ConflictError):  # something was logged meanwhile, or the pseudonym is somebody's
                return await self._carry_out(subject, plan, without_credentials(reason), THE_OPERATOR)
        raise ConflictError("more was logged of the person with every try", fix="try again")

    async def complete(self, subject: str) -> int | None:
        """Erase what was held and is held no more. Return when to look again, in ns; None: nothing is left.

        Who came back, and has keys in force or work under way, is left alone for a while.
        """
        activity = frozenset({EventClass.ACTIVITY})
        candidates = ALL if self.hold_ns[EventClass.ACTIVITY] else ALL - activity
        plan = await self._plan(subject, candidates)
        if plan.going.entries:
            try:
                await self._require_at_rest(subject)
                await self._carry_out(subject, plan, "its retention has ended", THE_GATEWAY)
            except ConflictError:
                return self.clock.now_ns() + AGAIN_NS
        return plan.next_ns

    async def _plan(self, subject: str, candidates: frozenset[EventClass]) -> Plan:
        now_ns = self.clock.now_ns()
        found = {each: await self._census(subject, frozenset({each})) for each in candidates}
        until_ns = {each: one.newest_ns + self.hold_ns[each] for each, one in found.items() if one.newest_ns}
        until_ns = {
            each: end_ns for each, end_ns in until_ns.items() if self.hold_ns[each] and end_ns > now_ns
        }
        held = Counter[str]()
        for each in _kept_of(until_ns):
            held.update(found[each].by_type)
        held.pop(name_of(EventType.SUBJECT_ERASED), None)
        classes = candidates - _kept_of(until_ns)
        return Plan(
            classes,
            await self._census(subject, classes),
            dict(sorted(held.items())),
            min(until_ns.values(), default=None),
            max(until_ns.values(), default=None),
        )

    async def _census(self, subject: str, classes: frozenset[EventClass]) -> Census:
        """Counted in pieces: a person may have a million entries."""
        counted = Counter[str]()
        digest = hashlib.sha256()
        first = last = None
        newest_ns, start = 0, 0
        while piece := await self.books.held_entries(subject, classes, start, PIECE):
            for each in piece:
                counted[name_of(each.type)] += 1
                digest.update(b"".join(row_bytes(each.index, place) for place in each.places))
                if each.type != EventType.SUBJECT_ERASED:
                    newest_ns = max(newest_ns, each.time_ns)
            first = piece[0].index if first is None else first
            last = piece[-1].index
            start = last + 1
        return Census(dict(sorted(counted.items())), first, last, digest.hexdigest(), newest_ns)

    async def _carry_out(self, subject: str, plan: Plan, reason: str, by: str) -> dict[str, object]:
        pending = await pending_of(self.books, subject)
        fresh = f"{PSEUDONYM_PREFIX}{self.entropy.random(PSEUDONYM_BYTES).hex()}"
        pseudonym = fresh if pending is None else pending.pseudonym
        fields = {
            **plan.told(),
            "pseudonym": pseudonym,
            "entries_sha256": plan.going.sha256,
            "first_index": plan.going.first_index,
            "last_index": plan.going.last_index,
            "reason": reason,
            "by": by,
        }
        others = () if plan.held_until_ns is None else (PersonFields(subject, {}),)
        event = Event(EventType.SUBJECT_ERASED, self.clock.now_ns(), THE_GATEWAY, fields, others)
        erase = EraseSubject(subject, plan.classes, plan.going.entries, pseudonym)
        (entry,) = await self.books.commit(erase, Append(event), *await self._forgotten_keys(subject))
        await self.keys_changed()
        return {"index": entry.index, **fields}

    async def _forgotten_keys(self, subject: str) -> list[Change]:
        """The client keys that the person had: all have ended, and each bears the name."""
        theirs = [record for record in await self.books.keys() if record.principal == subject]
        closed = (CloseAccount(account_of(record.id)) for record in theirs if record.maker)
        return [*closed, *(DropKey(record.id) for record in theirs)]

    async def _require_at_rest(self, subject: str) -> None:
        """ConflictError while anything more can come of the person, or is under way."""
        keyring, now_ns = KeyRing(await self.books.keys()), self.clock.now_ns()
        records = [record for record in keyring.records() if record.principal == subject]
        live = [record.id for record in records if keyring.in_force(record, now_ns)]
        if live:
            fix = "; ".join(f"macroslow keys revoke {key_id}" for key_id in live[:SHOWN])
            raise ConflictError(f"{subject!r} has keys in force: {_listed(live)}", fix=fix)
        runs = [run.id for run in await self.books.running() if run.principal == subject]
        if runs:
            fix = "wait until they have ended, or cancel them"
            raise ConflictError(f"{subject!r} has runs under way: {_listed(runs)}", fix=fix)
        if any(each.principal == subject for each in await self.books.open_reservations()):
            fix = "wait until they are settled: a minute at most after they ended"
            raise ConflictError(f"{subject!r} has calls under way", fix=fix)


def _kept_of(until_ns: Collection[EventClass]) -> frozenset[EventClass]:
    """The classes that stay because these are held: the name lies under the key of administration."""
    return frozenset({*until_ns, EventClass.ADMINISTRATION} if until_ns else ())


def _names(reason: str, subject: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", reason, re.IGNORECASE) is not None


def _require_person(subject: str) -> None:
    if not subject:
        raise BadRequestError("nobody is named", fix="--subject NAME")
    if subject in RESERVED_NAMES:
        raise BadRequestError(
            f"{subject!r} is no person: it is who acts where no client does",
            fix="name the principal of a client's key",
        )


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more
