"""What was sent before this start counts on: a provider still counts it."""

from dataclasses import dataclass

from macroslow.limits.allowance import Recent
from macroslow.ports import DAY_NS, MINUTE_NS, Clock
from macroslow.services.calls.admission import Admission
from macroslow.workflow.books import Books


@dataclass(frozen=True, slots=True)
class SeedAdmission:
    """Counts in the lines those calls that a limit may still hold against us. Once, at a start."""

    books: Books
    admission: Admission
    clock: Clock

    async def __call__(self, *, daily: bool) -> None:
        """Count the calls of the last two minutes; where a limit may be `daily`, those of a day.

        A call that is still open, or was cut off, counts as a request without tokens.
        """
        now_ns = self.clock.now_ns()
        lines: dict[tuple[str, str], list[Recent]] = {}
        for call in await self.books.recent_calls(now_ns - (DAY_NS if daily else 2 * MINUTE_NS)):
            tokens = call.tokens or 0
            recent = Recent(max(0, now_ns - call.created_ns), tokens, tokens)
            lines.setdefault((call.provider, call.model), []).append(recent)
        for (provider, model), calls in lines.items():
            self.admission.seed(provider, model, calls)
