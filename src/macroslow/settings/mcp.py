"""[mcp]: other MCP servers behind the gateway, and what their callers may do.

A server is named by the operator alone; so are its credentials, which go to its URL and nowhere else. A tool
needs the scope `mcp:SERVER`, or the one that its own rule names instead.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from macroslow.authz.scopes import is_server_scope, server_scope
from macroslow.ports import MIB
from macroslow.secretstore.reference import Reference
from macroslow.settings.fields import (
    AsTexts,
    MCPServerURL,
    Name,
    ResourceURL,
    SecretReference,
    Texts,
    check_plain_http,
    refuse,
)
from macroslow.settings.mcp_program import ServerProgram
from macroslow.settings.section import Section

MAX_SERVERS: Final = 100
MAX_SERVER_NAME: Final = 32  # so that room is left for a tool's: names of 64 characters travel everywhere
MAX_HEADERS: Final = 16
_OURS: Final = frozenset(
    {"host", "content-type", "content-length", "transfer-encoding", "connection", "accept", "accept-encoding"}
    | {"expect", "te", "trailer", "upgrade"}
)
_PROTOCOLS: Final = "mcp-"  # how the protocol's own headers begin


def _headers(value: Mapping[str, Reference]) -> Mapping[str, Reference]:
    if any(name in _OURS or name.startswith(_PROTOCOLS) for name in value):
        raise refuse("a header that the protocol sets itself", "remove it")
    if len(value) > MAX_HEADERS:
        raise refuse(f"more than {MAX_HEADERS} headers", "keep those that the server needs")
    return MappingProxyType(value)


def _scope(value: str) -> str:
    if not is_server_scope(value):
        raise refuse("not a scope of a server", 'write "mcp:" and a word, as "mcp:github-write"')
    return value


def _server_names(value: Mapping[str, "MCPServer"]) -> Mapping[str, "MCPServer"]:
    for name in value:
        if "__" in name or len(name) > MAX_SERVER_NAME or not is_server_scope(server_scope(name)):
            raise refuse(
                f"{name}: not a name for a server",
                f'use at most {MAX_SERVER_NAME} characters without "__", and not "connect"',
            )
    return MappingProxyType(value)


class ToolRule(Section):
    """What holds for one tool of a server. `scope` is what it needs instead of the server's own."""

    scope: Annotated[str, AfterValidator(_scope)] | None = None
    calls_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None


class MCPServer(ServerProgram):
    """One other MCP server, at a URL or as a program. `tools`: the only ones offered; None: all approved.

    Rates are for each principal. `private_network`: the URL's name may lead to an address that is not public.
    `max_result_bytes` bounds any one answer of the server to a call.
    """

    url: MCPServerURL | None = None
    headers: Annotated[Mapping[Name, SecretReference], AfterValidator(_headers), AsTexts] = Field(
        default_factory=dict
    )
    plain_http: bool = False
    private_network: bool = False
    tools: Texts | None = None
    calls_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    max_result_bytes: Annotated[int, Field(ge=1024, le=64 * MIB)] = MIB
    rules: Annotated[Mapping[str, ToolRule], AfterValidator(MappingProxyType), PlainSerializer(dict)] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.url is not None and self.command is not None:
            raise refuse("has two places", "write url or command, whichever it is, and remove the other")
        if self.url is None and self.command is None:
            raise refuse("has no place", 'write url = "https://…", or command = ["…"] for a program')
        if self.url is not None:
            check_plain_http(self.url, allowed=self.plain_http, member="url")
        elif self.headers:
            raise refuse("a program gets no headers", "write its secrets under secrets")
        return self

    def scope_of(self, server: str, tool: str) -> str:
        """What a key must have, besides `mcp:connect`, to call one tool."""
        rule = self.rules.get(tool)
        return (rule and rule.scope) or server_scope(server)


class MCP(Section):
    """What agents reach over MCP besides our own tools.

    `resource` is the URL of /mcp as clients know it, for which issuers make tokens; None: by the name that a
    request asks for.
    """

    resource: ResourceURL | None = None
    servers: Annotated[
        Mapping[Name, MCPServer],
        Field(max_length=MAX_SERVERS),
        AfterValidator(_server_names),
        PlainSerializer(dict),
    ] = Field(default_factory=dict)
