"""GET /v1/usage: what the caller itself has spent."""

from urllib.parse import parse_qsl

from macroslow.web.application import Application
from macroslow.web.messages import Request, Response, json_response


async def own(application: Application, request: Request) -> Response:
    """The caller's spending and budgets; the query may bound and group them."""
    query = dict(parse_qsl(request.query.decode("latin-1"), max_num_fields=20))
    return json_response(await application.own_usage(request.caller, query))
