"""Calls of before our start, counted where they can have been: the books name no key of a provider.

Admission sends a call to the account that has most room, so all accounts of a line are used up evenly,
each in proportion to its limits. Earlier calls are dealt out so; where no limit is known, one by one.
"""

from collections.abc import Iterable, Mapping, Sequence

from macroslow.limits.allowance import Allowance, Recent
from macroslow.ports import DAY_NS, MINUTE_NS


def seed(allowances: Sequence[Allowance], calls: Iterable[Recent], now_ns: int) -> None:
    """Count `calls` in fresh `allowances`, so that a crash forgets nothing that the provider counts."""
    limits = [{limit.name: limit.limit for limit in each.limits(now_ns - DAY_NS)} for each in allowances]
    loads = [(0.0, 0)] * len(allowances)  # the share that is used up, and how many calls used it
    for call in sorted(calls, key=lambda call: -call.age_ns):
        least = min(loads)
        number = loads.index(least)
        loads[number] = (least[0] + _share(limits[number], call), least[1] + 1)
        allowances[number].seed(call, now_ns)


def _share(limits: Mapping[str, int], call: Recent) -> float:
    """The part that a call took of the limit of which it took most; 0: none is known."""
    units = {"rpd": 1}
    if call.age_ns < 2 * MINUTE_NS:
        units |= {"rpm": 1, "tpm": call.used_tokens}
    return max((count / limits[name] for name, count in units.items() if name in limits), default=0.0)
