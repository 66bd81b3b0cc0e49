"""GET /receipts/{id}: the receipt of an answer, for whoever got the answer."""

from macroslow.web.application import Application
from macroslow.web.messages import Request, Response, json_response


async def show(application: Application, request: Request) -> Response:
    """The receipt that the request of this id asked for."""
    return json_response(await application.receipts(request.caller, request.params["id"]))
