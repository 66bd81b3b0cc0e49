"""GET /openapi.json and GET /docs: what the route table serves, for programs and for people."""

from collections.abc import Callable, Iterable
from functools import cache

import orjson

from macroslow.web.application import Application, Handler
from macroslow.web.messages import Request, Response
from macroslow.web.openapi import Described, describe
from macroslow.web.openapi_page import page


def as_json(routes: Callable[[], Iterable[Described]]) -> Handler:
    """The handler of the description; `routes` is asked once."""
    body = cache(lambda version: orjson.dumps(describe(routes(), version)))

    async def handler(application: Application, _request: Request) -> Response:
        return Response(200, ((b"content-type", b"application/openapi+json"),), body(_version(application)))

    return handler


def as_page(routes: Callable[[], Iterable[Described]]) -> Handler:
    """The handler of the same as a page without a script."""
    body = cache(lambda version: page(describe(routes(), version)).encode())

    async def handler(application: Application, _request: Request) -> Response:
        return Response(200, ((b"content-type", b"text/html; charset=utf-8"),), body(_version(application)))

    return handler


def _version(application: Application) -> str:
    return str(application.info()["version"])
