"""Commands of MCP servers, as the operator writes them (N27: they come from here and from nowhere else)."""

from typing import Any

import pytest
from pydantic import ValidationError

from macroslow.settings.mcp import MCPServer
from macroslow.workflow.box import Host, Mount

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "has no place"),
    ({"url": "https://mcp.example/mcp", "command": ["server"]}, "two places"),
    ({"url": "https://mcp.example/mcp", "mounts": ["/srv:ro"]}, "a program's"),
    ({"url": "https://mcp.example/mcp", "secrets": {"A": "env:A"}}, "a program's"),
    ({"command": []}, "not a command"),
    ({"command": [""]}, "not a command"),
    ({"command": ["a\0b"]}, "not a command"),
    ({"command": "server --all"}, "tuple"),
    ({"command": ["server"], "headers": {"authorization": "env:A"}}, "no headers"),
    ({"command": ["server"], "mounts": ["/proc:ro"]}, "/proc cannot be shown"),
    ({"command": ["server"], "mounts": ["/srv:rw", "/srv/docs:ro"]}, "may change"),
    ({"command": ["server"], "hosts": ["*.example:443"]}, "wildcards"),
    ({"command": ["server"], "environment": {"A B": "1"}}, "name of a variable"),
    ({"command": ["server"], "environment": {"A": "1"}, "secrets": {"A": "env:A"}}, "keep one|in secrets"),
    ({"command": ["server"], "secrets": {"A": "sk-a-secret-itself"}}, "not a reference"),
    ({"command": ["server", "ä" * 10_000]}, "more than"),
    ({"command": ["server"], "memory_mib": 0}, "greater than or equal"),
    ({"command": ["server"], "processes": 0}, "greater than or equal"),
]


def test_a_program_is_what_its_operator_wrote_and_nothing_is_added() -> None:
    server = MCPServer(
        command=("npx", "-y", "a-server", "/srv/docs"),
        mounts=("/srv/docs:ro", "/srv/out:rw"),
        hosts=("api.github.com:443",),
        memory_mib=128,
        processes=16,
    )
    program = server.program("files")
    assert program is not None
    assert program.command == ("npx", "-y", "a-server", "/srv/docs")
    assert program.mounts == (Mount("/srv/docs", writable=False), Mount("/srv/out", writable=True))
    assert program.hosts == (Host("api.github.com", 443),)
    assert (program.limits.memory_bytes, program.limits.processes) == (128 * 1024 * 1024, 16)


def test_a_server_at_a_url_is_no_program() -> None:
    assert MCPServer(url="https://mcp.example/mcp").program("far") is None


@pytest.mark.parametrize(("written", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_program_or_would_show_it_too_much_is_refused(written: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        MCPServer.model_validate(written)
