"""The tool for the caller's own spending."""

from collections.abc import Mapping
from dataclasses import dataclass

from macroslow.mcp.ask import Ask, Handler
from macroslow.mcp.tools.spending import USAGE
from macroslow.services.spending.report_usage import ReportUsage


@dataclass(frozen=True, slots=True)
class SpendingTools:
    """Its fields are everything that it touches."""

    report: ReportUsage

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {USAGE.name: self.usage}

    async def usage(self, ask: Ask) -> Mapping[str, object]:
        """The answer of GET /v1/usage."""
        first_day, last_day = ask.arguments.get("from", ""), ask.arguments.get("to", "")
        return await self.report.own(ask.principal, first_day=first_day, last_day=last_day)
