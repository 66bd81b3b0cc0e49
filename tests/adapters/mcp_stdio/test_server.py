"""A server behind streams: both eras, answers matched by our own ids, and everything else dropped."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from macroslow.adapters.mcp_stdio import StdioServer, drops
from macroslow.adapters.mcp_stdio.drops import Drop
from macroslow.errors import (
    SandboxUnavailableError,
    TooLargeError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)

Make = Callable[..., StdioServer]
MODERN = "2026-07-28"
TOOL = {"name": "add", "inputSchema": {"type": "object"}}
DONE = {"content": [{"type": "text", "text": "3"}]}


async def greet_modern(program: Any, **capabilities: Any) -> None:
    asked = await program.hear()
    assert asked["method"] == "server/discover"
    program.answer(
        asked,
        {
            "supportedVersions": [MODERN],
            "capabilities": {"tools": {}, **capabilities},
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "files", "version": "1.2"}},
            "resultType": "complete",
        },
    )


async def greet_old(program: Any) -> None:
    program.refuse(await program.hear(), -32601)
    asked = await program.hear()
    assert asked["method"] == "initialize"
    assert asked["params"]["capabilities"] == {}
    info = {"name": "files", "version": "0.9"}
    program.answer(
        asked, {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
    )
    assert (await program.hear())["method"] == "notifications/initialized"


async def serve(program: Any) -> str:
    """Answer what is asked until the input ends."""
    while True:
        asked = await program.hear()
        if asked["method"] == "tools/list":
            program.answer(asked, {"tools": [TOOL], "ttlMs": 20_000})
        elif asked["method"] == "tools/call":
            program.answer(asked, DONE)


async def modern(program: Any) -> str:
    await greet_modern(program)
    return await serve(program)


async def call(server: StdioServer, timeout_s: float = 20.0, **options: Any) -> Any:
    return await server.call_tool("add", {"a": 1}, timeout_s=timeout_s, **options)


def dropped_by(server: StdioServer) -> Any:
    """What was dropped of the conversation that goes on."""
    conversation = server._connection._conversation
    assert conversation is not None
    return conversation.peer.drops.counts


async def test_a_modern_server_is_asked_once_and_each_request_says_what_it_must(server_of: Make) -> None:
    server = server_of(modern)
    found = await server.discover()
    assert found.tools == (TOOL,)
    assert (found.identity.name, found.identity.version, found.identity.protocol) == ("files", "1.2", MODERN)
    assert found.fresh_s == 20.0
    assert await call(server) == DONE
    (program,) = server._connection.programs.started  # type: ignore[attr-defined]
    assert [message["method"] for message in program.heard] == ["server/discover", "tools/list", "tools/call"]
    for message in program.heard:
        meta = message["params"]["_meta"]
        assert meta["io.modelcontextprotocol/protocolVersion"] == MODERN
        assert meta["io.modelcontextprotocol/clientCapabilities"] == {}
    assert program.heard[-1]["params"]["arguments"] == {"a": 1}


async def test_a_server_of_the_handshake_is_greeted_its_way(server_of: Make) -> None:
    async def old(program: Any) -> str:
        await greet_old(program)
        return await serve(program)

    server = server_of(old)
    assert (await server.discover()).identity.protocol == "2025-06-18"
    assert await call(server) == DONE
    (program,) = server._connection.programs.started  # type: ignore[attr-defined]
    assert "_meta" not in program.heard[-1]["params"]


async def test_a_server_that_says_nothing_to_the_new_greeting_gets_the_old_one(
    server_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macroslow.adapters.mcp_stdio.connection.DISCOVER_S", 0.01)

    async def silent(program: Any) -> str:
        await program.hear()
        while (asked := await program.hear())["method"] != "initialize":
            assert asked["method"] == "notifications/cancelled"
        program.answer(asked, {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {}})
        return await serve(program)

    assert (await server_of(silent).discover()).identity.protocol == "2024-11-05"


async def test_a_server_that_was_slow_and_took_the_new_era_is_spoken_with_in_it(
    server_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macroslow.adapters.mcp_stdio.connection.DISCOVER_S", 0.01)

    async def slow(program: Any) -> str:
        await program.hear()
        while (asked := await program.hear())["method"] != "initialize":
            pass
        monkeypatch.setattr("macroslow.adapters.mcp_stdio.connection.DISCOVER_S", 20)
        program.refuse(asked, -32022)
        await greet_modern(program)
        return await serve(program)

    assert (await server_of(slow).discover()).identity.protocol == MODERN


async def test_calls_at_once_get_their_own_answers_in_whatever_order_they_come(server_of: Make) -> None:
    async def backwards(program: Any) -> str:
        await greet_modern(program)
        asked = [await program.hear() for _ in range(5)]
        for one in reversed(asked):
            program.answer(one, {"echo": one["params"]["arguments"]["a"]})
        return await serve(program)

    server = server_of(backwards)
    calls = [server.call_tool("add", {"a": number}, timeout_s=20) for number in range(5)]
    assert await asyncio.gather(*calls) == [{"echo": number} for number in range(5)]


async def test_what_is_no_answer_to_a_question_of_ours_is_dropped_and_counted(server_of: Make) -> None:
    async def liar(program: Any) -> str:
        await greet_modern(program)
        asked = await program.hear()
        number = asked["id"]
        program.say(b"Server listening on stdio", b"\xff\xfe", b"[]", b'{"jsonrpc":"1.0","id":%d}' % number)
        program.say(b'{"jsonrpc":"2.0","id":%d,"result":{"x":NaN}}' % number)
        for foreign in (number + 1, number - 1, str(number), float(number), True, None, [number], {}):
            program.say({"jsonrpc": "2.0", "id": foreign, "result": {"forged": True}})
        program.answer(asked, DONE)
        program.answer(asked, {"second": True})
        return await serve(program)

    server = server_of(liar)
    assert await call(server) == DONE
    assert await call(server) == DONE  # the conversation goes on
    dropped = dropped_by(server)
    assert dropped == {Drop.NOT_JSON: 5, Drop.UNKNOWN_ID: 9}


@pytest.mark.parametrize("result", [None, 3, "text", [1]], ids=["null", "number", "text", "list"])
async def test_an_answer_that_is_no_result_fails_its_call_alone(server_of: Make, result: Any) -> None:
    async def odd(program: Any) -> str:
        await greet_modern(program)
        program.answer(await program.hear(), result)
        return await serve(program)

    server = server_of(odd)
    with pytest.raises(UpstreamUnavailableError, match="gave no answer"):
        await call(server)
    assert await call(server) == DONE


async def test_an_error_of_the_servers_is_told_as_its_own(server_of: Make) -> None:
    async def refusing(program: Any) -> str:
        await greet_modern(program)
        program.refuse(await program.hear(), -32602, "unknown tool")
        return await serve(program)

    with pytest.raises(UpstreamRefusedError, match="unknown tool") as refused:
        await call(server_of(refusing))
    assert refused.value.status == 0  # codes of JSON-RPC are no status


async def test_a_server_may_ask_us_nothing_and_is_told_so(server_of: Make) -> None:
    replies = []

    async def asking(program: Any) -> str:
        await greet_modern(program)
        asked = await program.hear()
        methods = ("sampling/createMessage", "elicitation/create", "roots/list", "ping")
        for number, method in enumerate(methods):
            program.say({"jsonrpc": "2.0", "id": f"s{number}", "method": method, "params": {}})
        replies.extend([await program.hear() for _ in methods])
        program.answer(asked, DONE)
        return await serve(program)

    server = server_of(asking)
    assert await call(server) == DONE
    assert [reply["id"] for reply in replies] == ["s0", "s1", "s2", "s3"]
    assert [reply.get("error", {}).get("code") for reply in replies] == [-32601, -32601, -32601, None]
    assert dropped_by(server) == {Drop.REQUEST: 4}


DEEP = b"[" * 300 + b"]" * 300
SILENCING = {
    "a method that is a list": b'{"jsonrpc":"2.0","method":[]}',
    "a method that is an object": b'{"jsonrpc":"2.0","method":{"a":1}}',
    "a method that is null": b'{"jsonrpc":"2.0","method":null,"id":5}',
    "a deep id": b'{"jsonrpc":"2.0","method":"ping","id":' + DEEP + b"}",
    "an id that is an object": b'{"jsonrpc":"2.0","method":"x","id":{"a":1}}',
    "an id that is true": b'{"jsonrpc":"2.0","method":"x","id":true}',
    "a deep token": b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":'
    + DEEP
    + b"}}",
    "progress of nothing": b'{"jsonrpc":"2.0","method":"notifications/progress","params":[]}',
    "a deep answer": b'{"jsonrpc":"2.0","id":' + DEEP + b',"result":{}}',
    "a very large number": b'{"jsonrpc":"2.0","method":"ping","id":18446744073709551616}',
}


@pytest.mark.parametrize("line", SILENCING)
async def test_no_line_silences_the_conversation(server_of: Make, line: str) -> None:
    async def strange(program: Any) -> str:
        await greet_modern(program)
        asked = await program.hear()
        program.say(SILENCING[line])
        program.answer(asked, DONE)
        return await serve(program)

    server = server_of(strange)
    assert await call(server) == DONE
    assert await call(server) == DONE
    assert dropped_by(server).total() == 1
    assert server._connection._starts == 1


async def test_a_defect_of_ours_ends_the_conversation_and_the_next_call_begins_another(
    server_of: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def defective(method: object) -> bool:
        raise LookupError("canary")

    async def telling(program: Any) -> str:
        await greet_modern(program)
        await program.hear()
        monkeypatch.setattr("macroslow.adapters.mcp_stdio.peer.is_list_change", defective)
        program.say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return await serve(program)

    server = server_of(telling, modern)
    with pytest.raises(UpstreamUnavailableError, match=r"broke off: .* failed in the gateway") as failed:
        await call(server)
    assert "canary" not in failed.value.detail
    assert "canary" in caplog.text
    assert await call(server) == DONE
    assert server._connection._starts == 2


async def test_a_request_with_a_huge_id_is_not_answered_with_it(server_of: Make) -> None:
    async def asking(program: Any) -> str:
        await greet_modern(program)
        asked = await program.hear()
        program.say({"jsonrpc": "2.0", "id": "x" * 1_000_000, "method": "ping"})
        program.say({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        assert (await program.hear())["id"] == 1
        program.answer(asked, DONE)
        return await serve(program)

    assert await call(server_of(asking)) == DONE


async def test_an_answer_that_comes_too_late_is_nobodys_and_the_server_hears_of_it(server_of: Make) -> None:
    heard = []

    async def late(program: Any) -> str:
        await greet_modern(program)
        first = await program.hear()
        heard.append(await program.hear())
        program.answer(first, {"late": True})
        return await serve(program)

    server = server_of(late)
    await server._connection.conversation(20)
    with pytest.raises(UpstreamUnavailableError, match="did not answer in time"):
        await call(server, timeout_s=0.05)
    assert await call(server) == DONE
    (cancelled,) = heard
    assert cancelled["method"] == "notifications/cancelled"
    assert type(cancelled["params"]["requestId"]) is int
    assert dropped_by(server) == {Drop.UNKNOWN_ID: 1}


async def test_a_caller_who_leaves_cancels_his_call(server_of: Make) -> None:
    asked, cancelled = asyncio.Event(), asyncio.Event()

    async def patient(program: Any) -> str:
        await greet_modern(program)
        await program.hear()
        asked.set()
        assert (await program.hear())["method"] == "notifications/cancelled"
        cancelled.set()
        return await serve(program)

    server = server_of(patient)
    calling = asyncio.create_task(call(server))
    await asked.wait()
    calling.cancel()
    await cancelled.wait()
    assert await call(server) == DONE


async def test_progress_is_told_to_its_own_call_before_the_answer(server_of: Make) -> None:
    told: list[Any] = []

    async def steady(program: Any) -> str:
        await greet_modern(program)
        asked = await program.hear()
        token = asked["params"]["_meta"]["progressToken"]
        for params in (
            {"progressToken": token, "progress": 1, "total": 2, "message": "half"},
            {"progressToken": token + 1, "progress": 9},
            {"progressToken": token, "progress": "much"},
            {"progressToken": token, "progress": 2},
        ):
            program.say({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        program.answer(asked, DONE)
        return await serve(program)

    async def tell(done: float, total: float | None, words: str) -> None:
        told.append((done, total, words))

    assert await call(server_of(steady), progress=tell) == DONE
    assert told == [(1, 2, "half"), (2, None, "")]


@pytest.mark.parametrize("size", [20_000, 9 * 1024 * 1024], ids=["beyond-its-bound", "beyond-a-line"])
async def test_an_answer_that_is_too_large_is_refused_at_once(server_of: Make, size: int) -> None:
    async def large(program: Any) -> str:
        await greet_modern(program)
        program.answer(await program.hear(), {"text": "x" * size})
        return await serve(program)

    server = server_of(large)
    with pytest.raises(TooLargeError):
        await call(server)
    assert await call(server) == DONE


@pytest.mark.parametrize(
    "useless", [b"x", b'{"jsonrpc":"2.0","method":"notifications/message"}'], ids=["noise", "log"]
)
async def test_a_server_that_floods_is_ended_and_its_calls_fail(
    server_of: Make, useless: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drops, "MAX_USELESS_LINES", 100)

    async def flooding(program: Any) -> str:
        await greet_modern(program)
        await program.hear()
        program.say(*[useless] * 101)
        return await serve(program)

    server = server_of(flooding, modern)
    with pytest.raises(UpstreamUnavailableError, match="floods its standard output"):
        await call(server)
    assert await call(server) == DONE
    assert server._connection._starts == 2


async def test_a_line_without_an_end_is_ended(server_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drops, "MAX_USELESS_BYTES", 1000)
    monkeypatch.setattr("macroslow.adapters.mcp_stdio.connection.MAX_LINE_BYTES", 1000)

    async def endless(program: Any) -> str:
        await greet_modern(program)
        await program.hear()
        for _ in range(30):
            program._said.put_nowait(b"x" * 1000)
        return await serve(program)

    with pytest.raises(UpstreamUnavailableError, match="line without an end"):
        await call(server_of(endless, max_result_bytes=100))


async def test_a_call_whose_server_ends_fails_and_is_never_repeated(server_of: Make) -> None:
    async def crashing(program: Any) -> str:
        await greet_modern(program)
        await program.hear()
        return "it was killed by SIGSEGV"

    server = server_of(crashing, modern)
    with pytest.raises(UpstreamUnavailableError, match="broke off: it was killed by SIGSEGV"):
        await call(server)
    assert await call(server) == DONE
    first, second = server._connection.programs.started  # type: ignore[attr-defined]
    assert [m["method"] for m in second.heard] == ["server/discover", "tools/call"]
    assert first.closed


async def test_after_an_end_the_next_start_waits_and_says_for_how_long(server_of: Make) -> None:
    async def stillborn(program: Any) -> str:
        return "it ended with exit code 1"

    server = server_of(stillborn, pause_s=1000.0)
    with pytest.raises(UpstreamUnavailableError, match="exit code 1"):
        await call(server)
    with pytest.raises(
        UpstreamUnavailableError, match="is not running: it ended with exit code 1"
    ) as waiting:
        await call(server)
    assert waiting.value.retry_after_s is not None
    assert 0 < waiting.value.retry_after_s <= 60  # the longest pause
    assert server._connection._starts == 1


async def test_a_program_that_cannot_be_started_says_why_and_what_mends_it() -> None:
    class Nowhere:
        async def start(self) -> Any:
            raise SandboxUnavailableError("no full sandbox works here", fix="use Linux 5.12 or later")

        async def close(self) -> None:
            return

    server = StdioServer("files", ("run",), Nowhere(), max_result_bytes=1000)
    with pytest.raises(UpstreamUnavailableError, match=r"works here \(fix: use Linux 5.12 or later\)"):
        await call(server)
    assert server._connection._last_end.startswith("no full sandbox works here")
    await server.close()


async def test_a_server_that_ends_again_and_again_is_started_only_so_often(server_of: Make) -> None:
    async def stillborn(program: Any) -> str:
        return "it ended with exit code 1"

    server = server_of(*[stillborn] * 20)
    for _ in range(20):
        with pytest.raises(UpstreamUnavailableError):
            await call(server)
    assert server._connection._starts == 6


async def test_all_who_wait_for_a_start_share_it(server_of: Make) -> None:
    server = server_of(modern)
    assert await asyncio.gather(*[call(server) for _ in range(10)]) == [DONE] * 10
    assert server._connection._starts == 1


async def test_one_who_does_not_wait_leaves_the_start_to_the_others(server_of: Make) -> None:
    go_on = asyncio.Event()

    async def slow(program: Any) -> str:
        await go_on.wait()
        return await modern(program)

    server = server_of(slow)
    with pytest.raises(UpstreamUnavailableError, match="is starting still"):
        await call(server, timeout_s=0.01)
    go_on.set()
    assert await call(server) == DONE
    assert server._connection._starts == 1


async def test_changes_are_asked_for_and_heard_of(server_of: Make) -> None:
    async def changing(program: Any) -> str:
        await greet_modern(program, tools={"listChanged": True})
        asked = await program.hear()
        assert asked["method"] == "subscriptions/listen"
        assert asked["params"]["notifications"] == {"toolsListChanged": True}
        await program.hear()
        program.say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return await serve(program)

    server = server_of(changing)
    await server._connection.conversation(20)
    with pytest.raises(UpstreamUnavailableError):
        await call(server, timeout_s=0.05)
    async with asyncio.timeout(20):
        await server.changed()


async def test_closing_asks_the_server_to_end_and_leaves_nothing(server_of: Make) -> None:
    server = server_of(modern)
    await call(server)
    await server.close()
    (program,) = server._connection.programs.started  # type: ignore[attr-defined]
    assert program.closed
    with pytest.raises(UpstreamUnavailableError, match="is closed"):
        await call(server)


class _Never:
    """Programs that are never started."""

    async def start(self) -> Any:
        raise AssertionError

    async def close(self) -> None:
        return


def test_n27_the_command_is_shown_in_full_and_as_no_other_is() -> None:
    shown = {
        StdioServer("files", command, _Never(), max_result_bytes=1).where
        for command in (("run", "a b"), ("run", "a", "b"), ("run a", "b"), ("run", "'a", "b'"))
    }
    assert len(shown) == 4
    assert "run a b" in shown
