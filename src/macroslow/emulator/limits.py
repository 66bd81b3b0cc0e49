"""The provider's rate limits: two buckets a model, requests and tokens a minute, refilled all the time.

A bucket of `count` units starts full and regains them evenly over a minute. A call is admitted if
both buckets hold its cost, and then takes from both; a refusal takes nothing. This is how OpenAI's
own refusals compute: "Limit 30000, Used 29937, Requested 385. Please try again in 644ms" is
(29937 + 385 - 30000) tokens at 500 a second. Integers only, so the edge is exact to the nanosecond.

Headers: OpenAI, "Rate limits", section "Rate limits in headers".
"""

import enum
from dataclasses import dataclass
from typing import Final

from macroslow.emulator.spec import parse_pairs, whole_number
from macroslow.errors import ConfigurationError
from macroslow.ports import NS_PER_S

MINUTE_NS: Final = 60 * NS_PER_S
_MS_NS: Final = 10**6


class Charge(enum.StrEnum):
    """What a call takes from the token bucket besides its input."""

    USED = "used"  # the tokens of its answer
    MAX_TOKENS = "max_tokens"  # the most that it allows, if it names a maximum


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests and tokens a minute, each for one model; None is no limit."""

    requests: int | None = None
    tokens: int | None = None
    charge: Charge = Charge.USED


@dataclass(frozen=True, slots=True)
class Bucket:
    """`missing` is what was taken and has not come back, in units x nanoseconds of a minute, at `at_ns`."""

    count: int
    missing: int = 0
    at_ns: int = 0

    def at(self, now_ns: int) -> "Bucket":
        """The bucket at `now_ns`; a clock that ran backwards brings nothing back."""
        gained = max(0, now_ns - self.at_ns) * self.count
        return Bucket(self.count, max(0, self.missing - gained), max(now_ns, self.at_ns))

    def take(self, units: int) -> "Bucket":
        """The bucket without `units`, after `wait_ns` said 0."""
        return Bucket(self.count, self.missing + units * MINUTE_NS, self.at_ns)

    def wait_ns(self, units: int) -> int:
        """Nanoseconds until it holds `units`: 0 if it does. Never comes for more than `count` units."""
        lacking = self.missing + (units - self.count) * MINUTE_NS
        return max(0, -(-lacking // self.count))

    @property
    def remaining(self) -> int:
        """Whole units in it."""
        return max(0, self.count - self.used)

    @property
    def used(self) -> int:
        """Units that have not come back, a started one counted in full."""
        return -(-self.missing // MINUTE_NS)

    @property
    def reset_ns(self) -> int:
        """Nanoseconds until it is full again."""
        return -(-self.missing // self.count)


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A refusal: by which limit ("requests" or "tokens"; of two, the one that takes longer).

    With no other traffic the same call passes after exactly `wait_ns`; None: it never will.
    """

    kind: str
    count: int
    used: int
    requested: int
    wait_ns: int | None


class Meter:
    """The buckets of one model. Not safe in several threads; one event loop owns it."""

    def __init__(self, limits: Limits) -> None:
        self._buckets = {
            kind: Bucket(count)
            for kind, count in (("requests", limits.requests), ("tokens", limits.tokens))
            if count is not None
        }

    def admit(self, tokens: int, now_ns: int) -> Exceeded | None:
        """Take one request of `tokens` tokens, or say why not. All or nothing."""
        costs = {"requests": 1, "tokens": tokens}
        self._buckets = {kind: bucket.at(now_ns) for kind, bucket in self._buckets.items()}
        waits_ns = {kind: bucket.wait_ns(costs[kind]) for kind, bucket in self._buckets.items()}
        kind = max(waits_ns, key=waits_ns.__getitem__, default="")
        if not waits_ns or not waits_ns[kind]:
            self._buckets = {kind: bucket.take(costs[kind]) for kind, bucket in self._buckets.items()}
            return None
        bucket = self._buckets[kind]
        possible = all(costs[kind] <= bucket.count for kind, bucket in self._buckets.items())
        return Exceeded(kind, bucket.count, bucket.used, costs[kind], waits_ns[kind] if possible else None)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The `x-ratelimit-…` headers as of the last call of `admit`."""
        return [
            (f"x-ratelimit-{what}-{kind}".encode(), str(value).encode())
            for kind, bucket in self._buckets.items()
            for what, value in (
                ("limit", bucket.count),
                ("remaining", bucket.remaining),
                ("reset", duration(bucket.reset_ns)),
            )
        ]


def duration(time_ns: int) -> str:
    """A time as OpenAI's headers write it: "0s", "12ms", "8.64s", "6m0s", "1h0m30s"; rounded up to ms."""
    total_ms = -(-time_ns // _MS_NS)
    if 0 < total_ms < 1000:
        return f"{total_ms}ms"
    total_s, ms = divmod(total_ms, 1000)
    minutes, seconds = divmod(total_s, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{ms:03}".rstrip("0") if ms else ""
    larger = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{larger}{seconds}{fraction}s"


def parse_limits(text: str) -> Limits:
    """Read `rpm=500,tpm=200000,charge=used`; `none` is no limits. Raises ConfigurationError."""
    if text.strip() == "none":
        return Limits()
    pairs = parse_pairs(text, ("rpm", "tpm", "charge"))
    charge = pairs.pop("charge", Charge.USED)
    if charge not in set(Charge):
        raise ConfigurationError(f"charge is one of {', '.join(Charge)}, not {charge!r}")
    counts = {name: whole_number(name, value) for name, value in pairs.items()}
    return Limits(counts.get("rpm"), counts.get("tpm"), Charge(charge))
