"""N15: a session is its principal's, its id is no credential, and sessions do not pile up."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from mcp.server.lowlevel import Server

from macroslow.authn.principal import Principal
from macroslow.mcp.conformance import Events
from macroslow.web.mcp.sessions import OwnedSessions
from macroslow.web.messages import Message

ANN, EVE = Principal("ann", "key/1", "1"), Principal("eve", "key/2", "2")
SESSION = b"mcp-session-id"
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
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}


@dataclass
class Answered:
    status: int
    session: str
    said: bytes


async def ask(
    sessions: OwnedSessions,
    who: Principal,
    message: Mapping[str, Any] | None,
    session: str = "",
    method: str = "POST",
    version: str = "2025-11-25",
) -> Answered:
    """One request, as the gate hands it on."""
    body = b"" if message is None else json.dumps(message).encode()
    headers = [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream"),
    ]
    if session:
        headers += [(SESSION, session.encode()), (b"mcp-protocol-version", version.encode())]
    scope = {
        "type": "http",
        "method": method,
        "path": "/mcp",
        "query_string": b"",
        "headers": headers,
        "state": {"principal": who, "message": None},
    }
    given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return given.pop() if given else await asyncio.get_running_loop().create_future()

    async def send(part: Message) -> None:
        sent.append(part)

    await sessions.handle_request(scope, receive, send)
    found = dict(sent[0]["headers"])
    said = b"".join(part.get("body", b"") for part in sent[1:])
    return Answered(sent[0]["status"], found.get(SESSION, b"").decode(), said)


@asynccontextmanager
async def opened(**bounds: Any) -> AsyncIterator[OwnedSessions]:
    sessions = OwnedSessions(Server("test"), Events(), 1 << 20, **bounds)
    async with sessions.run():
        yield sessions


async def test_a_session_of_another_principal_does_not_exist_N15() -> None:
    async with opened() as sessions:
        begun = await ask(sessions, ANN, HELLO)
        assert (begun.status, len(begun.session)) == (200, 32)
        foreign, unknown = [await ask(sessions, EVE, PING, each) for each in (begun.session, "0" * 32)]
        assert (foreign.status, foreign.said) == (unknown.status, unknown.said)
        assert foreign.status == 404
        for method in ("GET", "DELETE"):
            assert (await ask(sessions, EVE, None, begun.session, method)).status == 404
        assert (await ask(sessions, ANN, PING, begun.session)).status == 200


async def test_an_ended_session_is_nobodys_N15() -> None:
    async with opened() as sessions:
        begun = await ask(sessions, ANN, HELLO)
        assert (await ask(sessions, ANN, None, begun.session, "DELETE")).status == 200
        assert (await ask(sessions, ANN, PING, begun.session)).status == 404


async def test_ids_do_not_repeat_and_a_flood_is_refused_N15() -> None:
    async with opened(at_once=20) as sessions:
        begun = [await ask(sessions, who, HELLO) for who in (ANN, EVE) for _ in range(10)]
        assert len({each.session for each in begun}) == 20
        assert (await ask(sessions, EVE, HELLO)).status == 503
        assert (await ask(sessions, ANN, PING, begun[0].session)).status == 200  # who is in stays in
        await ask(sessions, EVE, None, begun[-1].session, "DELETE")
        assert (await ask(sessions, EVE, HELLO)).status == 200


async def test_a_session_that_nobody_uses_is_forgotten_N15() -> None:
    async with opened(at_once=1, idle_s=0.05) as sessions:
        begun = await ask(sessions, ANN, HELLO)
        for attempt in itertools.count():
            if (await ask(sessions, EVE, HELLO)).status == 200:
                break
            assert attempt < 1000
            await asyncio.sleep(0.01)
        assert (await ask(sessions, ANN, PING, begun.session)).status == 404


async def test_what_was_never_begun_is_no_session_N15() -> None:
    async with opened() as sessions:
        refused = await ask(sessions, ANN, PING)
        assert refused.status == 400
        assert (await ask(sessions, ANN, PING, refused.session)).status == 404


async def test_a_version_without_sessions_has_nothing_to_get_or_delete() -> None:
    async with opened() as sessions:
        begun = await ask(sessions, ANN, HELLO)
        for method in ("GET", "DELETE"):
            refused = await ask(sessions, ANN, None, begun.session, method, version="2026-07-28")
            assert refused.status == 405
        assert (await ask(sessions, ANN, PING, begun.session)).status == 200
