"""What the emulator was asked, counted: the provider's side of the bill, to compare with ours."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.emulator.keys import digest_of
from macroslow.metering.catalogue import Model, TokenCounts

# Keys come from anyone, so their number has an end.
_MAX_KEYS: Final = 1_000


@dataclass(slots=True)
class Bill:
    """One model's calls. Money in micro-dollars, each call rounded up."""

    answered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd_micros: int = 0


@dataclass(slots=True)
class Statistics:
    """Counts since the start. `statuses` are of all answers but those of `/emulator/…`.

    `keys` are the SHA-256 of the first thousand different ones, accepted or not.
    """

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    limited: Counter[str] = field(default_factory=Counter)
    hang_ups: int = 0
    open_now: int = 0
    open_peak: int = 0
    bills: dict[str, Bill] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)

    def opened(self) -> None:
        """A request came in."""
        self.requests += 1
        self.open_now += 1
        self.open_peak = max(self.open_peak, self.open_now)

    def closed(self, status: int) -> None:
        """It was answered with `status`; 0 if nobody was left to answer."""
        self.open_now -= 1
        if status:
            self.statuses[status] += 1

    def key_seen(self, key: str) -> None:
        """Remember the digest of `key`."""
        if len(self.keys) < _MAX_KEYS:
            self.keys.add(digest_of(key))

    def answered(self, model: Model, input_tokens: int, output_tokens: int) -> None:
        """A model wrote `output_tokens`, be it all of its answer or what was sent before a hang-up."""
        bill = self.bills.setdefault(model.name, Bill())
        bill.answered += 1
        bill.input_tokens += input_tokens
        bill.output_tokens += output_tokens
        bill.usd_micros += model.price(TokenCounts(input_tokens, output_tokens))

    def report(self) -> dict[str, Any]:
        """Everything as JSON."""
        bills = self.bills.values()
        return {
            "requests": self.requests,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "rate_limited": {kind: self.limited[kind] for kind in ("requests", "tokens")},
            "hang_ups": self.hang_ups,
            "open_peak": self.open_peak,
            "input_tokens": sum(bill.input_tokens for bill in bills),
            "output_tokens": sum(bill.output_tokens for bill in bills),
            "usd_micros": sum(bill.usd_micros for bill in bills),
            "models": {
                name: {
                    "answered": bill.answered,
                    "input_tokens": bill.input_tokens,
                    "output_tokens": bill.output_tokens,
                    "usd_micros": bill.usd_micros,
                    "usd": f"{bill.usd_micros // 10**6}.{bill.usd_micros % 10**6:06}",
                }
                for name, bill in sorted(self.bills.items())
            },
            "keys_sha256": sorted(self.keys),
        }
