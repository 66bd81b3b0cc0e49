"""Scopes: what a credential may be used for. One flat list, no wildcards."""

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

ALL: Final = frozenset(
    {
        DOCUMENTS_EXECUTE,
        DOCUMENTS_VALIDATE,
        RUNS_READ,
        INFERENCE_CHAT,
        MCP_CONNECT,
        USAGE_READ,
        AUDIT_READ,
        OPERATIONS_READ,
        ADMIN_KEYS,
    }
)
CLIENT_DEFAULT: Final = ALL - {AUDIT_READ, OPERATIONS_READ, ADMIN_KEYS}
"""What a new client key gets unless told otherwise."""
