"""The model routes: the body goes to the use case as it came, the answer back as it is."""

import re
from collections.abc import Mapping
from typing import Final

from macroslow.errors import BadRequestError, InvalidModelRequestError
from macroslow.inference.dialect import Dialect
from macroslow.inference.operation import Operation
from macroslow.inference.trace import TraceParent, read_traceparent
from macroslow.services.calls.settle_call import ModelAnswer, ModelStream
from macroslow.web.application import Application, Handler
from macroslow.web.messages import Request, Response, json_response
from macroslow.web.problems import ANTHROPIC_HEADER
from macroslow.web.receipt_header import HEADER as RECEIPT_HEADER
from macroslow.web.receipt_header import asks_for_receipt, pointed

TAG_HEADER: Final = b"x-macroslow-tag"

PASSED_HEADERS: Final[Mapping[Dialect, tuple[bytes, ...]]] = {
    Dialect.OPENAI: (),
    Dialect.ANTHROPIC: (ANTHROPIC_HEADER, b"anthropic-beta"),
}
"""The request headers that a provider of each dialect gets; every other one is ours alone."""

_PASSED_VALUE: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._, -]{0,1023}")
BETA_HEADER: Final = b"anthropic-beta"
UNPRICED_BETAS: Final = ("fast-mode",)  # costs more than the catalogue says
WINDOW_BETAS: Final = ("context-1m",)  # so does what lies beyond the window that the catalogue has


def ask(operation: Operation) -> Handler:
    """The handler of one operation. A stream's cost is known at its end, so it has no cost header."""

    async def handler(application: Application, request: Request) -> Response:
        wants_receipt = asks_for_receipt(request.values(RECEIPT_HEADER))
        answer = await application.call_model(
            request.caller,
            operation,
            request.body,
            request_id=request.request_id,
            tag=_tag(request),
            headers=passed_headers(operation, request.by_name),
            parent=_parent(request),
            wants_receipt=wants_receipt,
        )
        response = respond(answer)
        return pointed(response, request.request_id) if wants_receipt else response

    return handler


async def models(application: Application, request: Request) -> Response:
    """GET /v1/models: what a request may name, in the shape of the API that the client speaks."""
    return json_response(application.models(_dialect(request)))


async def model(application: Application, request: Request) -> Response:
    """GET /v1/models/{id}: one of them."""
    return json_response(application.model(request.params["id"], _dialect(request)))


async def count_tokens(application: Application, request: Request) -> Response:
    """POST /v1/messages/count_tokens: our own count of what a message would take in."""
    return json_response({"input_tokens": await application.count_tokens(request.body, request.caller)})


def respond(answer: ModelAnswer | ModelStream) -> Response:
    """The use case's answer as a response; its headers are the use case's choice."""
    headers = [
        (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in answer.headers.items()
    ]
    match answer:
        case ModelStream():
            return Response(200, headers, answer.chunks)
        case ModelAnswer():
            return Response(answer.status, headers, answer.body, answer.nothing_done)


def passed_headers(operation: Operation, headers: Mapping[bytes, bytes]) -> Mapping[str, str]:
    """Those request headers that go on to the provider. InvalidModelRequestError for what has no price."""
    found = {}
    for name in PASSED_HEADERS[operation.dialect]:
        value = headers.get(name)
        if value is None:
            continue
        if not _PASSED_VALUE.fullmatch(value):
            raise BadRequestError(f"{name.decode()} is not a list of names", step="parse")
        if passed := _priced(value.decode("ascii")) if name == BETA_HEADER else value.decode("ascii"):
            found[name.decode("ascii")] = passed
    return found


def _priced(betas: str) -> str:
    """The betas that change no price. Those of a larger window are left out: it is as if they were off."""
    named = [beta.strip() for beta in betas.split(",")]
    for beta in named:
        if beta.startswith(UNPRICED_BETAS):
            raise InvalidModelRequestError(
                f"the beta {beta} is not served: this gateway has no price for it",
                param="anthropic-beta",
                fix=f"leave {beta} out",
            )
    return ",".join(beta for beta in named if beta and not beta.startswith(WINDOW_BETAS))


def _parent(request: Request) -> TraceParent | None:
    """Where the client stands in a trace; who says it twice says nothing."""
    said = request.values(b"traceparent")
    return read_traceparent(said[0]) if len(said) == 1 else None


def dialect_of(anthropic_version: bytes | None) -> Dialect:
    """The API that a client speaks where both have the path; `anthropic_version` is that header's value."""
    return Dialect.OPENAI if anthropic_version is None else Dialect.ANTHROPIC


def _dialect(request: Request) -> Dialect:
    return dialect_of(request.header(ANTHROPIC_HEADER))


def _tag(request: Request) -> str:
    """What the client labels its spending with; the use case says whether it can."""
    return (request.header(TAG_HEADER) or b"").decode("latin-1")
