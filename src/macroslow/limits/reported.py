"""What a provider says about its limits, in the headers of an answer.

    x-ratelimit-{limit,remaining,reset}-{requests,tokens}             OpenAI; resets are durations
    anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}     Anthropic; resets are RFC 3339 times
    retry-after-ms, retry-after                                       with a refusal

A reset is when all of the limit is there again. What OpenAI says of requests may be of a day: one of
10,000 takes 8.64 s to come back. Times on the provider's clock are read against its own
`date`. Headers come from outside: whatever is malformed, contradicts itself or is out of bounds is
taken as not said. Names are lower-case; pure functions.

Source: OpenAI, "Rate limits", "Rate limits in headers"; Anthropic, "Rate limits", "Response headers"
(tokens are rounded to thousands); RFC 9110, 10.2.3 (Retry-After) and 5.6.7 (dates).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from macroslow.ports import DAY_NS, HOUR_NS, MINUTE_NS, NS_PER_MS, NS_PER_S

MAX_COUNT: Final = 10**12
MAX_TIME_NS: Final = 7 * DAY_NS
_MAX_CHARACTERS: Final = 64
_UNITS_NS: Final = {"d": DAY_NS, "h": HOUR_NS, "m": MINUTE_NS, "s": NS_PER_S, "ms": NS_PER_MS}
_DURATION: Final = re.compile(
    r"(?:(\d{1,3})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,7})(\.\d{1,9})?s)?(?:(\d{1,9})(\.\d{1,9})?ms)?",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_COUNT: Final = re.compile(r"\d{1,13}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Figures:
    """One limit as reported. `reset_ns` is from the moment of the report on; None: not said.

    `coarse_units` and `coarse_ns` say how far `remaining` and `reset_ns` are rounded at most.
    """

    limit: int
    remaining: int
    reset_ns: int | None = None
    coarse_units: int = 0
    coarse_ns: int = 0

    @property
    def used(self) -> int:
        """What the provider counts at present."""
        return self.limit - self.remaining

    @property
    def daily(self) -> bool:
        """Whether the limit is of a day: so long does what was used take to come back."""
        if self.reset_ns is None or not self.used:
            return False
        of_a_day_ns = self.used * DAY_NS // self.limit
        return abs(self.reset_ns - of_a_day_ns) * 20 <= of_a_day_ns and self.reset_ns > NS_PER_S


@dataclass(frozen=True, slots=True)
class Reported:
    """The limits a minute of one account for one model; None: nothing was said."""

    requests: Figures | None = None
    tokens: Figures | None = None


def read(headers: Mapping[str, str], now_ns: int) -> Reported:
    """The limits in `headers`. `now_ns` is nanoseconds since 1970, for want of a `date` among them."""
    if "x-ratelimit-limit-tokens" in headers or "x-ratelimit-limit-requests" in headers:
        return Reported(_openai(headers, "requests"), _openai(headers, "tokens"))
    if any(name.startswith("anthropic-ratelimit-") for name in headers):
        since_ns = _date_ns(headers.get("date", "")) or now_ns
        tokens = _anthropic(headers, "tokens", since_ns) or _anthropic(headers, "input-tokens", since_ns)
        return Reported(_anthropic(headers, "requests", since_ns), tokens)
    return Reported()


def retry_after_ns(headers: Mapping[str, str], now_ns: int) -> int | None:
    """How long a refusal asks to be left alone: as it says, else until what is used up is back."""
    milliseconds = headers.get("retry-after-ms", "")
    if len(milliseconds) <= _MAX_CHARACTERS and _NUMBER.fullmatch(milliseconds):
        return min(MAX_TIME_NS, int(float(milliseconds) * NS_PER_MS))
    text = headers.get("retry-after", "")[:_MAX_CHARACTERS]
    if _NUMBER.fullmatch(text):
        return min(MAX_TIME_NS, int(float(text) * NS_PER_S))
    at_ns = _date_ns(text)
    if at_ns is not None:
        return min(MAX_TIME_NS, max(0, at_ns - (_date_ns(headers.get("date", "")) or now_ns)))
    said = read(headers, now_ns)
    empty = [each.reset_ns for each in (said.requests, said.tokens) if each and not each.remaining]
    return max((reset_ns for reset_ns in empty if reset_ns is not None), default=None)


def duration_ns(text: str) -> int | None:
    """Nanoseconds of "6m0s", "12ms", "1.5s", "1h0m30s"; a bare number is seconds. None: it is none."""
    if not text or len(text) > _MAX_CHARACTERS:
        return None
    if _NUMBER.fullmatch(text):
        return _bounded(int(float(text) * NS_PER_S))
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds, seconds_part, ms, ms_part = match.groups(default="")
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds + seconds_part, "s"), (ms + ms_part, "ms"))
    return _bounded(sum(int(float(number) * _UNITS_NS[unit]) for number, unit in parts if number))


def _openai(headers: Mapping[str, str], what: str) -> Figures | None:
    counts = _counts(
        headers.get(f"x-ratelimit-limit-{what}", ""), headers.get(f"x-ratelimit-remaining-{what}", "")
    )
    return counts and Figures(*counts, duration_ns(headers.get(f"x-ratelimit-reset-{what}", "")))


def _anthropic(headers: Mapping[str, str], what: str, since_ns: int) -> Figures | None:
    prefix = f"anthropic-ratelimit-{what}-"
    counts = _counts(headers.get(prefix + "limit", ""), headers.get(prefix + "remaining", ""))
    if counts is None:
        return None
    at_ns = _rfc3339_ns(headers.get(prefix + "reset", ""))
    reset_ns = None if at_ns is None else _bounded(max(0, at_ns - since_ns))
    return Figures(*counts, reset_ns, coarse_units=0 if what == "requests" else 1000, coarse_ns=2 * NS_PER_S)


def _counts(limit: str, remaining: str) -> tuple[int, int] | None:
    if not (_COUNT.fullmatch(limit) and _COUNT.fullmatch(remaining)):
        return None
    if not 1 <= int(limit) <= MAX_COUNT or int(remaining) > int(limit):
        return None
    return int(limit), int(remaining)


def _rfc3339_ns(text: str) -> int | None:
    if not 20 <= len(text) <= _MAX_CHARACTERS or text[10] not in "Tt":
        return None
    try:
        return _since_1970_ns(datetime.fromisoformat(text))
    except ValueError:
        return None


def _date_ns(text: str) -> int | None:
    if not text or len(text) > _MAX_CHARACTERS:
        return None
    try:
        return _since_1970_ns(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return None


def _since_1970_ns(at: datetime) -> int | None:
    """None where the text names no zone: it would be read as ours."""
    if at.tzinfo is None:
        return None
    try:
        return int((at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * NS_PER_S)
    except OverflowError:
        return None


def _bounded(time_ns: int) -> int | None:
    return time_ns if time_ns <= MAX_TIME_NS else None
