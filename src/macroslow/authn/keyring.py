"""The client keys in memory: what authentication reads on every request, without a store.

The books stay the truth. Whoever changes a key commits first and puts the new record here then,
so that a revoked key is refused from the next request on.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from macroslow.authn.api_keys import has_overlap, is_in_force
from macroslow.authn.ports import KeyRecord
from macroslow.authn.principal import Principal
from macroslow.authn.terms import terms_of
from macroslow.ports import MINUTE_NS

IN_FORCE: Final = "in force"
NO_TEXT: Final = bytes(32)
"""The hash of no text that anybody could find."""


@dataclass(slots=True)  # not frozen: `text_hash` is learned
class HeldKey:
    """A key's record, and the principals that its secrets make (built once, not per request).

    `old` is who shows the secret before, which works for a while after a rotation. `text_hash` is what its
    text is known again by once it was let in; it is lost when the key is held anew.
    """

    record: KeyRecord
    principal: Principal
    old: Principal | None
    text_hash: bytes = field(default=NO_TEXT, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, record: KeyRecord) -> "HeldKey":
        """Hold a record."""
        principal = principal_of(record)
        old = replace(principal, generation=record.generation - 1) if record.old_secret_hmac else None
        return cls(record, principal, old)


class KeyRing:
    """Client keys by id. One instance a process."""

    def __init__(self, records: Iterable[KeyRecord] = ()) -> None:
        self.used_ns: dict[str, int] = {}
        """When each key was last used, as far as this process knows; whoever lets a key in sets it."""
        self.replace_all(records)

    def replace_all(self, records: Iterable[KeyRecord]) -> None:
        """Forget all keys and hold these."""
        self._held = {record.id: HeldKey.of(record) for record in records}
        self.used_ns = {key_id: used for key_id, used in self.used_ns.items() if key_id in self._held}
        self._has_legacy = any(held.record.legacy for held in self._held.values())

    def put(self, record: KeyRecord) -> None:
        """Hold a new key, or the new state of a known one."""
        self._held[record.id] = HeldKey.of(record)
        self._has_legacy = self._has_legacy or record.legacy

    def drop(self, key_ids: Iterable[str]) -> None:
        """Forget keys, and when they were used."""
        for key_id in key_ids:
            self._held.pop(key_id, None)
            self.used_ns.pop(key_id, None)

    def learn_uses(self, used_ns: Mapping[str, int]) -> None:
        """Take over what is known elsewhere of the keys' last uses, where it is later."""
        for key_id in self._held.keys() & used_ns.keys():
            self.used_ns[key_id] = max(used_ns[key_id], self.used_ns.get(key_id, 0))

    def last_uses_ns(self) -> dict[str, int]:
        """The minute in which each key was last let in, of those of which it is known."""
        return {key_id: _minute_ns(used_ns) for key_id, used_ns in self.used_ns.items()}

    def last_used_ns(self, key_id: str) -> int | None:
        """The same of one key; None: never, as far as is known."""
        return _minute_ns(self.used_ns[key_id]) if key_id in self.used_ns else None

    @property
    def has_legacy(self) -> bool:
        """Whether any key was made by another gateway."""
        return self._has_legacy

    def get(self, key_id: str) -> HeldKey | None:
        """The key with this id, in force or not."""
        return self._held.get(key_id)

    def makers(self, record: KeyRecord) -> Iterator[KeyRecord]:
        """The keys between this one and the operator, the nearest first. It ends where one is not known."""
        while record.maker and (maker := self._held.get(record.maker)) is not None:
            record = maker.record
            yield record

    def with_makers(self, principal: Principal, record: KeyRecord) -> Principal:
        """The caller by this key, and who made it, as they are bounded now."""
        if not record.maker:
            return principal
        return replace(principal, makers=tuple(self._held[one.id].principal for one in self.makers(record)))

    def in_force(self, record: KeyRecord, now_ns: int) -> bool:
        """Whether a key, and the key that made it, and so on, are neither revoked nor past their expiry."""
        while is_in_force(record, now_ns):
            if not record.maker:
                return True
            maker = self._held.get(record.maker)
            if maker is None:
                return False
            record = maker.record
        return False

    def state(self, record: KeyRecord, now_ns: int) -> str:
        """Whether a key is IN_FORCE, "expired", "revoked" or "ended with its maker"."""
        if record.revoked_ns is not None:
            return "revoked"
        if not is_in_force(record, now_ns):
            return "expired"
        return IN_FORCE if self.in_force(record, now_ns) else "ended with its maker"

    def ended_ns(self, record: KeyRecord) -> int | None:
        """When a key ends or ended, by itself or with a key above it; None: never, as it stands."""
        above = (record, *self.makers(record))
        ends = [end for one in above for end in (one.revoked_ns, one.expires_ns) if end is not None]
        return min(ends, default=None)

    def depth(self, record: KeyRecord) -> int:
        """How many keys stand between this one and the operator."""
        return sum(1 for _ in self.makers(record))

    def admits(self, principal: Principal, now_ns: int) -> bool:
        """Whether a caller of one of these keys would still be let in: key and secret are in force."""
        held = self._held.get(principal.key_id)
        if held is None or not self.in_force(held.record, now_ns):
            return False
        record = held.record
        return principal.generation == record.generation or (
            principal.generation == record.generation - 1 and has_overlap(record, now_ns)
        )

    def records(self) -> list[KeyRecord]:
        """All keys, revoked ones too, oldest first."""
        return sorted((held.record for held in self._held.values()), key=lambda record: record.created_ns)


def account_of(key_id: str) -> str:
    """Name of the ledger account that a key's calls are charged to."""
    return f"key/{key_id}"


def principal_of(record: KeyRecord) -> Principal:
    """Who acts when this key is used."""
    return Principal(
        record.principal, account_of(record.id), record.id, record.generation, **terms_of(record)
    )


def _minute_ns(time_ns: int) -> int:
    """A use is known by its minute and no closer, here and in the books."""
    return time_ns // MINUTE_NS * MINUTE_NS
