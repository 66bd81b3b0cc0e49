"""A run's only way out: model calls and the outside APIs that its document was granted.

The application answers on a socket inside the run's own network namespace, so whatever speaks to it
is code of that run; it is hostile all the same. Model calls carry the run's capability as Bearer,
which is what `openai.OpenAI()` sends of itself; granted APIs are addresses that cannot be guessed,
usable by any HTTP client, and lend nothing but what the document was granted. Every error has the
provider's shape. Requests are limited in rate, refused ones too, whose refusals take their time, and
each is handed to a use case that charges and logs it.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final

from macroslow.errors import (
    CredentialError,
    MacroslowError,
    MethodNotAllowedError,
    MissingRightError,
    NotFoundError,
    RateLimitedError,
)
from macroslow.inference import ALL_OPERATIONS
from macroslow.inference.dialect import Dialect
from macroslow.inference.operation import Operation
from macroslow.limits.admission import per_minute
from macroslow.limits.byte_budget import ByteBudget
from macroslow.limits.tallies import Tallies
from macroslow.ports import Clock, Entropy, FreshNames
from macroslow.services.documents.run_egress import OpenEgress, RunEgress
from macroslow.web import problems
from macroslow.web.attention import Watch
from macroslow.web.bodies import Body, CallerLeft
from macroslow.web.framing import read_framing
from macroslow.web.handlers.inference import dialect_of, passed_headers, respond
from macroslow.web.messages import Receive, Response, Scope, Send, json_response
from macroslow.web.routes import CHAT_BYTES
from macroslow.web.serve import serve_socket
from macroslow.web.visit import HUNG_UP, REQUEST_ID_BYTES, Visit, log_failure, send_answer
from macroslow.workflow.sandbox import EgressServer

BODY_DEADLINE_S: Final = 30.0
RATE: Final = per_minute("egress requests", 600, burst=120)
REFUSAL_S: Final = 1.0
BODIES_BYTES: Final = 16 * 1024 * 1024  # of one run at once: no other run waits for them
OPERATIONS: Final[Mapping[bytes, Operation]] = {
    b"/v1" + operation.path.encode(): operation for operation in ALL_OPERATIONS
}
MODELS_PATH: Final = b"/v1/models"


class EgressApp:
    """The ASGI application of one run's egress listener."""

    def __init__(
        self,
        run: RunEgress,
        models: Callable[[Dialect], dict[str, object]],
        clock: Clock,
        entropy: Entropy,
        budget: ByteBudget,
    ) -> None:
        """`models` is the body of GET /v1/models for a dialect; `budget` bounds the bodies it holds."""
        self._run = run
        self._models = models
        self._clock = clock
        self._ids = FreshNames(entropy, REQUEST_ID_BYTES)
        self._budget = budget
        self._watch = Watch()
        self._tallies = Tallies(clock, capacity=1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            return
        began_ns, task = self._clock.monotonic_ns(), asyncio.current_task()
        visit = Visit(self._ids.next(), scope["method"], began_ns, task)
        try:
            await send_answer(visit, await self._answer(visit, scope, receive), receive, send)
        except CallerLeft:
            pass
        except asyncio.CancelledError:
            if not visit.was_ended():
                raise
            if isinstance(visit.ended, MacroslowError) and visit.status == HUNG_UP:
                await send_answer(visit, _told(visit.ended, visit, scope), receive, send)
        finally:
            visit.leave()

    async def _answer(self, visit: Visit, scope: Scope, receive: Receive) -> Response:
        try:
            return await self._serve(visit, scope, receive)
        except CallerLeft:
            raise
        except MacroslowError as error:
            return _told(error, visit, scope)
        except Exception as error:  # noqa: BLE001 - the outermost handler: whatever it is becomes a 500
            log_failure(visit, error)
            return _told(problems.InternalError(), visit, scope)

    async def _serve(self, visit: Visit, scope: Scope, receive: Receive) -> Response:
        visit.headers, body_bytes = read_framing(scope["headers"])
        visit.body = Body(self._budget, body_bytes)
        await self._count()
        path: bytes = scope["raw_path"]
        prefix = self._run.api_prefix
        if hmac.compare_digest(path[: len(prefix)], prefix):
            return await self._api(visit, path[len(prefix) :], scope.get("query_string", b""), receive)
        if path != MODELS_PATH and path not in OPERATIONS:
            served = ", ".join(known.decode() for known in (*OPERATIONS, MODELS_PATH))
            raise NotFoundError(f"a run's way out has {served} and apis[NAME]")
        self._check_capability(visit.headers)
        if path == MODELS_PATH:
            _require("GET", visit)
            dialect = dialect_of(visit.headers.get(problems.ANTHROPIC_HEADER))
            return json_response(self._models(dialect))
        return await self._ask(visit, OPERATIONS[path], receive)

    async def _ask(self, visit: Visit, operation: Operation, receive: Receive) -> Response:
        _require("POST", visit)
        body = await self._read(visit, receive, CHAT_BYTES)
        headers = passed_headers(operation, visit.headers)
        return respond(await self._run.ask(operation, body, headers))

    async def _read(self, visit: Visit, receive: Receive, cap_bytes: int) -> bytes:
        visit.attention = self._watch.attend(receive, visit.end, BODY_DEADLINE_S)
        body = await visit.body.read(receive, cap_bytes)
        visit.attention.has_body()
        return body

    async def _count(self) -> None:
        """Count the request; one too many waits for its refusal, so that a flood waits with it."""
        try:
            self._tallies.admit("", RATE, "one run")
        except RateLimitedError:
            await asyncio.sleep(REFUSAL_S)
            raise

    async def _api(self, visit: Visit, path: bytes, query: bytes, receive: Receive) -> Response:
        _require("GET", visit)
        if b"authorization" in visit.headers:
            self._check_capability(visit.headers)
        name, slash, rest = path.decode("latin-1").partition("/")
        api = self._run.apis.get(name)
        if api is None:
            raise MissingRightError(
                f"this document may not use the API {name[:80]!r}",
                uri=f"api://{name[:80]}",
                fix=f"add api://{name[:80]} to permissions.execute",
            )
        await self._read(visit, receive, 0)
        answer = await api(slash + rest, query.decode("latin-1"))
        content_type = answer.content_type.encode("latin-1", "replace")
        return Response(answer.status, ((b"content-type", content_type),), answer.body)

    def _check_capability(self, headers: Mapping[bytes, bytes]) -> None:
        """As official SDKs send it: OpenAI's as Bearer, Anthropic's as x-api-key."""
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        given = bearer if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        digest = hashlib.sha256(given.strip(b" ")).digest()
        # Not `==`: the time of the comparison would tell how much of the digest fits.
        if not hmac.compare_digest(digest, self._run.capability_sha256):
            raise CredentialError("send the run's own OPENAI_API_KEY as Bearer", step="authenticate")


def egress_opener(
    models: Callable[[Dialect], dict[str, object]], clock: Clock, entropy: Entropy
) -> OpenEgress:
    """Make the function that serves a run's egress on the socket which its sandbox passes out."""

    def opener(run: RunEgress) -> EgressServer:
        app = EgressApp(run, models, clock, entropy, ByteBudget(BODIES_BYTES))
        return lambda sock: serve_socket(sock, app)

    return opener


def _require(method: str, visit: Visit) -> None:
    if visit.method != method:
        raise MethodNotAllowedError(f"{visit.method[:20]!r} is not served here", allowed=(method,))


def _told(error: MacroslowError, visit: Visit, scope: Scope) -> Response:
    return problems.render(error, visit.request_id, _style(scope))


def _style(scope: Scope) -> problems.Style:
    """Every error has the shape of a provider's: whatever calls this is an SDK of one."""
    style = problems.style_of(scope["raw_path"], scope["headers"])
    return style if style is problems.Style.ANTHROPIC else problems.Style.OPENAI
