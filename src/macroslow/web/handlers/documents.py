"""POST /execute and POST /validate: a document as Markdown, as a form or as JSON."""

import asyncio
from collections.abc import Mapping
from typing import Final

import orjson

from macroslow.errors import BadRequestError, UnsupportedMediaTypeError
from macroslow.services.documents.admit_document import Submission
from macroslow.web import media_types
from macroslow.web.application import Application
from macroslow.web.forms import parse_form
from macroslow.web.messages import Request, Response, json_response
from macroslow.web.receipt_header import HEADER as RECEIPT_HEADER
from macroslow.web.receipt_header import asks_for_receipt, pointed

SIGN_HEADER: Final = b"x-macroslow-sign"
INLINE_BYTES: Final = 32 * 1024  # beyond this, parsing would hold up everybody else's requests
_MEMBERS: Final = frozenset({"document", "inputs"})


async def execute(application: Application, request: Request) -> Response:
    """Run the document; what the document itself got wrong while running is an answer, not an error."""
    submission = await _submission(request)
    answer = await application.execute_document(request.caller, submission, request_id=request.request_id)
    response = json_response(answer)
    return pointed(response, request.request_id) if submission.wants_receipt else response


async def validate(application: Application, request: Request) -> Response:
    """Check the document and run nothing."""
    return json_response(await application.validate_document(request.caller, await _submission(request)))


async def _submission(request: Request) -> Submission:
    if len(request.body) > INLINE_BYTES:
        return await asyncio.to_thread(read_submission, request)
    return read_submission(request)


def read_submission(request: Request) -> Submission:
    """Take document and inputs out of the body. Raises BadRequestError, UnsupportedMediaTypeError."""
    content_type = request.header(b"content-type") or b""
    match request.media_type:
        case media_types.MARKDOWN:
            _only_utf8(content_type)
            raw, inputs = request.body, None
        case media_types.FORM:
            raw, inputs = _from_form(parse_form(content_type, request.body))
        case media_types.JSON:
            raw, inputs = _from_json(request.body)
        case other:
            raise UnsupportedMediaTypeError(f"a document does not come as {other or 'nothing'}", step="parse")
    wants_signature = (request.header(SIGN_HEADER) or b"").lower() in {b"1", b"true"}
    return Submission(raw, inputs, wants_signature, asks_for_receipt(request.values(RECEIPT_HEADER)))


def _from_form(parts: Mapping[str, bytes]) -> tuple[bytes, Mapping[str, object] | None]:
    _known(parts)
    inputs = parts.get("inputs")
    return parts["document"], None if inputs is None else _object(_json(inputs), "inputs")


def _from_json(body: bytes) -> tuple[bytes, Mapping[str, object] | None]:
    members = _object(_json(body), "the body")
    _known(members)
    document, inputs = members["document"], members.get("inputs")
    if not isinstance(document, str):
        raise BadRequestError("`document` is not a string", step="parse")
    return document.encode(), None if inputs is None else _object(inputs, "inputs")


def _known(members: Mapping[str, object]) -> None:
    if unknown := sorted(members.keys() - _MEMBERS):
        raise BadRequestError(
            f"unknown members: {', '.join(unknown[:8])}", fix="document, inputs", step="parse"
        )
    if "document" not in members:
        raise BadRequestError("`document` is missing", step="parse")


def _json(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"not JSON: {error.msg} at character {error.pos}", step="parse") from None


def _object(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise BadRequestError(f"{name}: not a JSON object", step="parse")
    return value


def _only_utf8(content_type: bytes) -> None:
    _, _, charset = content_type.lower().partition(b"charset=")
    if charset.strip(b' "') not in {b"", b"utf-8", b"utf8"}:
        raise UnsupportedMediaTypeError(
            "documents are UTF-8", fix="text/markdown; charset=utf-8", step="parse"
        )
