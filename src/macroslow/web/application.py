"""What the handlers can ask for: one field a use case, each stated as a callable's shape.

`bootstrap` fills an Application once; nothing in `web` reaches further than this.
"""

import builtins
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from macroslow.authn.principal import Principal
from macroslow.inference.dialect import Dialect
from macroslow.inference.operation import Operation
from macroslow.inference.trace import TraceParent
from macroslow.services.calls.answer_once import AnswerOnce
from macroslow.services.calls.settle_call import ModelAnswer, ModelStream
from macroslow.services.documents.admit_document import Submission
from macroslow.services.spending.read_figures import Figures
from macroslow.web.lifecycle import Lifecycle
from macroslow.web.messages import ASGIApp, Request, Response
from macroslow.web.metrics import Metrics
from macroslow.web.protected_resource import NO_ISSUER, ProtectedResource

JSONObject = dict[str, object]


class CallModel(Protocol):
    """One call of a model, paid for by `principal`. Cancelling it settles what was used."""

    async def __call__(
        self,
        principal: Principal,
        operation: Operation,
        body: bytes,
        *,
        request_id: str,
        tag: str = "",
        headers: Mapping[str, str] = {},
        parent: TraceParent | None = None,
        wants_receipt: bool = False,
    ) -> ModelAnswer | ModelStream: ...


class OwnUsage(Protocol):
    """What `principal` spent in a span of days, and what is left of its budgets."""

    async def __call__(
        self, principal: Principal, *, first_day: str = "", last_day: str = ""
    ) -> JSONObject: ...


class ExecuteDocument(Protocol):
    """Run a document and return the answer of /execute, receipt included."""

    async def __call__(
        self, principal: Principal, submission: Submission, *, request_id: str
    ) -> JSONObject: ...


class ValidateDocument(Protocol):
    """Check a document as /execute would, and run nothing."""

    async def __call__(self, principal: Principal, submission: Submission) -> JSONObject: ...


class Runs(Protocol):
    """Runs as their owner sees them. NotFoundError for another principal's."""

    async def list(self, principal: Principal) -> builtins.list[JSONObject]: ...

    async def show(self, principal: Principal, run_id: str) -> JSONObject: ...

    async def document(self, principal: Principal, run_id: str) -> bytes: ...

    async def history(self, principal: Principal, run_id: str) -> str: ...

    async def receipt(self, principal: Principal, run_id: str) -> JSONObject: ...

    def events(self, principal: Principal, run_id: str) -> AsyncIterator[JSONObject]: ...

    async def cancel(self, principal: Principal, run_id: str) -> JSONObject: ...


class Receipts(Protocol):
    """The receipt that was kept for one of `principal`'s requests; NotFoundError if there is none."""

    async def __call__(self, principal: Principal, request_id: str) -> JSONObject: ...


@dataclass(frozen=True, slots=True)
class Application:
    """Everything that the routes serve.

    `models` returns the body of GET /v1/models in the shape of a dialect, `model` one of them by name,
    `count_tokens` the tokens of a message's body, `own_usage` the body of GET /v1/usage. `ready` returns
    reasons why new work would fail now (empty: ready), besides those of `lifecycle`. `info` is what GET
    /info shows. `checkpoint` is the log's newest signed note, `tile` what one of its files holds, by its path
    (C2SP tlog-tiles). `figures` is what the books say, asked at each scrape of the metrics. `mcp` is the ASGI
    application behind POST /mcp: it finds the principal in `scope["state"]["principal"]`. `guessing` is
    told of an address that goes on sending bad credentials. `protected` is what clients of /mcp
    are told of who issues tokens for it.
    """

    call_model: CallModel
    answer_once: AnswerOnce
    models: Callable[[Dialect], JSONObject]
    model: Callable[[str, Dialect], JSONObject]
    count_tokens: Callable[[bytes, Principal], Awaitable[int]]
    own_usage: OwnUsage
    execute_document: ExecuteDocument
    validate_document: ValidateDocument
    runs: Runs
    receipts: Receipts
    info: Callable[[], JSONObject]
    ready: Callable[[], list[str]]
    checkpoint: Callable[[], Awaitable[bytes]]
    tile: Callable[[str], Awaitable[bytes]]
    figures: Callable[[], Awaitable[Figures]]
    mcp: ASGIApp
    metrics: Metrics
    lifecycle: Lifecycle
    guessing: Callable[[str], None]
    protected: ProtectedResource = NO_ISSUER


Handler = Callable[[Application, Request], Awaitable[Response]]
