"""A call to another server, for a principal who may: counted, checked, logged, cleaned.

What goes there is the call alone: nothing says for whom. What comes back is bounded by the port, cleaned of
what a person would not see, and held against the approved output schema. The entry in the log is durable
before the answer leaves; it has digests of arguments and result, and no text of them.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

import orjson

from macroslow.authn.principal import Principal
from macroslow.errors import (
    MacroslowError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from macroslow.limits.admission import Verdict, per_minute
from macroslow.limits.tallies import Tallies
from macroslow.mcp.clean_text import clean, clean_json
from macroslow.mcp.pins import Kind, Place
from macroslow.mcp.upstream import JSON, Progress
from macroslow.ports import NS_PER_MS, Clock
from macroslow.services.upstreams.watched_server import Offer, Rule, WatchedServer
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.values import value
from macroslow.workflow.books import Books

MAX_NAME: Final = 256  # characters of an item's name in the log


@value
class Asked:
    """Who asks for what, in which request, with which arguments."""

    principal: Principal
    request_id: str
    server: WatchedServer
    offer: Offer
    arguments: JSON


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

    async def __call__(self, asked: Asked, progress: Progress | None = None) -> JSON:
        """The cleaned result. Raises RateLimitedError, UpstreamError, TooLargeError, LogUnavailableError.

        A caller who leaves is logged too: the call may have been made.
        """
        rule = asked.server.rules.of(asked.offer.place)
        self._count(asked, rule)
        began_ns = self.clock.monotonic_ns()
        outcome, told = "unknown", ""
        try:
            result = await self._called(asked, rule, progress)
            outcome = "failed" if result.get("isError") is True else "ok"
            told = _sha256(result)
        except MacroslowError as error:
            outcome = error.code
            raise
        finally:
            duration_ms = (self.clock.monotonic_ns() - began_ns) // NS_PER_MS
            self.counts.call(asked.server.name, outcome)
            await self._log(asked, outcome, told or None, duration_ms)
        return result

    async def _called(self, asked: Asked, rule: Rule, progress: Progress | None) -> JSON:
        server, verdict = asked.server, Verdict.UNKNOWN
        admittance = server.admit()
        try:
            result = await _sent(server, asked.offer.place, asked.arguments, rule.timeout_s, progress)
            verdict = Verdict.ANSWERED
        except UpstreamUnavailableError:
            verdict = Verdict.FAILED
            raise
        except UpstreamRefusedError as error:
            verdict = Verdict.ANSWERED
            error.args = (clean(error.detail)[0],)
            error.detail = error.args[0]
            raise
        finally:
            server.ended(admittance, verdict)
        return self._cleaned(asked, result)

    def _cleaned(self, asked: Asked, result: JSON) -> JSON:
        name = asked.server.name
        try:
            cleaned, hidden = clean_json({k: v for k, v in result.items() if k not in _WIRE})
        except ValueError:
            raise UpstreamUnavailableError(
                f"the result of {name} is nested too deeply", upstream=name
            ) from None
        if hidden:
            self.counts.hidden[name] = self.counts.hidden.get(name, 0) + hidden
        told: JSON = cleaned
        outputs = asked.offer.outputs
        if outputs is not None and told.get("isError") is not True:
            complaints = outputs.complaints(told.get("structuredContent"))
            if complaints:
                raise UpstreamUnavailableError(
                    f"the result of {name} does not fit the output schema that was approved: {complaints[0]}",
                    upstream=name,
                )
        return told

    def _count(self, asked: Asked, rule: Rule) -> None:
        server, who = asked.server, asked.principal.name
        whole = per_minute(f"calls to the MCP server {server.name}", server.rules.calls_per_minute)
        self.tallies.admit(f"{server.name}\0{who}", whole, who, "wait, or ask the operator for more")
        if rule.calls_per_minute is not None:
            own = asked.offer.place.name
            limit = per_minute(f"calls of {own} of the MCP server {server.name}", rule.calls_per_minute)
            self.tallies.admit(
                f"{server.name}\0{own}\0{who}", limit, who, "wait, or ask the operator for more"
            )

    async def _log(self, asked: Asked, outcome: str, result_sha256: str | None, duration_ms: int) -> None:
        principal, place = asked.principal, asked.offer.place
        fields = {
            "request_id": asked.request_id,
            "principal": principal.name,
            "key_id": principal.key_id,
            "server": asked.server.name,
            "kind": place.kind.value,
            "name": place.name.encode("ascii", "backslashreplace").decode("ascii")[:MAX_NAME],
            "arguments_sha256": _sha256(asked.arguments),
            "result_sha256": result_sha256,
            "outcome": outcome,
            "duration_ms": duration_ms,
        }
        event = Event(EventType.MCP_FORWARDED, self.clock.now_ns(), principal.name, fields)
        await self.books.commit(Append(event))


_WIRE: Final = frozenset({"_meta", "resultType", "ttlMs", "cacheScope"})
"""Members of a result that are between its server and us."""


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


def _sha256(told: JSON) -> str:
    """Over JSON with its members in the order of their names, and no white space."""
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()
