"""Health and metrics: what operators and their machines ask."""

from macroslow.web.application import Application
from macroslow.web.lifecycle import Phase
from macroslow.web.messages import Request, Response, json_response
from macroslow.web.metrics import CONTENT_TYPE


async def live(_application: Application, _request: Request) -> Response:
    """The process answers; nothing more is claimed."""
    return json_response({"status": "live"})


async def ready(application: Application, _request: Request) -> Response:
    """Whether new work would be taken. Public, so it does not say why not: GET /health does."""
    if _reasons(application):
        return json_response({"status": "not ready"}, status=503)
    return json_response({"status": "ready"})


async def health(application: Application, _request: Request) -> Response:
    """Readiness with its reasons."""
    reasons = _reasons(application)
    body: dict[str, object] = {
        "status": "not ready" if reasons else "ready",
        "phase": application.lifecycle.phase.value,
        "reasons": reasons,
    }
    return json_response(body, status=503 if reasons else 200)


async def startup(application: Application, _request: Request) -> Response:
    """200 once the start is over, whatever came after."""
    phase = application.lifecycle.phase
    return json_response({"phase": phase.value}, status=503 if phase is Phase.STARTING else 200)


async def info(application: Application, _request: Request) -> Response:
    """What runs here and how it is set."""
    return json_response(application.info())


async def metrics(application: Application, _request: Request) -> Response:
    """Prometheus text format 0.0.4."""
    return Response(
        200, ((b"content-type", CONTENT_TYPE),), await application.metrics.text(await application.figures())
    )


def _reasons(application: Application) -> list[str]:
    phase = application.lifecycle.phase
    return application.ready() if phase is Phase.SERVING else [phase.value]
