"""Tools for the caller's own runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from macroslow.mcp.ask import Ask, Handler
from macroslow.mcp.tools.runs import CANCEL_RUN, GET_RUN, GET_RUN_RESULT, LIST_RUNS, LISTED
from macroslow.services.documents.read_runs import ReadRuns


@dataclass(frozen=True, slots=True)
class RunTools:
    """One method a tool. Its fields are everything that they touch."""

    runs: ReadRuns

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            LIST_RUNS.name: self.list_runs,
            GET_RUN.name: self.get_run,
            GET_RUN_RESULT.name: self.get_run_result,
            CANCEL_RUN.name: self.cancel_run,
        }

    async def list_runs(self, ask: Ask) -> Mapping[str, object]:
        """The newest first."""
        return {"runs": (await self.runs.list(ask.principal))[: ask.arguments.get("limit", LISTED)]}

    async def get_run(self, ask: Ask) -> Mapping[str, object]:
        """Where it stands; NotFoundError for another's."""
        return await self.runs.state(ask.principal, ask.arguments["run_id"])

    async def get_run_result(self, ask: Ask) -> Mapping[str, object]:
        """What came of it, null while nothing has; NotFoundError for another's."""
        shown = await self.runs.show(ask.principal, ask.arguments["run_id"])
        return {"run_id": shown["run_id"], "state": shown["state"], "answer": shown.get("answer")}

    async def cancel_run(self, ask: Ask) -> Mapping[str, object]:
        """Stop it; ConflictError if it has ended, NotFoundError for another's."""
        return await self.runs.cancel(ask.principal, ask.arguments["run_id"])
