"""Faults on purpose: every n-th chat request that passes the limits gets an error, or half an answer."""

from dataclasses import dataclass
from typing import Final

from macroslow.emulator.spec import decimal, parse_pairs, whole_number
from macroslow.errors import ConfigurationError

STATUSES: Final = (500, 502, 503, 504)
_TAKES: Final = (
    f"it takes status=S@N (every Nth request answers S, one of {', '.join(map(str, STATUSES))}) and "
    "cut=F@N (every Nth answer ends after the share F of it, 0 to 1, and the connection is closed)"
)


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, counted from 1 over the admitted requests; 0 in `…_every` is never."""

    status: int = 500
    status_every: int = 0
    cut_fraction: float = 0.0
    cut_every: int = 0

    def status_of(self, number: int) -> int | None:
        """The error status of the request with this number, if it gets one."""
        return self.status if self.status_every and number % self.status_every == 0 else None

    def cut_of(self, number: int) -> float | None:
        """The share of its answer after which this request's connection is closed, if it is."""
        return self.cut_fraction if self.cut_every and number % self.cut_every == 0 else None


def parse_faults(text: str) -> Faults:
    """Read `status=500@3,cut=0.5@4`: each `what@every`. Raises ConfigurationError."""
    try:
        pairs = parse_pairs(text, ("status", "cut"))
        status, status_every = _every("status", pairs.get("status", "500@0"))
        cut, cut_every = _every("cut", pairs.get("cut", "0@0"))
        number = whole_number("status", status)
        if number not in STATUSES:
            raise ConfigurationError(f"{number} is not a status that can be asked for")
        return Faults(number, status_every, decimal("cut", cut, most=1.0), cut_every)
    except ConfigurationError as error:
        raise ConfigurationError(error.detail, fix=_TAKES) from error


def _every(name: str, value: str) -> tuple[str, int]:
    what, _, every = value.partition("@")
    return what, whole_number(f"{name}'s number after @", every, least=0)
