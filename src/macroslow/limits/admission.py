"""The words of admission: what a provider allows, what a call asks for, and how it ended.

A *line* is one model of one provider. It has one or more *accounts* (keys), each with its own
limits: an `AccountQuota`. A call brings a `Demand` and ends with an `Ended`. Values only; the
accounting is in `limits.allowance`, the order of those who wait in `limits.queue`.
"""

import enum
from collections.abc import Collection
from dataclasses import dataclass

from macroslow.limits.gcra import Limit
from macroslow.ports import MINUTE_NS
from macroslow.values import value


def per_minute(name: str, count: int, burst: int | None = None) -> Limit:
    """`count` a minute; all of them at once unless `burst` says less."""
    return Limit(name, count, MINUTE_NS, burst or count)


class Window(enum.StrEnum):
    """Over which time a provider counts. A fixed calendar minute is a case of SLIDING."""

    SLIDING = "sliding"  # whatever lies in any 60 s
    BUCKET = "bucket"  # refilled all the time


class Charge(enum.StrEnum):
    """What a provider counts of a call."""

    MOST = "max_tokens"  # input and allowed output, when it arrives; nothing comes back
    USED = "used"  # what it used in the end


class Pace(enum.StrEnum):
    """How requests of one minute may be spread over it."""

    SECOND = "second"  # a sixtieth of them in any second
    MINUTE = "minute"  # as they come


@dataclass(frozen=True, slots=True)
class Quota:
    """What one account may use of one model. None: learned from what the provider reports.

    Numbers given here are upper bounds of what is learned. `rpm` and `rpd` are requests a minute and
    in any 24 hours, `tpm` tokens a minute, `concurrent` calls at once. What is given of `window`,
    `charge` and `pace` is believed; without `pace` requests are spread (Pace.SECOND).
    """

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    concurrent: int | None = None
    window: Window | None = None
    charge: Charge | None = None
    pace: Pace | None = None

    def __post_init__(self) -> None:
        counts = (self.rpm, self.tpm, self.rpd, self.concurrent)
        if any(count is not None and count < 1 for count in counts):
            raise ValueError("a limit below 1")


@dataclass(frozen=True, slots=True)
class AccountQuota:
    """One account's limits for one model. `account` is its label, e.g. "openai" or "openai#2"."""

    account: str
    quota: Quota


@dataclass(slots=True, eq=False)  # one call, however like another's; not frozen: one is made per call
class Demand:
    """What one call asks for. `tokens` is the likely most: counted input and allowed output.

    It goes to one of the accounts `among`; None: to any. Where calls wait, principals share what there is
    in proportion to `weight`.
    """

    principal: str
    tokens: int
    weight: int = 1
    among: Collection[str] | None = None

    def __post_init__(self) -> None:
        if self.tokens < 0 or self.weight < 1:
            raise ValueError("a demand of less than nothing, or without weight")

    def may_go_to(self, account: str) -> bool:
        """Whether this account is one of them."""
        return self.among is None or account in self.among


class Verdict(enum.Enum):
    """What the end of a call says about the account that served it."""

    ANSWERED = "answered"
    LIMITED = "limited"  # 429
    FAILED = "failed"  # 5xx, not reached, broke off
    UNKNOWN = "unknown"  # the caller left or was at fault: nothing


@value
class Ended:
    """How a call ended. `retry_after_ns` is what a provider that refused asked for, if it said."""

    used_tokens: int
    verdict: Verdict
    retry_after_ns: int | None = None


@dataclass(frozen=True, slots=True)
class LimitReport:
    """One limit as it stands. `name` is "rpm", "tpm", "rpd" or "concurrent"."""

    name: str
    limit: int
    remaining: int


@dataclass(frozen=True, slots=True)
class LineReport:
    """One account of one line as it stands, for metrics and the usage page.

    `waiting` is of the whole line. `window` and `charge` are what admission goes by now.
    `held_s` is how long the provider has asked to be left alone from now on, 0 if it has not;
    `breaker` is "closed", "open" or "half-open".
    """

    provider: str
    model: str
    account: str
    limits: tuple[LimitReport, ...]
    waiting: int
    in_flight: int
    held_s: float
    breaker: str
    window: Window
    charge: Charge
