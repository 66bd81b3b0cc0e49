"""The operator's verbs about spending."""

from dataclasses import dataclass

from macroslow.services.spending.report_usage import ReportUsage
from macroslow.services.verbs import Verbs


@dataclass(frozen=True, slots=True)
class UsageVerbs:
    """Every verb takes JSON and returns JSON."""

    report: ReportUsage

    def table(self) -> Verbs:
        """The verbs by name."""
        return {"usage": self._usage, "usage.budgets": self._budgets, "usage.days": self._days}

    async def _usage(self, by: str = "key", first_day: str = "", last_day: str = "") -> object:
        return await self.report.by(by, first_day=first_day, last_day=last_day)

    async def _budgets(self) -> object:
        return await self.report.budgets()

    async def _days(self, provider: str, first_day: str, last_day: str) -> object:
        return await self.report.days(provider, first_day, last_day)
