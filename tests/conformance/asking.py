"""Single messages of MCP 2026-07-28, as no client would send them."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

VERSION: Final = "2026-07-28"
META: Final = "io.modelcontextprotocol/"
EVERYTHING: Final = {"elicitation": {}, "sampling": {}, "roots": {}}


@dataclass(frozen=True)
class Answer:
    status: int
    message: dict[str, Any]

    @property
    def result(self) -> dict[str, Any]:
        assert "result" in self.message, self.message
        result: dict[str, Any] = self.message["result"]
        return result

    @property
    def code(self) -> int:
        """The error's."""
        code: int = self.message["error"]["code"]
        return code


@dataclass(frozen=True)
class Asker:
    """One client of the server at `url`. Without a key it is the one that the server lets in by itself."""

    url: str
    key: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=lambda: EVERYTHING)

    def tool(self, name: str, arguments: Mapping[str, Any] | None = None, **more: object) -> Answer:
        return self.ask("tools/call", name, name=name, arguments=dict(arguments or {}), **more)

    def ask(self, method: str, named: str = "", **params: object) -> Answer:
        meta = {
            f"{META}protocolVersion": VERSION,
            f"{META}clientCapabilities": self.capabilities,
            f"{META}clientInfo": {"name": "test", "version": "1"},
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": VERSION,
            "mcp-method": method,
        }
        if named:
            headers["mcp-name"] = named
        if self.key:
            headers["x-api-key"] = self.key
        request = urllib.request.Request(f"{self.url}/mcp", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error))
