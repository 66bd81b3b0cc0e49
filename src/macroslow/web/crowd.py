"""How many are connected, and from where: all of them are bounded, and those of one place to a share.

A place is an address (IPv6: a /64, which one caller owns). Loopback, Unix sockets and trusted proxies are
no place: behind them are many callers, or the operator.
"""

from collections.abc import Hashable
from typing import Final

from macroslow.authn.addresses import neighbourhood, read_address

PLACE_SHARE: Final = 2  # one place may hold this part of all connections
NOWHERE: Final = ""


class Crowd:
    """Who is connected to one listener. Memory is that of the connections."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_place = max(1, most // PLACE_SHARE)
        self._places: dict[Hashable, str] = {}
        self._counts: dict[str, int] = {}

    def enter(self, who: Hashable, place: str) -> str:
        """Count somebody in, once; or say why not, and count nobody."""
        if who in self._places:
            return ""
        if len(self._places) >= self._most:
            return "too many connections"
        count = self._counts.get(place, 0)
        if place != NOWHERE and count >= self._most_of_place:
            return "too many connections from one address"
        self._places[who] = place
        self._counts[place] = count + 1
        return ""

    def leave(self, who: Hashable) -> None:
        """Count them out, if they were counted in."""
        place = self._places.pop(who, None)
        if place is None:
            return
        self._counts[place] -= 1
        if not self._counts[place]:
            del self._counts[place]


def place_of(address: str) -> str:
    """The place of an address; NOWHERE for loopback."""
    found = read_address(address)
    return NOWHERE if found is None or found.is_loopback else neighbourhood(found)
