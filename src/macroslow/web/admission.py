"""How often a credential or an address may knock. Memory is bounded; state is per process.

A good credential is never refused because a neighbour at the same address sends bad ones: failures are
counted after they have failed, and only other failures are refused for them. Otherwise anybody behind the
same address translator could lock everybody else there out; and nobody guesses 256 bits, at any rate.

How a credential stands is told with every answer, as draft-ietf-httpapi-ratelimit-headers-11 has it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from macroslow.authn.addresses import neighbourhood, read_address
from macroslow.authn.principal import Principal
from macroslow.authn.refusal import Refusal, bad_credential
from macroslow.errors import RateLimitedError
from macroslow.limits.admission import per_minute
from macroslow.limits.gcra import Limit
from macroslow.limits.tallies import Tallies
from macroslow.ports import MINUTE_NS, NS_PER_S, Clock
from macroslow.web.messages import Scope
from macroslow.web.visit import Visit

MAX_ADDRESSES: Final = 4096
MAX_CREDENTIALS: Final = 100_000
LOCAL: Final = "local"  # a caller on a Unix socket

POLICY: Final = b"ratelimit-policy"
STANDING: Final = b"ratelimit"
MORE: Final = {
    b"key": ("this key", "wait, or have the operator allow more: macroslow keys set ID --rpm N"),
    b"token": ("this token's bearer", "wait, or have the operator allow its issuer's tokens more"),
}
"""Whose limit of requests it is, and how to come by more."""
TOLD_AGAIN_NS: Final = 60 * MINUTE_NS  # who goes on guessing is told of once an hour


@dataclass(frozen=True, slots=True)
class Policy:
    """A limit of requests, and how clients are told of it: an Item of RateLimit-Policy."""

    limit: Limit
    name: bytes
    told: bytes

    def standing(self, used_ns: int) -> bytes:
        """The Item of RateLimit when all are back in `used_ns`: how many are left, and seconds until then."""
        left = self.limit.burst - -(-used_ns // self.limit.interval_ns)
        return b'"%b";r=%d;t=%d' % (self.name, left, -(-used_ns // NS_PER_S))


@lru_cache(maxsize=1024)  # not made per request
def _policy(name: bytes, per_minute_count: int) -> Policy:
    limit = per_minute("requests", per_minute_count)
    return Policy(limit, name, b'"%b";q=%d;w=60' % (name, per_minute_count))


class CredentialLimits:
    """Requests per minute of each credential, as its terms say, or else `default_per_minute`."""

    def __init__(self, clock: Clock, default_per_minute: int | None = None) -> None:
        self._default = default_per_minute
        self._tallies = Tallies(clock, MAX_CREDENTIALS)

    def admit(self, visit: Visit, credential: Principal) -> None:
        """Count one request, and have its answer say how the credential stands.

        RateLimitedError if the credential has used up its minute; the answer says that too.
        """
        count = credential.requests_per_minute
        count = self._default if count is None else count
        if count is None:
            return
        whose = b"key" if credential.key_id else b"token"
        policy = _policy(whose, count)
        used_ns = policy.limit.burst * policy.limit.interval_ns
        try:
            used_ns = self._tallies.admit(credential.account, policy.limit, *MORE[whose])
        finally:
            visit.limits = (*visit.limits, (POLICY, policy.told), (STANDING, policy.standing(used_ns)))


class Present:
    """The requests under way, by the credential that they came with."""

    def __init__(self) -> None:
        self._visits: dict[str, dict[str, Visit]] = {}

    def enter(self, visit: Visit, credential: Principal) -> None:
        """Note that a request begins. RateLimitedError if as many are under way as its terms allow."""
        mine = self._visits.setdefault(credential.account, {})
        most = credential.concurrent_requests
        if most is not None and len(mine) >= most:
            raise RateLimitedError(
                f"{most} requests of this credential are under way, which is all that it may have",
                fix="wait for one, or have the operator allow more: macroslow keys set ID --concurrent N",
                limit="concurrent requests",
                count=most,
                period_s=0,
                retry_after_s=1.0,
            )
        mine[visit.request_id] = visit

    def withdraw(self, admits: Callable[[Principal], bool]) -> None:
        """End every request whose caller would be let in no more."""
        for visit in [visit for mine in self._visits.values() for visit in mine.values()]:
            if visit.principal is not None and not admits(visit.principal):
                visit.end(bad_credential(Refusal.WITHDRAWN))

    def leave(self, visit: Visit, credential: Principal) -> None:
        """Note that a request is over."""
        mine = self._visits.get(credential.account, {})
        mine.pop(visit.request_id, None)
        if not mine:
            self._visits.pop(credential.account, None)


class AddressLimits:
    """Requests of one kind per minute and client address (IPv6: per /64, which one caller owns)."""

    def __init__(self, name: str, count_per_minute: int, clock: Clock) -> None:
        self._limit = per_minute(name, count_per_minute)
        self._tallies = Tallies(clock, MAX_ADDRESSES)

    def admit(self, scope: Scope) -> None:
        """Count one. RateLimitedError if the address has used up its minute."""
        self._tallies.admit(_neighbourhood(scope), self._limit, "one address")


class FailedAttempts:
    """Bad credentials per minute and address; an address that passes that is told of, once an hour."""

    def __init__(self, count_per_minute: int, clock: Clock, tell: Callable[[str], None]) -> None:
        self._limits = AddressLimits("failed authentications", count_per_minute, clock)
        self._clock = clock
        self._tell = tell
        self._told_ns: dict[str, int] = {}

    def admit(self, scope: Scope) -> None:
        """Count one. RateLimitedError if it is one too many."""
        try:
            self._limits.admit(scope)
        except RateLimitedError:
            self._tell_once(scope)
            raise

    def _tell_once(self, scope: Scope) -> None:
        whence, now_ns = _neighbourhood(scope), self._clock.monotonic_ns()
        told_ns = self._told_ns.get(whence)
        if told_ns is not None and now_ns - told_ns < TOLD_AGAIN_NS:
            return
        self._told_ns.pop(whence, None)  # so that the order of the dictionary is that of telling
        self._told_ns[whence] = now_ns
        if len(self._told_ns) > MAX_ADDRESSES:
            del self._told_ns[next(iter(self._told_ns))]
        self._tell(address_of(scope))


def address_of(scope: Scope) -> str:
    """The caller's address, as text."""
    client = scope.get("client")
    return client[0] if client else LOCAL


def _neighbourhood(scope: Scope) -> str:
    found = read_address(address_of(scope))
    return LOCAL if found is None else neighbourhood(found)
