"""Responses that are kept in memory, so that a next one can go on from them; the oldest make room."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.emulator.ask import Message

_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Kept:
    """One response as it was sent, and the turns of its conversation up to and with its answer."""

    body: dict[str, Any]
    turns: tuple[Message, ...]


@dataclass(slots=True)
class ResponseStore:
    """By id. All keys are one account's, so each finds what another stored."""

    _kept: OrderedDict[str, Kept] = field(default_factory=OrderedDict)

    def find(self, response_id: str) -> Kept | None:
        return self._kept.get(response_id)

    def keep(self, response_id: str, kept: Kept) -> None:
        self._kept[response_id] = kept
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)

    def forget(self, response_id: str) -> bool:
        """Whether there was one."""
        return self._kept.pop(response_id, None) is not None
