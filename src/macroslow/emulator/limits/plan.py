"""Which limits there are, and by which algorithm: as the flag says, or a test.

`bucket`   a bucket refilled evenly over a minute (OpenAI's own refusals compute so);
`fixed`    calendar minutes of the provider's clock, which may be ahead of ours or behind;
`sliding`  no span of 60 seconds holds more than the limit;
`second`   as `bucket`, and besides at most a sixtieth of the requests (rounded up) in any one second:
           "60,000 requests/minute may be enforced as 1,000 requests/second" (OpenAI, "Rate limits");
           Azure evaluates requests over periods of 1 or 10 seconds. Tokens stay a bucket: a second's
           share of them would refuse for ever any call that is larger than that share.

Requests a day are a bucket under each of them, refilled evenly over 24 hours.

What a call takes from the limits of tokens is its input and, by `charge`, the tokens of its answer, or the
most that it allows: Azure's "estimated max processed-token count", input + max_tokens x n.

Every limit is for one key and one model, its dated snapshots included.

Sources: OpenAI, "Rate limits"; Azure OpenAI, "Understanding rate limits"; Anthropic, "Rate limits"
(input and output tokens a minute are limited apart).
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from macroslow.emulator.keys import TEST_PREFIX, digest_of
from macroslow.emulator.spec import one_of, parse_pairs, whole_number
from macroslow.errors import ConfigurationError

_COUNTS: Final = {
    "rpm": "requests",
    "tpm": "tokens",
    "itpm": "input_tokens",
    "otpm": "output_tokens",
    "rpd": "requests_a_day",
}
_MOST_MS: Final = 86_400_000
_LEAST_DIGITS: Final = 8


class Algorithm(enum.StrEnum):
    """How minutes are counted."""

    BUCKET = "bucket"
    FIXED = "fixed"
    SLIDING = "sliding"
    SECOND = "second"


class Charge(enum.StrEnum):
    """What a call takes from the limits of tokens besides its input."""

    USED = "used"  # the tokens of its answer
    MAX_TOKENS = "max_tokens"  # the most that it allows, if it names a maximum


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may do with one model; None is no limit. All but `requests_a_day` are for a minute.

    `by_key` has other limits for some keys, each named by the beginning of its SHA-256 in hex.
    The provider's clock is `skew_ms` ahead of ours; its headers tell the state of `lag_ms` ago.
    """

    requests: int | None = None
    tokens: int | None = None
    charge: Charge = Charge.USED
    input_tokens: int | None = None
    output_tokens: int | None = None
    requests_a_day: int | None = None
    algorithm: Algorithm = Algorithm.BUCKET
    skew_ms: int = 0
    lag_ms: int = 0
    by_key: tuple[tuple[str, "Limits"], ...] = ()

    def of(self, key_digest: str) -> "Limits":
        """The limits of the key with this SHA-256."""
        return next((limits for start, limits in self.by_key if key_digest.startswith(start)), self)


def parse_limits(text: str) -> Limits:
    """Read `rpm=500,tpm=200000,algorithm=sliding`; `none` is no limits. Raises ConfigurationError.

    After a semicolon come other numbers for one key, `…;sk-emulator-b:rpm=60`: a test key, which is
    no secret, or the first eight or more digits of any key's SHA-256, as the statistics name it.
    """
    whole, *others = text.split(";")
    if whole.strip() == "none":
        limits = Limits()
    else:
        pairs = parse_pairs(whole, (*_COUNTS, "algorithm", "charge", "skew_ms", "lag_ms"))
        limits = Limits(
            **_counts(pairs),
            algorithm=one_of(Algorithm, "algorithm", pairs.get("algorithm", Algorithm.BUCKET)),
            charge=one_of(Charge, "charge", pairs.get("charge", Charge.USED)),
            skew_ms=_skew_ms(pairs.get("skew_ms", "0")),
            lag_ms=whole_number("lag_ms", pairs.get("lag_ms", "0"), least=0, most=_MOST_MS),
        )
    return replace(limits, by_key=tuple(_of_key(limits, section) for section in others))


def _of_key(limits: Limits, section: str) -> tuple[str, Limits]:
    """One key's own numbers; what it does not name is as for all."""
    key, _, numbers = section.strip().partition(":")
    digits = key.lower()
    if key.startswith(TEST_PREFIX):
        digits = digest_of(key)
    elif len(digits) < _LEAST_DIGITS or set(digits) - set("0123456789abcdef"):
        raise ConfigurationError(
            f"{key!r} names no key",
            fix=f"a key is {TEST_PREFIX}…, or the first {_LEAST_DIGITS} or more digits of its SHA-256",
        )
    return digits, replace(limits, **_counts(parse_pairs(numbers, _COUNTS)))


def _counts(pairs: Mapping[str, str]) -> dict[str, Any]:
    return {field: whole_number(name, pairs[name]) for name, field in _COUNTS.items() if name in pairs}


def _skew_ms(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    return sign * whole_number("skew_ms", text.removeprefix("-"), least=0, most=_MOST_MS)
