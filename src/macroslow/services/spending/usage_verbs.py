"""The operator's verbs about spending."""

from dataclasses import dataclass

from macroslow.services.spending.report_usage import ReportUsage


@dataclass(frozen=True, slots=True)
class UsageVerbs:
    """Every verb takes JSON and returns JSON."""

    report: ReportUsage

    async def usage(self, by: str = "key", first_day: str = "", last_day: str = "") -> object:
        return await self.report.by(by, first_day=first_day, last_day=last_day)

    async def budgets(self) -> object:
        return await self.report.budgets()

    async def days(self, provider: str, first_day: str, last_day: str) -> object:
        return await self.report.days(provider, first_day, last_day)
