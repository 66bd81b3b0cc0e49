"""What a server of the contract says to what it is asked: over its standard streams when run as a program.

The argument is the form of its lists: "good", "deep" or "noisy", which tells of a change when it may.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

META = "io.modelcontextprotocol/serverInfo"
TOOL = {"name": "good", "inputSchema": {"type": "object"}}
FORGED = "no\x1b[2J\r\nERROR forged\u200b\U000e0041 \u202eline" + "x" * 10_000
DEEP = b"[" * 400 + b"]" * 400


def says(asked: dict[str, Any], form: str) -> Iterator[bytes]:
    """The messages that it says to one, each without an end of line."""
    match asked["method"]:
        case "server/discover":
            told = {"tools": {"listChanged": form == "noisy"}}
            known = {META: {"name": "contract", "version": "1"}}
            yield _answer(asked, {"supportedVersions": ["2026-07-28"], "capabilities": told, "_meta": known})
        case "tools/list":
            page = _answer(asked, {"tools": [{**TOOL, "x": "deep" if form == "deep" else "plain"}]})
            yield page.replace(b'"deep"', DEEP)
        case "subscriptions/listen":
            yield _notification("notifications/tools/list_changed", {})
        case "tools/call":
            yield from _called(asked, asked["params"]["name"])


def _called(asked: dict[str, Any], name: str) -> Iterator[bytes]:
    match name:
        case "good":
            yield _answer(asked, {"content": [], "told": asked["params"]["arguments"]})
        case "deep":
            yield _answer(asked, {"content": "deep"}).replace(b'"deep"', DEEP)
        case "many lists":
            yield _answer(asked, {"content": "many"}).replace(b'"many"', b"[" + b"[]," * 500_000 + b"0]")
        case "error":
            yield _error(asked, {"code": 429, "message": FORGED, "data": {"more": "words"}})
        case "strange error":
            yield _error(asked, {"code": "x", "message": ["y"]})
        case "progress":
            yield from _progress(asked)
            yield _answer(asked, {"content": []})
        case "hang":
            yield from _progress(asked)
        case "another's":
            yield _answer({"id": asked["id"] + 1000}, {"content": ["of another"]})
        case "wants input":
            yield _answer(asked, {"resultType": "input_required", "inputRequests": {}})
        case "strange end":
            yield _answer(asked, {"resultType": ["complete"]})
        case "huge":
            yield _answer(asked, {"content": "x" * 3_000_000})


def _progress(asked: dict[str, Any]) -> Iterator[bytes]:
    token = asked["params"]["_meta"]["progressToken"]
    for told in (
        {"progress": 1, "total": 2, "message": FORGED},
        {"progress": True},
        {"progress": "much"},
        {"progress": None},
        {"progressToken": token + 1000, "progress": 9},
        {"progressToken": [token], "progress": 9},
        {"progress": 2, "total": True, "message": ["words"]},
    ):
        yield _notification("notifications/progress", {"progressToken": token, **told})


def _answer(asked: dict[str, Any], result: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()


def _error(asked: dict[str, Any], error: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}).encode()


def _notification(method: str, params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()


if __name__ == "__main__":
    for line in sys.stdin.buffer:
        for message in says(json.loads(line), sys.argv[1]):
            sys.stdout.buffer.write(message + b"\n")
        sys.stdout.buffer.flush()
