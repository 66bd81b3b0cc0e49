"""Scopes: what a credential may be used for. One flat list, no wildcards."""

from collections.abc import Set
from typing import Final

DOCUMENTS_EXECUTE: Final = "documents:execute"
DOCUMENTS_VALIDATE: Final = "documents:validate"
RUNS_READ: Final = "runs:read"
INFERENCE_CHAT: Final = "inference:chat"
MCP_CONNECT: Final = "mcp:connect"  # reaches the endpoint; each tool asks for its own scope besides
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
