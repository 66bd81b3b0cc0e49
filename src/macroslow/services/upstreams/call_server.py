"""A call to another server, for a principal who may: counted, checked, logged, cleaned.

What goes there is the call alone: nothing says for whom. What comes back is bounded by the port, cleaned of
what a person would not see, and held against the approved output schema. The entry in the log is durable
before the answer leaves; it has digests of arguments and result, and no text of them.
"""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from macroslow.authn.principal import Principal
from macroslow.errors import BadRequestError, MacroslowError, UpstreamRefusedError, UpstreamUnavailableError
from macroslow.limits.admission import Verdict, per_minute
from macroslow.limits.tallies import Tallies
from macroslow.mcp.pins import Kind, Place
from macroslow.mcp.upstream import JSON, Progress
from macroslow.ports import NS_PER_MS, Clock
from macroslow.services.upstreams.offers import Offer
from macroslow.services.upstreams.results import Result, result_of, sha256_of
from macroslow.services.upstreams.their_words import cleaned
from macroslow.services.upstreams.watch_servers import told_name
from macroslow.services.upstreams.watched_server import Rule, WatchedServer
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.values import value
from macroslow.workflow.books import Books

if TYPE_CHECKING:
    import mcp_types as types

    Told = types.CallToolResult | types.GetPromptResult | types.ReadResourceResult


@value
class UpstreamCall:
    """Who asks for what, in which request, with which arguments; `uri`: a resource, as he named it."""

    principal: Principal
    request_id: str
    server: WatchedServer
    offer: Offer
    arguments: JSON
    uri: str = ""


@dataclass(slots=True)
class Counts:
    """For the metrics: calls by server and outcome, and characters taken out of results, by server."""

    calls: dict[tuple[str, str], int] = field(default_factory=dict)
    hidden: dict[str, int] = field(default_factory=dict)

    def call(self, server: str, outcome: str) -> None:
        """Count one."""
        self.calls[server, outcome] = self.calls.get((server, outcome), 0) + 1


@dataclass(frozen=True, slots=True)
class CallServer:
    """Its fields are everything that it touches."""

    books: Books
    clock: Clock
    tallies: Tallies
    counts: Counts

    async def __call__(self, asked: UpstreamCall, progress: Progress | None = None) -> "Told":
        """The result for the client. A caller who leaves is logged too: the call may have been made.

        Raises RateLimitedError, UpstreamError, TooLargeError, LogUnavailableError; BadRequestError for
        arguments that cannot be sent.
        """
        arguments_sha256 = _hashed(asked.arguments)
        rule = asked.server.rules.of(asked.offer.place)
        self._count(asked, rule)
        began_ns = self.clock.monotonic_ns()
        outcome, result = "unknown", None
        try:
            result = await self._called(asked, rule, progress)
            outcome = "failed" if getattr(result.told, "is_error", None) else "ok"
            return result.told
        except MacroslowError as error:
            outcome = cleaned(error).code
            raise
        finally:
            duration_ms = (self.clock.monotonic_ns() - began_ns) // NS_PER_MS
            self.counts.call(asked.server.name, outcome)
            hashes = (arguments_sha256, None if result is None else result.sha256)
            await self._log(asked, outcome, hashes, duration_ms)

    async def _called(self, asked: UpstreamCall, rule: Rule, progress: Progress | None) -> Result:
        server, verdict = asked.server, Verdict.UNKNOWN
        admittance = server.admit()
        try:
            raw = await _sent(server, asked.offer.place, asked.arguments, rule.timeout_s, progress)
            verdict = Verdict.ANSWERED
        except UpstreamUnavailableError:
            verdict = Verdict.FAILED
            raise
        except UpstreamRefusedError:
            verdict = Verdict.ANSWERED
            raise
        finally:
            server.ended(admittance, verdict)
        # Beside the requests: it may be as large as the operator allows.
        result = await asyncio.to_thread(result_of, server.name, asked.offer, asked.uri, raw)
        if result.hidden:
            self.counts.hidden[server.name] = self.counts.hidden.get(server.name, 0) + result.hidden
        return result

    def _count(self, asked: UpstreamCall, rule: Rule) -> None:
        server, who = asked.server, asked.principal.name
        whole = per_minute(f"calls to the MCP server {server.name}", server.rules.calls_per_minute)
        self.tallies.admit(f"{server.name}\0{who}", whole, who, "wait, or ask the operator for more")
        if rule.calls_per_minute is not None:
            own = asked.offer.place.name
            limit = per_minute(f"calls of {own} of the MCP server {server.name}", rule.calls_per_minute)
            self.tallies.admit(
                f"{server.name}\0{own}\0{who}", limit, who, "wait, or ask the operator for more"
            )

    async def _log(
        self, asked: UpstreamCall, outcome: str, hashes: tuple[str, str | None], duration_ms: int
    ) -> None:
        principal, place = asked.principal, asked.offer.place
        fields = {
            "request_id": asked.request_id,
            "principal": principal.name,
            "key_id": principal.key_id,
            "server": asked.server.name,
            "kind": place.kind.value,
            "name": told_name(place),
            "arguments_sha256": hashes[0],
            "result_sha256": hashes[1],
            "outcome": outcome,
            "duration_ms": duration_ms,
        }
        event = Event(EventType.MCP_FORWARDED, self.clock.now_ns(), principal.name, fields)
        await self.books.commit(Append(event))


async def _sent(
    server: WatchedServer, place: Place, arguments: JSON, timeout_s: float, progress: Progress | None
) -> JSON:
    match place.kind:
        case Kind.TOOL:
            return await server.port.call_tool(place.name, arguments, timeout_s=timeout_s, progress=progress)
        case Kind.PROMPT:
            return await server.port.get_prompt(place.name, arguments, timeout_s=timeout_s)
        case _:
            return await server.port.read_resource(arguments["uri"], timeout_s=timeout_s)


def _hashed(arguments: JSON) -> str:
    try:
        return sha256_of(arguments)
    except TypeError:
        raise BadRequestError(
            "the arguments hold a number beyond 64 bits, or are nested too deeply",
            fix="write large numbers as text",
        ) from None
