"""Who waits, and whose turn it is: first come first served for one principal, principals in turn."""

from collections import OrderedDict, deque
from dataclasses import dataclass

from macroslow.limits.admission import Demand


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One call that waits. `avoid` are the accounts that have failed for it."""

    demand: Demand
    avoid: frozenset[str] = frozenset()


class FairQueue:
    """Tickets in order of arrival for each principal; principals take turns."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, ticket: Ticket) -> None:
        """Add a ticket at the end of its principal's lane."""
        self._lanes.setdefault(ticket.demand.principal, deque()).append(ticket)
        self._size += 1

    def head(self) -> Ticket | None:
        """Whose turn it is."""
        return next(iter(self._lanes.values()))[0] if self._lanes else None

    def pop(self) -> None:
        """Take the head off; its principal goes to the end of the round."""
        principal, lane = next(iter(self._lanes.items()))
        lane.popleft()
        self._size -= 1
        self._lanes.move_to_end(principal)
        if not lane:
            del self._lanes[principal]

    def remove(self, ticket: Ticket) -> None:
        """Take a ticket out from wherever it stands; ValueError if it does not."""
        lane = self._lanes.get(ticket.demand.principal, deque())
        lane.remove(ticket)
        self._size -= 1
        if not lane:
            del self._lanes[ticket.demand.principal]
