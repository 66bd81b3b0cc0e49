"""The OpenAI routes: the body goes to the use case as it came, the answer back as it is."""

import re
from typing import Final

from macroslow.errors import BadRequestError
from macroslow.services.call_model import ModelAnswer, ModelStream
from macroslow.web.application import Application
from macroslow.web.messages import Request, Response, json_response

TAG_HEADER: Final = b"x-macroslow-tag"
_TAG: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")


async def complete(application: Application, request: Request) -> Response:
    """POST /v1/chat/completions. A stream's cost is known at its end, so it has no cost header."""
    answer = await application.call_model(
        request.caller, request.body, request_id=request.request_id, tag=_tag(request)
    )
    return respond(answer)


async def models(application: Application, _request: Request) -> Response:
    """GET /v1/models: what a request may name."""
    return json_response(application.models())


def respond(answer: ModelAnswer | ModelStream) -> Response:
    """The use case's answer as a response; its headers are the use case's choice."""
    headers = [
        (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in answer.headers.items()
    ]
    match answer:
        case ModelStream():
            return Response(200, headers, answer.chunks)
        case ModelAnswer():
            return Response(answer.status, headers, answer.body)


def _tag(request: Request) -> str:
    tag = request.header(TAG_HEADER)
    if tag is None:
        return ""
    if not _TAG.fullmatch(tag):
        raise BadRequestError(
            "x-macroslow-tag: 1 to 64 of letters, digits and . _ : / -, a letter or digit first", step="parse"
        )
    return tag.decode("ascii")
