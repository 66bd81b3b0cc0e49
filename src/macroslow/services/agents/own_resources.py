"""What agents read as resources: their runs, the models, the log's checkpoint, the format's reference."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import orjson

from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.mcp.resources import CHECKPOINT, MODELS, REFERENCE, RUN, RUN_DOCUMENT, RUNS, Reader, Resource
from macroslow.services.agents.model_tools import model_told
from macroslow.services.calls.list_models import ListModels
from macroslow.services.documents.read_runs import ReadRuns


@dataclass(frozen=True, slots=True)
class AgentResources:
    """One method a resource. `reference` is the format's text; `log_is_public`: anybody may read the log."""

    runs: ReadRuns
    models: ListModels
    checkpoint: Callable[[], Awaitable[bytes]]
    reference: str
    log_is_public: bool

    @property
    def readers(self) -> Mapping[Resource, Reader]:
        checkpoint = replace(CHECKPOINT, scope=scopes.MCP_CONNECT) if self.log_is_public else CHECKPOINT
        return {
            RUNS: self.read_runs,
            RUN: self.read_run,
            RUN_DOCUMENT: self.read_document,
            MODELS: self.read_models,
            checkpoint: self.read_checkpoint,
            REFERENCE: self.read_reference,
        }

    async def run_ids(self, principal: Principal) -> list[str]:
        """The caller's own, the newest first."""
        return [str(run["run_id"]) for run in await self.runs.list(principal)]

    async def read_runs(self, principal: Principal, _: str) -> str:
        """As GET /runs answers it."""
        return orjson.dumps({"runs": await self.runs.list(principal)}).decode()

    async def read_run(self, principal: Principal, run_id: str) -> str:
        """As GET /runs/{id} answers it."""
        return orjson.dumps(await self.runs.show(principal, run_id)).decode()

    async def read_document(self, principal: Principal, run_id: str) -> str:
        """As it was sent: only UTF-8 was accepted."""
        return (await self.runs.document(principal, run_id)).decode()

    async def read_models(self, _: Principal, __: str) -> str:
        """As the tool lists them."""
        told = [model_told(name, model) for name, model in self.models.served()]
        return orjson.dumps({"models": told}).decode()

    async def read_checkpoint(self, _: Principal, __: str) -> str:
        """A signed note."""
        return (await self.checkpoint()).decode()

    async def read_reference(self, _: Principal, __: str) -> str:
        """Markdown."""
        return self.reference
