"""`/mcp` as a protected resource: who issues tokens for it, and what to ask of them (RFC 9728).

    WWW-Authenticate: Bearer …, resource_metadata="https://HOST/.well-known/oauth-protected-resource/mcp"

A client that has no credential finds here the issuers that the operator configured; nothing is issued here.
Without an issuer there is no document, and no refusal names one: MCP demands an authorization server in it,
and a client that found none would look for one where none is.

The resource has no CORS headers: a page in a browser that is not this gateway's own finds nothing out.

Sources: RFC 9728, sections 2, 3 and 5.1; MCP 2026-07-28, "Authorization", "Authorization Server Discovery".
"""

from typing import Final
from urllib.parse import urlsplit

from macroslow.errors import NotFoundError
from macroslow.values import value

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
PATH: Final = "/mcp"
METADATA_PATHS: Final = (WELL_KNOWN, WELL_KNOWN + PATH)
"""Of the document: that of the host, and that of the resource on it (RFC 9728 section 3.1)."""


@value
class ProtectedResource:
    """What clients of /mcp are told of it.

    `uri` is its name, and what tokens for it have as their audience; "": the name by which a request asks, of
    those that the gate serves. `issuers` are the authorization servers; `scopes` those of ours that can be
    asked of them by name.
    """

    uri: str = ""
    issuers: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    name: str = "Macroslow"

    def document(self, host: bytes, *, encrypted: bool) -> dict[str, object]:
        """The metadata, for a request to `host`, whose name was checked. NotFoundError without an issuer."""
        if not self.issuers:
            raise NotFoundError(
                "no issuer of tokens is configured: the credentials of this gateway are client keys",
                fix="send a client key as `x-api-key` or as `Authorization: Bearer`",
            )
        told: dict[str, object] = {
            "resource": self._uri(host, encrypted),
            "authorization_servers": self.issuers,
            "scopes_supported": self.scopes,
            "bearer_methods_supported": ("header",),
            "resource_name": self.name,
        }
        return {name: said for name, said in told.items() if said}

    def metadata_url(self, host: bytes, *, encrypted: bool) -> str:
        """Where the metadata is; "" without an issuer."""
        if not self.issuers:
            return ""
        parts = urlsplit(self._uri(host, encrypted))
        return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path}"

    def _uri(self, host: bytes, encrypted: bool) -> str:
        scheme = "https" if encrypted else "http"
        return self.uri or f"{scheme}://{host.decode('latin-1').lower()}{PATH}"


NO_ISSUER: Final = ProtectedResource()
"""Where client keys are all that counts."""
