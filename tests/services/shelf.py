"""Books with entries about people, a clock that is set, and the use cases that read and erase them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.services.key_house import SetClock

from macroslow.adapters.system import SystemEntropy
from macroslow.authn.ports import KeyRecord, PutKey
from macroslow.authn.principal import THE_GATEWAY
from macroslow.metering.ledger import OpenAccount
from macroslow.ports import DAY_NS
from macroslow.services.erasure.end_retention import EndRetention
from macroslow.services.erasure.erase_subject import EraseSubjects
from macroslow.tlog.event import Event, EventClass, EventType, PersonFields
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books

NOW_NS = 20_000 * DAY_NS
HOLD_DAYS = {EventClass.ACTIVITY: 0, EventClass.SECURITY: 365, EventClass.ADMINISTRATION: 2190}
CHAT, KEY, REFUSED = EventType.CHAT_COMPLETED, EventType.KEY_CREATED, EventType.REFUSED


@dataclass
class Shelf:
    """`read_anew` counts how often client keys were read again."""

    books: Books
    clock: SetClock = field(default_factory=lambda: SetClock(NOW_NS))
    hold_days: Mapping[EventClass, int] = field(default_factory=lambda: dict(HOLD_DAYS))
    read_anew: int = 0

    @property
    def erase(self) -> EraseSubjects:
        hold_ns = {each: days * DAY_NS for each, days in self.hold_days.items()}
        return EraseSubjects(self.books, self.clock, SystemEntropy(), hold_ns, self._read_keys)

    @property
    def watch(self) -> EndRetention:
        """As after a restart: it knows what the log says, and nothing else."""
        return EndRetention(self.books, self.erase, self.clock)

    async def look(self, watch: EndRetention | None = None) -> None:
        """As a gateway in use does, whose clock is steady for a day. None: after a restart."""
        watch = watch or self.watch
        await self.did(THE_GATEWAY, EventType.SERVER_STARTED)
        await watch.look()
        self.clock.ran_ns += DAY_NS
        await watch.look()

    async def _read_keys(self) -> None:
        self.read_anew += 1

    async def did(
        self,
        subject: str,
        *types: EventType,
        others: tuple[PersonFields, ...] = (),
        **fields: object,
    ) -> int:
        """One entry of each type, now; the index of the last."""
        index = -1
        for each in types or (CHAT,):
            event = Event(each, self.clock.now_ns(), subject, fields, others)
            (entry,) = await self.books.commit(Append(event))
            index = entry.index
        return index

    async def key(self, key_id: str, principal: str, **facts: Any) -> KeyRecord:
        """A client key as it is stored, with its account."""
        record = KeyRecord(key_id, principal, key_id.encode().ljust(32, b"0"), self.clock.now_ns(), **facts)
        await self.books.commit(PutKey(record), OpenAccount(f"key/{key_id}", None))
        return record

    async def pass_days(self, days: int) -> None:
        self.clock.time_ns += days * DAY_NS

    async def told(self, index: int) -> dict[str, Any]:
        """The fields of an entry."""
        (entry,) = await self.books.entries(index, 1)
        assert entry.event is not None
        return json.loads(entry.event)["fields"]

    async def readable(self, subject: str) -> list[int]:
        """Entries about somebody, by the name that rows have, which still open."""
        opened = await self.books.entries(0, 10_000)
        return [one.index for one in opened if one.subject == subject and one.event is not None]

    async def names(self) -> set[str]:
        """The names of all that rows show, and of those that opened entries tell of."""
        opened = await self.books.entries(0, 10_000)
        said = {json.loads(part)["subject"] for one in opened for part in one.others if part is not None}
        return {one.subject for one in opened} | said
