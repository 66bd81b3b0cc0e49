"""What was billed, by minute: the provider's own books, from which its reports are made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Line:
    """What the calls of one minute have in common. `model` is the provider's name for it."""

    minute_s: int
    api: str
    model: str
    key_digest: str


@dataclass(slots=True)
class Bill:
    """Calls and what they cost. Money in micro-dollars, each call rounded up; of it, that of the input."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd_micros: int = 0
    input_usd_micros: int = 0

    def add(self, other: "Bill") -> None:
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.usd_micros += other.usd_micros
        self.input_usd_micros += other.input_usd_micros


@dataclass(slots=True)
class UsageBook:
    """Every line with its bill. Grows by one line a minute for each model and key in use."""

    lines: dict[Line, Bill] = field(default_factory=dict)

    def record(self, line: Line, bill: Bill) -> None:
        self.lines.setdefault(line, Bill()).add(bill)

    def within(self, start_s: int, end_s: int, chosen: Callable[[Line], bool]) -> Iterator[tuple[Line, Bill]]:
        """The chosen lines of these minutes; the end is exclusive."""
        for line, bill in self.lines.items():
            if start_s <= line.minute_s < end_s and chosen(line):
                yield line, bill
