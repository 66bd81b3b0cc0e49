"""The OpenAI routes: the body goes to the use case as it came, the answer back as it is."""

import re
from typing import Final

from macroslow.errors import BadRequestError
from macroslow.services.complete_chat import ChatAnswer, ChatStream
from macroslow.web.application import Application
from macroslow.web.messages import Request, Response, json_response

TAG_HEADER: Final = b"x-macroslow-tag"
COST_HEADER: Final = b"x-macroslow-cost-usd"
_TAG: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")


async def complete(application: Application, request: Request) -> Response:
    """POST /v1/chat/completions. A stream's cost is known at its end, so it has no cost header."""
    answer = await application.complete_chat(
        request.caller, request.body, request_id=request.request_id, tag=_tag(request)
    )
    return respond(answer)


async def models(application: Application, request: Request) -> Response:
    """GET /v1/models: what this caller may name."""
    return json_response({"object": "list", "data": application.models(request.caller)})


def respond(answer: ChatAnswer | ChatStream) -> Response:
    """The use case's answer as a response."""
    match answer:
        case ChatStream():
            return Response(200, answer.headers, answer.chunks)
        case ChatAnswer():
            cost = (COST_HEADER, usd(answer.usd_micros))
            return Response(answer.status, (*answer.headers, cost), answer.body)


def usd(usd_micros: int) -> bytes:
    """Micro-dollars as decimal dollars, exact: 1234 becomes 0.001234."""
    return b"%d.%06d" % divmod(usd_micros, 1_000_000)


def _tag(request: Request) -> str:
    tag = request.header(TAG_HEADER)
    if tag is None:
        return ""
    if not _TAG.fullmatch(tag):
        raise BadRequestError(
            "x-macroslow-tag: 1 to 64 of letters, digits and . _ : / -, a letter or digit first", step="parse"
        )
    return tag.decode("ascii")
