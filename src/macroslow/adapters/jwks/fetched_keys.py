"""The keys of one issuer: fetched in the background before their time, and once more for an unknown key.

Whoever sends tokens with invented key ids causes at most one fetch in 30 seconds, of all callers
together. When the issuer is away its last keys stay in force for a day; then its tokens are refused
(closed, not open) until it is back.
"""

import asyncio
import logging
from typing import Final

import aiohttp

from macroslow.adapters.jwks.fetch import Fetched, fetch
from macroslow.authn.jwt.keys import EMPTY, KeySet
from macroslow.errors import UpstreamUnavailableError
from macroslow.ports import NS_PER_S, Clock

RENEW_EVERY_S: Final = 30  # at most, whoever asks
KEEP_S: Final = 24 * 60 * 60  # keys of an issuer that does not answer any more
EARLY: Final = 0.9  # of its time, after which a set is asked for again

log: Final = logging.getLogger("macroslow.jwks")


class FetchedKeys:
    """Implements `authn.jwt.ports.KeySource`."""

    def __init__(self, issuer: str, url: str, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._issuer = issuer
        self._url = url
        self._session = session
        self._clock = clock
        self._keys = EMPTY
        self._fetched_ns: int | None = None
        self._tried_ns: int | None = None
        self._fresh_s = 0
        self._failing = False
        self._fetching: asyncio.Task[None] | None = None

    @property
    def keys(self) -> KeySet:
        """What is in force now: the last set that came, for KEEP_S."""
        if self._fetched_ns is None or self._since_s(self._fetched_ns) > KEEP_S:
            return EMPTY
        return self._keys

    async def renew(self) -> None:
        """Fetch, unless somebody did just now; whoever comes while it is being fetched waits for that."""
        fetching = self._fetching
        if fetching is None:
            if self._tried_ns is not None and self._since_s(self._tried_ns) < RENEW_EVERY_S:
                return
            self._tried_ns = self._clock.monotonic_ns()
            fetching = self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(fetching)  # one caller that leaves must not end it for the others

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        try:
            while True:
                await self.renew()
                await asyncio.sleep(self.wait_s())
        finally:
            if self._fetching is not None:
                self._fetching.cancel()

    def wait_s(self) -> float:
        """How long the background waits before it asks again."""
        if self._failing or self._fetched_ns is None:
            return RENEW_EVERY_S
        return max(self._fresh_s * EARLY - self._since_s(self._fetched_ns), RENEW_EVERY_S)

    async def _fetch(self) -> None:
        try:
            fetched = await fetch(self._session, self._url)
        except UpstreamUnavailableError as error:
            if not self._failing:
                log.warning(
                    "issuer %s: its keys could not be fetched from its jwks_url: %s",
                    self._issuer,
                    error.reason,
                )
            self._failing = True
        else:
            self._take(fetched)
        finally:
            self._fetching = None

    def _take(self, fetched: Fetched) -> None:
        if self._failing:
            log.warning("issuer %s: its keys are fetched again", self._issuer)
        self._failing = False
        self._fetched_ns, self._fresh_s = self._clock.monotonic_ns(), fetched.fresh_s
        if fetched.keys == self._keys:
            return
        self._keys = fetched.keys
        for what in fetched.keys.left_out:
            log.warning("issuer %s: not used, %s", self._issuer, what)

    def _since_s(self, then_ns: int) -> float:
        return (self._clock.monotonic_ns() - then_ns) / NS_PER_S
