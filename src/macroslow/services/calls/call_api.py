"""A run calls an outside API that its document, its caller and the operator all grant."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from macroslow.authn.principal import Principal
from macroslow.errors import MacroslowError, NotFoundError
from macroslow.ports import Clock
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books
from macroslow.workflow.outside import OutsideAnswer, OutsideAPI, check_target


@dataclass(frozen=True, slots=True)
class CallAPI:
    """One GET through the gateway: the secret is added on this side, and the call is a log entry."""

    apis: Mapping[str, OutsideAPI]
    books: Books
    clock: Clock

    async def __call__(
        self, principal: Principal, run_id: str, name: str, path: str, query: str
    ) -> OutsideAnswer:
        """Return the API's answer once the call is logged; what it said is not kept.

        A run that is cut off while it waits is logged too: the call may have been made.
        """
        api = self.apis.get(name)
        if api is None:
            raise NotFoundError(f"no API named {name!r} is configured", fix=f"add [apis.{name}]")
        check_target(path, query)
        try:
            answer = await api.get(path, query)
        except MacroslowError as error:
            await self._log(principal, run_id, name, path, error.code, 0)
            raise
        except asyncio.CancelledError:
            await self._log(principal, run_id, name, path, "unknown", 0)
            raise
        await self._log(principal, run_id, name, path, str(answer.status), len(answer.body))
        return answer

    async def _log(
        self, principal: Principal, run_id: str, name: str, path: str, outcome: str, size_bytes: int
    ) -> None:
        fields = {
            "principal": principal.name,
            "run_id": run_id,
            "api": name,
            "path": path,
            "outcome": outcome,
            "answer_bytes": size_bytes,
        }
        event = Event(EventType.API_CALLED, self.clock.now_ns(), principal.name, fields)
        await self.books.commit(Append(event))
