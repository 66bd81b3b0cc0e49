"""What the caller has spent, and what is left of the budgets that bind it."""

from typing import Final
from urllib.parse import parse_qsl

from macroslow.errors import BadRequestError, Problem
from macroslow.web.application import Application
from macroslow.web.messages import Request, Response, json_response

_DAYS: Final = {"from": "first_day", "to": "last_day"}
MAX_QUERY_BYTES: Final = 256


async def own_usage(application: Application, request: Request) -> Response:
    """GET /v1/usage: totals by model, day and tag, and budgets. `from` and `to` are days (UTC)."""
    days = _days(request.query)
    return json_response(await application.own_usage(request.caller, **days))


def _days(query: bytes) -> dict[str, str]:
    """The span that was asked for. BadRequestError names what is not understood."""
    found: dict[str, str] = {}
    for name, value in _fields(query):
        if name not in _DAYS or _DAYS[name] in found:
            problem = Problem("given twice" if name in _DAYS else "not known here", field=name[:40])
            raise BadRequestError("the query is not understood", [problem], step="parse")
        found[_DAYS[name]] = value
    return found


def _fields(query: bytes) -> list[tuple[str, str]]:
    try:
        if len(query) <= MAX_QUERY_BYTES:
            return parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:  # UnicodeDecodeError too
        pass
    raise BadRequestError("the query is not understood", fix="?from=2026-01-01&to=2026-01-31", step="parse")
