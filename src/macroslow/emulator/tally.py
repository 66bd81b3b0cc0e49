"""What the emulator was asked, counted: the provider's side of the bill, to compare with ours."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from macroslow.emulator.keys import digest_of
from macroslow.emulator.limits import Cost, Kind
from macroslow.emulator.usage_book import MINUTE_S, Bill, Line, UsageBook
from macroslow.emulator.work import Work
from macroslow.metering.models import Model
from macroslow.metering.money import usd
from macroslow.metering.prices import TokenCounts
from macroslow.ports import NS_PER_S

# Keys come from anyone, so their number has an end: further ones are counted, and limited, as one.
_MAX_KEYS: Final = 1_000
_OTHERS: Final = "others"


@dataclass(slots=True)
class ModelTally:
    """One model's calls. `charged_tokens` are what its limits of tokens were charged with."""

    answered: int = 0
    charged_tokens: int = 0
    bill: Bill = field(default_factory=Bill)


@dataclass(slots=True)
class KeyTally:
    """One key's calls."""

    requests: int = 0
    answered: int = 0
    rate_limited: int = 0


@dataclass(slots=True)
class Statistics:
    """Counts since the start. `statuses` are of all answers but those of `/emulator/…`.

    `keys` are by the SHA-256 of the first thousand different ones, accepted or not.
    """

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    limited: Counter[Kind] = field(default_factory=Counter)
    faults: int = 0
    hang_ups: int = 0
    open_now: int = 0
    open_peak: int = 0
    first_ns: int | None = None
    models: dict[str, ModelTally] = field(default_factory=dict)
    keys: dict[str, KeyTally] = field(default_factory=dict)
    book: UsageBook = field(default_factory=UsageBook)

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

    def key_seen(self, key: str) -> str:
        """Count a request of `key`; the name under which it is counted and limited."""
        digest = digest_of(key)
        if digest not in self.keys and len(self.keys) >= _MAX_KEYS:
            digest = _OTHERS
        self.keys.setdefault(digest, KeyTally()).requests += 1
        return digest

    def charged(self, model: Model, cost: Cost, now_ns: int) -> None:
        """A call passed the limits."""
        if self.first_ns is None:
            self.first_ns = now_ns
        self._model(model).charged_tokens += cost.units(Kind.TOKENS)

    def refused(self, key: str, kind: Kind, now_ns: int) -> None:
        """A limit of this kind did not let a call pass."""
        if self.first_ns is None:
            self.first_ns = now_ns
        self.limited[kind] += 1
        self.keys[key].rate_limited += 1

    def billed(self, key: str, work: Work, output_tokens: int, now_ns: int) -> None:
        """A model wrote `output_tokens`, be it all of its answer or what was sent before a hang-up."""
        model, input_tokens = work.model, work.counts.input_tokens
        usd_micros = model.price(TokenCounts(input_tokens, output_tokens))
        bill = Bill(1, input_tokens, output_tokens, usd_micros, model.price(TokenCounts(input_tokens, 0)))
        tally = self._model(model)
        tally.answered += 1
        tally.bill.add(bill)
        self.keys[key].answered += 1
        minute_s = now_ns // NS_PER_S // MINUTE_S * MINUTE_S
        self.book.record(Line(minute_s, work.api, model.upstream, key), bill)

    def _model(self, model: Model) -> ModelTally:
        return self.models.setdefault(model.name, ModelTally())

    def report(self, now_ns: int) -> dict[str, Any]:
        """Everything as JSON. `seconds` are those since the first call that met the limits."""
        tallies = self.models.values()
        return {
            "requests": self.requests,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "rate_limited": {str(kind): self.limited[kind] for kind in Kind},
            "faults": self.faults,
            "hang_ups": self.hang_ups,
            "open_peak": self.open_peak,
            "seconds": 0.0 if self.first_ns is None else (now_ns - self.first_ns) / NS_PER_S,
            "charged_tokens": sum(tally.charged_tokens for tally in tallies),
            "input_tokens": sum(tally.bill.input_tokens for tally in tallies),
            "output_tokens": sum(tally.bill.output_tokens for tally in tallies),
            "usd_micros": sum(tally.bill.usd_micros for tally in tallies),
            "models": {name: _model_report(tally) for name, tally in sorted(self.models.items())},
            "keys": {
                digest: {
                    "requests": tally.requests,
                    "answered": tally.answered,
                    "rate_limited": tally.rate_limited,
                }
                for digest, tally in sorted(self.keys.items())
            },
            "keys_sha256": sorted(self.keys),
        }


def _model_report(tally: ModelTally) -> dict[str, Any]:
    bill = tally.bill
    return {
        "answered": tally.answered,
        "charged_tokens": tally.charged_tokens,
        "input_tokens": bill.input_tokens,
        "output_tokens": bill.output_tokens,
        "usd_micros": bill.usd_micros,
        "usd": usd(bill.usd_micros),
    }
