"""One other server as it stands: what it offered at the last look, what of that may be offered on.

What an operator approved is compared at every look; a change takes effect at once, for listings and calls
alike. A server that cannot be reached keeps what it had: its calls fail, one by one, with what went wrong.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from macroslow.errors import MacroslowError, UpstreamUnavailableError
from macroslow.limits.admission import Verdict
from macroslow.limits.breaker import Admittance, Breaker
from macroslow.mcp.pins import Approved, Item, Kind, Place, Standing, compare, items_of
from macroslow.mcp.upstream import MIN_FRESH_S, UpstreamServer
from macroslow.ports import NS_PER_S, Clock
from macroslow.services.upstreams.offers import Offer, Offers, offers_of
from macroslow.services.upstreams.their_words import cleaned
from macroslow.values import value

FIRST_LOOK_S: Final = 5.0  # for so long a request waits for the first look of all
RETRY_S: Final = (1.0, 5.0, 15.0, 60.0)  # between looks that fail


@value
class Rule:
    """What holds for one tool; `calls_per_minute` None: no bound of its own."""

    scope: str
    timeout_s: float
    calls_per_minute: int | None = None


@value
class ServerRules:
    """What the operator says of one server. `tools`: the only ones that are offered; None: all approved."""

    scope: str
    timeout_s: float
    calls_per_minute: int
    tools: frozenset[str] | None
    rules: Mapping[str, Rule]

    def of(self, place: Place) -> Rule:
        """What holds for one item."""
        own = self.rules.get(place.name) if place.kind is Kind.TOOL else None
        return own or Rule(self.scope, self.timeout_s)

    def admits(self, place: Place) -> bool:
        """Whether the operator wants it offered at all."""
        return place.kind is not Kind.TOOL or self.tools is None or place.name in self.tools


class WatchedServer:
    """One server. `looks` counts the looks that found something out; `approved` are the pins at the start."""

    def __init__(
        self, name: str, port: UpstreamServer, rules: ServerRules, clock: Clock, approved: Approved
    ) -> None:
        self.name = name
        self.port = port
        self.rules = rules
        self.breaker = Breaker()
        self.standings: Sequence[Standing] = compare({}, approved)
        self.offers: Offers = {}
        self.generation = 0  # grows whenever `offers` changes
        self.looks = 0
        self.trouble = ""  # what the last look failed by
        self.fresh_s = MIN_FRESH_S
        self.took_s = 0.0  # to look through what was found last
        self._items: Mapping[Place, Item] = {}
        self._approved = approved
        self._clock = clock
        self._looking = asyncio.Lock()
        self._looked = asyncio.Event()

    async def approve(self, approved: Approved) -> None:
        """Go by these pins from now on."""
        async with self._looking:
            await self._compare(self._items, approved)

    async def try_out(self, approved: Approved) -> None:
        """Raise what `approve` would raise, which is nothing but a defect."""
        await asyncio.to_thread(self._stands, self._items, approved)

    @property
    def approved(self) -> Approved:
        """The pins in force."""
        return self._approved

    async def look(self) -> None:
        """Ask the server for everything. Raises what the port raises; then all stays as it was."""
        async with self._looking:
            try:
                found = await self.port.discover()
                began_ns = self._clock.monotonic_ns()
                items = await asyncio.to_thread(items_of, self.name, found, self.port.where)
                await self._compare(items, self._approved)
            except MacroslowError as error:
                self.trouble = cleaned(error).detail
                raise
            finally:
                self._looked.set()
            self.trouble = ""
            self.took_s = (self._clock.monotonic_ns() - began_ns) / NS_PER_S
            self.fresh_s = found.fresh_s
            self.looks += 1

    async def looked(self) -> None:
        """Wait until it was looked at once, for good or ill; not for long."""
        if not self._looked.is_set():
            try:
                async with asyncio.timeout(FIRST_LOOK_S):
                    await self._looked.wait()
            except TimeoutError:
                return

    def blocked(self, place: Place) -> bool:
        """Whether something that was approved waits for another approval."""
        return place in self._approved and place not in self.offers and self.rules.admits(place)

    def admit(self) -> Admittance:
        """Let a call go; what is returned is for `ended`. UpstreamUnavailableError while the server rests."""
        now_ns = self._clock.monotonic_ns()
        if (rests_ns := self.breaker.rests_ns(now_ns)) > 0:
            raise UpstreamUnavailableError(
                f"the server {self.name} failed again and again, and is left alone for a while",
                upstream=self.name,
                retry_after_s=rests_ns / NS_PER_S,
            )
        return self.breaker.admit(now_ns)

    def ended(self, admittance: Admittance, verdict: Verdict) -> None:
        """Tell how a call ended."""
        self.breaker.ended(admittance, verdict, self._clock.monotonic_ns())

    async def _compare(self, items: Mapping[Place, Item], approved: Approved) -> None:
        """Beside the requests: the catalogue of a stranger may be large."""
        standings, offers = await asyncio.to_thread(self._stands, items, approved)
        self._items, self._approved, self.standings = items, approved, standings
        before = {place: offer.item for place, offer in self.offers.items()}
        if {place: offer.item for place, offer in offers.items()} != before:
            self.offers = offers
            self.generation += 1

    def _stands(
        self, items: Mapping[Place, Item], approved: Approved
    ) -> tuple[Sequence[Standing], dict[Place, Offer]]:
        return offers_of(self.name, compare(items, approved), self.rules.admits, self.offers)
