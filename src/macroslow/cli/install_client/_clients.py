"""How each MCP client wants to be told of a server, as data: where, in which form, with which links.

None of them gets a key. What they get is the name of the variable that has it, or a question to the user.
"""

import base64
import json
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from macroslow.cli._configured import KEY_VARIABLE

Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Server:
    """The gateway as a client finds it: at a URL, or as a program that it starts."""

    name: str
    url: str
    command: tuple[str, ...] = ()

    @property
    def program(self) -> Entry:
        """The program and its arguments, as all but one of them write it."""
        return {"command": self.command[0], "args": [*self.command[1:]]}


@dataclass(frozen=True, slots=True)
class Client:
    """One client. `file` is where it looks by default, `table` where in it servers stand.

    `inputs` are questions that the client asks its user and keeps the answers to itself. `also` are other
    ways to the same end: commands and links.
    """

    title: str
    file: Callable[[], Path]
    table: str
    entry: Callable[[Server], Entry]
    also: Callable[[Server, Path], Mapping[str, str]]
    inputs: Callable[[Server], tuple[Entry, ...]] = lambda _: ()


def _bearer(reference: str) -> Entry:
    return {"Authorization": f"Bearer {reference}"}


def _claude(server: Server) -> Entry:
    if server.command:
        return {"type": "stdio", **server.program}
    return {"type": "http", "url": server.url, "headers": _bearer(f"${{{KEY_VARIABLE}}}")}


def _claude_also(server: Server, _: Path) -> Mapping[str, str]:
    add = ["claude", "mcp", "add"]
    if server.command:
        return {"or": shlex.join([*add, server.name, "--", *server.command])}
    header = f"Authorization: Bearer ${{{KEY_VARIABLE}}}"
    return {"or": shlex.join([*add, "--transport", "http", server.name, server.url, "--header", header])}


def _vscode(server: Server) -> Entry:
    if server.command:
        return {"type": "stdio", **server.program}
    return {"type": "http", "url": server.url, "headers": _bearer(f"${{input:{server.name}-key}}")}


def _vscode_inputs(server: Server) -> tuple[Entry, ...]:
    if server.command:
        return ()
    description = f"Key for {server.name} (msk_…)"
    asked = {"type": "promptString", "id": f"{server.name}-key", "description": description, "password": True}
    return (asked,)


def _vscode_also(server: Server, _: Path) -> Mapping[str, str]:
    whole: dict[str, object] = {"name": server.name, **_vscode(server)}
    if server.command:
        return {"or": f"code --add-mcp {shlex.quote(json.dumps(whole))}", "link": _vscode_link(whole)}
    return {"link": _vscode_link(whole | {"inputs": [*_vscode_inputs(server)]})}


def _vscode_link(whole: Entry) -> str:
    return f"vscode:mcp/install?{quote(json.dumps(whole), safe='')}"


def _cursor(server: Server) -> Entry:
    if server.command:
        return server.program
    return {"url": server.url, "headers": _bearer(f"${{env:{KEY_VARIABLE}}}")}


def _cursor_also(server: Server, _: Path) -> Mapping[str, str]:
    config = quote(base64.b64encode(json.dumps(_cursor(server)).encode()).decode("ascii"), safe="")
    name = quote(server.name, safe="")
    return {"link": f"cursor://anysphere.cursor-deeplink/mcp/install?name={name}&config={config}"}


def _codex(server: Server) -> Entry:
    if server.command:
        return {**server.program, "env_vars": [KEY_VARIABLE]}
    return {"url": server.url, "bearer_token_env_var": KEY_VARIABLE}


def _codex_also(server: Server, _: Path) -> Mapping[str, str]:
    add = ["codex", "mcp", "add", server.name]
    if server.command:
        return {"or": shlex.join([*add, "--", *server.command])}
    return {"or": shlex.join([*add, "--url", server.url, "--bearer-token-env-var", KEY_VARIABLE])}


def _inspector(server: Server) -> Entry:
    if server.command:
        return {"type": "stdio", **server.program}
    return {"type": "http", "url": server.url}


def _inspector_also(server: Server, file: Path) -> Mapping[str, str]:
    reads = shlex.join(["mcp-inspector", "--cli", "--config", str(file), "--server", server.name])
    key = "" if server.command else f' --header "Authorization: Bearer ${KEY_VARIABLE}"'
    return {"then": f"{reads} --method tools/list{key}"}


def _codex_home() -> Path:
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex")


CLIENTS: Final[Mapping[str, Client]] = {
    "claude": Client("Claude Code", lambda: Path(".mcp.json"), "mcpServers", _claude, _claude_also),
    "vscode": Client(
        "VS Code", lambda: Path(".vscode", "mcp.json"), "servers", _vscode, _vscode_also, _vscode_inputs
    ),
    "cursor": Client("Cursor", lambda: Path(".cursor", "mcp.json"), "mcpServers", _cursor, _cursor_also),
    "codex": Client("Codex", lambda: _codex_home() / "config.toml", "mcp_servers", _codex, _codex_also),
    "inspector": Client("MCP Inspector", lambda: Path("mcp.json"), "mcpServers", _inspector, _inspector_also),
}
