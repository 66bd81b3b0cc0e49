"""The metadata of /mcp as a protected resource (RFC 9728)."""

from macroslow.web.application import Application
from macroslow.web.messages import Request, Response, json_response


async def show(application: Application, request: Request) -> Response:
    """GET /.well-known/oauth-protected-resource, and the same for /mcp."""
    host = request.header(b"host") or b""  # the gate has checked that it is one of ours
    return json_response(application.protected.document(host, encrypted=request.encrypted))
