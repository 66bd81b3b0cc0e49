"""Everything under /runs, as the run's owner sees it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import orjson

from macroslow.web.application import Application, JSONObject
from macroslow.web.messages import Request, Response, json_response

HEARTBEAT_S: Final = 15.0  # proxies cut connections that say nothing for a minute or so
_HEARTBEAT: Final = b": still here\n\n"


async def listing(application: Application, request: Request) -> Response:
    """The caller's runs, newest first."""
    return json_response({"runs": await application.runs.list(request.caller)})


async def show(application: Application, request: Request) -> Response:
    """One run."""
    return json_response(await application.runs.show(request.caller, request.params["id"]))


async def document(application: Application, request: Request) -> Response:
    """The exact bytes that were submitted. Never rendered: the browser is told to keep them as a file."""
    body = await application.runs.document(request.caller, request.params["id"])
    headers = (
        (b"content-type", b"text/markdown; charset=utf-8"),
        (b"content-disposition", b'attachment; filename="document.maml.md"'),
    )
    return Response(200, headers, body)


async def history(application: Application, request: Request) -> Response:
    """The gateway's signed statement about the run (a JWS in General JSON form)."""
    text = await application.runs.history(request.caller, request.params["id"])
    return Response(200, ((b"content-type", b"application/jose+json"),), text.encode())


async def receipt(application: Application, request: Request) -> Response:
    """The run's receipt."""
    return json_response(await application.runs.receipt(request.caller, request.params["id"]))


async def cancel(application: Application, request: Request) -> Response:
    """Ask a run under way to stop."""
    return json_response(await application.runs.cancel(request.caller, request.params["id"]), status=202)


async def events(application: Application, request: Request) -> Response:
    """The run's changes as server-sent events, until it has ended (HTML Living Standard, section 9.2)."""
    source = application.runs.events(request.caller, request.params["id"])
    first = await anext(source)  # an unknown run is a 404, not a stream that breaks off
    headers = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no"))
    return Response(200, headers, _stream(first, source))


async def _stream(first: JSONObject, source: AsyncIterator[JSONObject]) -> AsyncGenerator[bytes]:
    yield _event(first)
    pending = asyncio.ensure_future(anext(source, None))
    try:
        while True:
            await asyncio.wait({pending}, timeout=HEARTBEAT_S)
            if not pending.done():
                yield _HEARTBEAT
                continue
            event = pending.result()
            if event is None:
                return
            yield _event(event)
            pending = asyncio.ensure_future(anext(source, None))
    finally:
        pending.cancel()


def _event(event: JSONObject) -> bytes:
    return b"event: run\ndata: " + orjson.dumps(event) + b"\n\n"
