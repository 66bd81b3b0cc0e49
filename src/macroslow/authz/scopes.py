"""Scopes: what a credential may be used for. One flat list, no wildcards.

To it come the scopes of other MCP servers, `mcp:NAME`: one a server, and what the operator names for tools.
"""

import re
from collections.abc import Set
from typing import Final

DOCUMENTS_EXECUTE: Final = "documents:execute"
DOCUMENTS_VALIDATE: Final = "documents:validate"
RUNS_READ: Final = "runs:read"
INFERENCE_CHAT: Final = "inference:chat"
MCP_CONNECT: Final = "mcp:connect"  # reaches the endpoint; each tool asks for its own scope besides
IMAGES_SEARCH: Final = "images:search"
USAGE_READ: Final = "usage:read"
AUDIT_READ: Final = "audit:read"
OPERATIONS_READ: Final = "operations:read"
ADMIN_KEYS: Final = "admin:keys"
ADMIN_SIGNERS: Final = "admin:signers"
ADMIN_USAGE: Final = "admin:usage"
ADMIN_AUDIT: Final = "admin:audit"

ADMIN: Final = frozenset({ADMIN_KEYS, ADMIN_SIGNERS, ADMIN_USAGE, ADMIN_AUDIT})
"""What opens the administrators' listener. A key that has one of them opens nothing on the clients'."""
CLIENT: Final = frozenset(
    {
        DOCUMENTS_EXECUTE,
        DOCUMENTS_VALIDATE,
        RUNS_READ,
        INFERENCE_CHAT,
        MCP_CONNECT,
        IMAGES_SEARCH,
        USAGE_READ,
        AUDIT_READ,
        OPERATIONS_READ,
    }
)
"""All that the clients' listener asks for."""
CLIENT_DEFAULT: Final = CLIENT - {AUDIT_READ, OPERATIONS_READ}
"""What a new client key gets unless told otherwise."""
ALL: Final = CLIENT | ADMIN


def administrates(scopes: Set[str]) -> bool:
    """Whether these are an administrator's, and so for the administrators' listener alone."""
    return not ADMIN.isdisjoint(scopes)


SERVER_PREFIX: Final = "mcp:"
_SERVER: Final = re.compile(r"mcp:[a-z0-9][a-z0-9_-]{0,62}")


def server_scope(server: str) -> str:
    """What opens the MCP server of that name."""
    return SERVER_PREFIX + server


def is_server_scope(scope: str) -> bool:
    """Whether it can be the scope of an MCP server, or of some of its tools."""
    return scope != MCP_CONNECT and bool(_SERVER.fullmatch(scope))


def is_client(scope: str) -> bool:
    """Whether it opens something on the clients' listener."""
    return scope in CLIENT or is_server_scope(scope)


def is_known(scope: str) -> bool:
    """Whether a credential can have it."""
    return scope in ALL or is_server_scope(scope)


KNOWN: Final = ", ".join([*sorted(ALL), "mcp:SERVER"])
KNOWN_CLIENT: Final = ", ".join([*sorted(CLIENT), "mcp:SERVER"])
"""For people to read."""
