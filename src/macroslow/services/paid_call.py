"""One paid call in the books: its reservation, and the one settlement that every path ends in.

A `PaidCall` is the facts of a call; a `Settlement` says how it ended. Booking it is one commit: the
ledger's row and the log's leaf are durable together, or neither is.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.errors import UpstreamRefusedError
from macroslow.inference.chat_answer import Possible
from macroslow.inference.ports import Provider
from macroslow.metering.bounds import Bounds
from macroslow.metering.ledger import Reserve, Settle, Usage
from macroslow.services.admission import Place
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append

NOTHING: Final = Usage(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a call ended: its outcome as in `Settle`, what is owed, and what the client was sent.

    `status` is the provider's (0: none came); `answer_sha256` is over the bytes of the answer as
    they went out, None where this gateway answered with an error of its own.
    """

    outcome: str
    usage: Usage
    status: int
    answer_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class PaidCall:
    """The facts of one call. `request_sha256` is over the body as the client sent it."""

    reservation_id: str
    account: str
    principal: Principal
    provider: Provider
    bounds: Bounds
    stream: bool
    request_id: str
    request_sha256: str
    tag: str
    run_id: str

    def reserve(self, now_ns: int) -> Reserve:
        """The change that holds the most this call can cost."""
        return Reserve(
            id=self.reservation_id,
            account=self.account,
            usd_micros=self.bounds.usd_micros,
            principal=self.principal.name,
            key_id=self.principal.key_id,
            provider=self.provider.name,
            model=self.bounds.model.name,
            created_ns=now_ns,
            tag=self.tag,
            run_id=self.run_id,
        )

    def book(self, ended: Settlement, now_ns: int) -> tuple[Settle, Append]:
        """The two changes of one commit that end this call."""
        settle = Settle(self.reservation_id, ended.usage, now_ns, ended.outcome)
        event = Event(EventType.CHAT_COMPLETED, now_ns, self.principal.name, self._fields(ended))
        return settle, Append(event)

    def _fields(self, ended: Settlement) -> dict[str, object]:
        return {
            "request_id": self.request_id,
            "principal": self.principal.name,
            "key_id": self.principal.key_id,
            "provider": self.provider.name,
            "model": self.bounds.model.name,
            "input_tokens": ended.usage.input_tokens,
            "output_tokens": ended.usage.output_tokens,
            "usd_micros": ended.usage.usd_micros,
            "status": ended.status,
            "outcome": ended.outcome,
            "tag": self.tag,
            "run_id": self.run_id,
            "request_sha256": self.request_sha256,
            "answer_sha256": ended.answer_sha256,
            "stream": self.stream,
            "emulator": self.provider.emulator,
        }


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A call that has its place and its reservation, and since when (monotonic)."""

    call: PaidCall
    place: Place
    started_ns: int

    @property
    def possible(self) -> Possible:
        """The usage that a provider can report and be believed."""
        bounds = self.call.bounds
        return Possible(bounds.model.context_tokens, bounds.output_tokens)

    def unknown(self, status: int = 0, sha256: str | None = None) -> Settlement:
        """Nobody knows what was done: charged in full."""
        return Settlement("unknown", self.call.bounds.in_full, status, sha256)

    def aborted(
        self, counted_tokens: int, now_ns: int, status: int = 0, sha256: str | None = None
    ) -> Settlement:
        """The client hung up after `counted_tokens` of output had come."""
        usage = self.call.bounds.aborted(counted_tokens, now_ns - self.started_ns)
        return Settlement("aborted", usage, status, sha256)

    def failed(self, error: BaseException, now_ns: int) -> Settlement:
        """No answer came, but this error."""
        if isinstance(error, UpstreamRefusedError):
            return Settlement("refused", NOTHING, error.status)
        if isinstance(error, asyncio.CancelledError):
            return self.aborted(0, now_ns)
        return self.unknown()
