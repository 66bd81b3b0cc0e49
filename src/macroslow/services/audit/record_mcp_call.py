"""A message over MCP whose caller wants a receipt: what was asked and answered, by digest, in the log.

What a tool does is logged by the tool itself; this entry is about the bytes that went over the wire.
"""

from dataclasses import dataclass

from macroslow.authn.principal import Principal
from macroslow.ports import Clock
from macroslow.tlog import receipt
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.values import value
from macroslow.workflow.books import Books


@value
class MCPCall:
    """One POST /mcp. Digests (hex) are of the exact bytes of request and answer; `tool` "": none is named."""

    request_id: str
    method: str
    tool: str
    request_sha256: str
    answer_sha256: str
    status: int


@dataclass(frozen=True, slots=True)
class RecordMCPCall:
    """Its fields are everything that it touches."""

    books: Books
    clock: Clock

    async def __call__(self, principal: Principal, call: MCPCall) -> None:
        """Make the entry durable and keep its receipt; LogUnavailableError if it cannot be."""
        now_ns = self.clock.now_ns()
        fields = {
            "request_id": call.request_id,
            "principal": principal.name,
            "key_id": principal.key_id,
            "method": call.method,
            "tool": call.tool,
            "request_sha256": call.request_sha256,
            "answer_sha256": call.answer_sha256,
            "status": call.status,
        }
        await self.books.commit(
            Append(Event(EventType.MCP_CALLED, now_ns, principal.name, fields)),
            receipt.kept(call.request_id, principal.name, now_ns),
        )
