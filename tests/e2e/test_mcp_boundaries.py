"""What MCP keeps apart at a whole gateway: callers' runs (N18), and their credentials from providers (N2)."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Site, make_site
from tests.e2e.documents import document
from tests.e2e.upstream import Asked, Said, serving

ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}


def called(site: Site, key: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """The result of one tool, or the error."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }
    headers = {
        "x-api-key": key,
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
        "cookie": "session=cookie-of-the-client",
    }
    told: dict[str, Any] = site.call("POST", "/mcp", json.dumps(body).encode(), headers).json
    return told.get("result", told)


def test_n18_anothers_run_is_as_unknown_as_none(site: Site) -> None:
    ann, bob = site.client("ann"), site.client("bob")
    ran = called(site, ann, "run_document", document=document("result = {}").decode())["structuredContent"]
    run = ran["run_id"]
    other = run[:-1] + ("0" if run[-1] != "0" else "1")
    for tool in ("get_run", "get_run_result", "cancel_run"):
        foreign, unknown = (called(site, bob, tool, run_id=one) for one in (run, other))
        assert foreign == unknown
        assert foreign["isError"]
    assert not called(site, ann, "get_run", run_id=run).get("isError")
    assert run not in json.dumps(called(site, bob, "list_runs"))
    assert len(run) >= 12


def test_n2_nothing_of_the_clients_credentials_reaches_a_provider(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    def answer(_: Asked) -> Said:
        return Said(200, json.dumps(ANSWER).encode())

    with serving(answer) as upstream:
        site = make_site(tmp_path / "site", upstream.url + "/v1", clean_environment)
        site.start()
        try:
            key = site.client("ann")
            messages = [{"role": "user", "content": "Hi"}]
            told = called(site, key, "complete_chat", model="gpt-4o-mini", messages=messages)
            assert not told.get("isError"), told
        finally:
            site.stop()
    [asked] = upstream.asked
    whole = json.dumps([asked.target, dict(asked.headers), asked.body.decode()])
    assert key not in whole
    assert "cookie-of-the-client" not in whole
    assert asked.headers["authorization"].startswith("Bearer sk-")
    assert key not in site.said
    assert "x-api-key" not in asked.headers
