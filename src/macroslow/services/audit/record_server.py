"""The life of a server in the log: when it began to serve, and that it ended in order."""

from collections.abc import Mapping
from dataclasses import dataclass

from macroslow.authn.principal import THE_GATEWAY
from macroslow.ports import Clock
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books


@dataclass(frozen=True, slots=True)
class RecordServer:
    """Two entries about the gateway itself. A start that follows a start tells of a crash between them."""

    books: Books
    clock: Clock
    version: str

    async def started(self, sandbox: str) -> None:
        """It serves from now on, with the sandbox of that name."""
        await self._note(EventType.SERVER_STARTED, {"version": self.version, "sandbox": sandbox})

    async def stopped(self) -> None:
        """It serves no more."""
        await self._note(EventType.SERVER_STOPPED, {"version": self.version})

    async def _note(self, event_type: EventType, fields: Mapping[str, object]) -> None:
        await self.books.commit(Append(Event(event_type, self.clock.now_ns(), THE_GATEWAY, fields)))
