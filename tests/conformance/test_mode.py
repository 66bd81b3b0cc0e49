"""`serve --conformance` is production's stack, and says that it is no production."""

import json
import urllib.error
import urllib.request
from pathlib import Path

from tests.conformance.asking import Asker
from tests.conformance.conftest import Served

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def got(url: str, **headers: str) -> tuple[int, bytes]:
    return asked(urllib.request.Request(url, headers=headers))


def asked(request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_start_and_info_say_what_this_is(served: Served) -> None:
    assert served.notes[0].startswith("FOR CONFORMANCE TESTS ONLY")
    key = served.key("operator-of-ci", scopes=["operations:read"])
    status, info = got(f"{served.url}/info", **{"x-api-key": key})
    assert (status, json.loads(info)["serves"]) == (200, "conformance")


def test_who_shows_a_key_is_who_the_key_says(served: Served) -> None:
    assert got(f"{served.url}/info", **{"x-api-key": "msk_wrong"})[0] == 401
    assert got(f"{served.url}/info", authorization="Bearer msk_wrong")[0] == 401
    assert Asker(served.url, "msk_wrong").tool("test_simple_text").status == 401


def test_its_own_tools_and_the_fixtures_are_listed_together(served: Served) -> None:
    names = [tool["name"] for tool in Asker(served.url).ask("tools/list").result["tools"]]
    assert {"run_document", "test_simple_text"} <= {*names}
    assert len(names) == len({*names})


def test_its_state_is_private_and_elsewhere(served: Served) -> None:
    assert served.state.stat().st_mode & 0o077 == 0
    assert Path.cwd() not in served.state.parents


def test_a_session_is_its_principals_through_the_whole_stack_N15(served: Served) -> None:
    ann, eve = served.key("ann"), served.key("eve")

    def request(key: str, message: object, **headers: str) -> urllib.request.Request:
        kinds = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        body = json.dumps(message).encode()
        return urllib.request.Request(f"{served.url}/mcp", body, {**kinds, "x-api-key": key, **headers})

    with urllib.request.urlopen(request(ann, HELLO), timeout=60) as answer:
        session = answer.headers["mcp-session-id"]
        answer.read()
    inside = {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    assert asked(request(ann, ping, **inside))[0] == 200
    assert asked(request(eve, ping, **inside))[0] == 404
    assert asked(request("msk_wrong", ping, **inside))[0] == 401


def test_a_version_without_sessions_is_told_so_through_the_whole_stack(served: Served) -> None:
    for method in ("GET", "DELETE"):
        headers = {"accept": "text/event-stream", "mcp-protocol-version": "2026-07-28"}
        request = urllib.request.Request(f"{served.url}/mcp", headers=headers, method=method)
        assert asked(request)[0] == 405
