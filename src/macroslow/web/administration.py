"""Administration over TCP: the operator's verbs as the routes of a listener of their own.

The verbs that have a scope in the table of `services.administration` are all there is. An administrator's
key makes keys that may do no more than itself, acts on no others (`services.identity.key_verbs`), and opens
nothing on the clients' listener. Running documents, taking over another gateway's keys and ending all keys
at once stay with `control.sock`.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from macroslow.authn.principal import Principal
from macroslow.crypto import strict_json
from macroslow.errors import BadRequestError
from macroslow.services.administration import VERBS
from macroslow.web.application import Application, Handler
from macroslow.web.media_types import JSON
from macroslow.web.messages import Request, Response, json_response
from macroslow.web.routes import ROUTES, Audit, Route

ADMIN_PATH: Final = "/admin/"
ARGUMENTS_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 8


class Perform(Protocol):
    """Performs one verb for an administrator."""

    async def __call__(self, verb: str, arguments: Mapping[str, object], by: Principal) -> object: ...


def admin_routes(perform: Perform) -> tuple[Route, ...]:
    """The whole table of the administrators' listener: one route a verb, and the two of health."""
    verbs = (
        Route(
            "POST",
            ADMIN_PATH + verb.name,
            verb.scope,
            _asked(verb.name, perform),
            ARGUMENTS_BYTES,
            frozenset({JSON}),
            audit=Audit.OUTCOME,
        )
        for verb in VERBS.values()
        if verb.scope is not None
    )
    return (*verbs, *(route for route in ROUTES if route.scope is None))


def _asked(verb: str, perform: Perform) -> Handler:
    async def handler(_application: Application, request: Request) -> Response:
        return json_response(await perform(verb, _arguments(request.body), request.caller))

    return handler


def _arguments(body: bytes) -> Mapping[str, object]:
    """The verb's arguments: a JSON object, each member once; nothing at all means none."""
    if not body:
        return {}
    try:
        given = strict_json.parse(body, limit_bytes=ARGUMENTS_BYTES, max_depth=MAX_DEPTH)
    except ValueError as error:
        raise BadRequestError(f"the arguments: {error}", fix="send one JSON object") from None
    if not isinstance(given, dict):
        raise BadRequestError("the arguments are no JSON object", fix='send for example {"count": 5}')
    return given
