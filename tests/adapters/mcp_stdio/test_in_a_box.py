"""Real servers, good and hostile, as programs in real boxes (N27)."""

import json
import site
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from macroslow.adapters.mcp_stdio import StdioServer, connection, drops
from macroslow.adapters.sandbox import Boxes
from macroslow.errors import UpstreamUnavailableError
from macroslow.workflow.box import BoxLimits, Mount, Program

Make = Callable[..., StdioServer]
MIB = 1024 * 1024

SERVER = """
import json, os, sys, time
def say(message): print(json.dumps(message), flush=True)
greeting = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {}}
def serve(on_call):
    for line in sys.stdin:
        asked = json.loads(line)
        def answer(result): say({"jsonrpc": "2.0", "id": asked["id"], "result": result})
        if asked["method"] == "initialize": answer(greeting)
        elif asked["method"] == "tools/list": answer({"tools": [{"name": "act", "inputSchema": {}}]})
        elif asked["method"] == "tools/call": answer(on_call(asked["params"]["arguments"]))
        elif "id" in asked:
            say({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "no"}})
"""
SDK = """
import sys
sys.path.append({packages!r})
from mcp.server import MCPServer
server = MCPServer("adder", version="1.5")
@server.tool()
def add(a: int, b: int) -> int:
    return a + b
server.run("stdio")
"""


@pytest.fixture
async def server_of() -> AsyncIterator[Make]:
    """Makes a server of a Python program in a box."""
    made: list[StdioServer] = []

    def make(code: str, *own: Mount, environment: dict[str, str] | None = None, **limits: Any) -> StdioServer:
        prefix = Path(sys.base_prefix).resolve()
        mounts = () if prefix.is_relative_to("/usr") else (Mount(str(prefix), writable=False),)
        command = (str(Path(sys.executable).resolve()), "-I", "-S", "-c", code)
        boxes = Boxes(Program("tested", command, mounts + own, limits=BoxLimits(**limits)))

        class Boxed:
            async def start(self) -> Any:
                return await boxes.start(environment or {})

            async def close(self) -> None:
                await boxes.close()

        made.append(StdioServer("tested", command, Boxed(), max_result_bytes=MIB // 4))
        return made[-1]

    yield make
    for server in made:
        await server.close()


async def act(server: StdioServer, **arguments: Any) -> Any:
    return await server.call_tool("act", arguments, timeout_s=60)


async def test_the_official_sdks_server_is_spoken_with_in_the_newest_era(server_of: Make) -> None:
    packages = next(path for path in site.getsitepackages() if Path(path, "mcp").is_dir())
    server = server_of(SDK.format(packages=packages), Mount(str(Path(packages).resolve()), writable=False))
    found = await server.discover()
    assert (found.identity.name, found.identity.version, found.identity.protocol) == (
        "adder",
        "1.5",
        "2026-07-28",
    )
    assert [tool["name"] for tool in found.tools] == ["add"]
    result = await server.call_tool("add", {"a": 2, "b": 3}, timeout_s=60)
    assert result["structuredContent"] == {"result": 5}


async def test_an_old_server_serves_and_has_its_own_environment_alone(server_of: Make) -> None:
    code = SERVER + "serve(lambda _: dict(os.environ))"
    server = server_of(code, environment={"TOKEN": "its own"})
    assert (await server.discover()).identity.protocol == "2025-06-18"
    assert await act(server) == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/maml",
        "TMPDIR": "/maml/.tmp",
        "LANG": "C.UTF-8",
        "TOKEN": "its own",
    }


async def test_what_prints_besides_its_messages_is_understood_all_the_same(server_of: Make) -> None:
    noisy = (
        SERVER + "print('Server running on stdio'); serve(lambda _: print('debug: called') or {'ok': True})"
    )
    server = server_of(noisy)
    assert await act(server) == {"ok": True}
    conversation = server._connection._conversation
    assert conversation is not None
    assert conversation.peer.drops.counts.total() == 2


HOSTILE = {
    "crashes-on-start": ("raise SystemExit('no configuration')", "exit code 1"),
    "prints-garbage": ("print('hello'); sys.exit(3)", "exit code 3"),
    "crashes-mid-call": ("serve(lambda _: os.kill(os.getpid(), 11))", "killed by SIGSEGV"),
    "exits-mid-call": ("serve(lambda _: os._exit(7))", "exit code 7"),
    "floods": ("serve(lambda _: [print('x' * 99) for _ in iter(int, 1)])", "floods its standard output"),
    "never-ends-a-line": (
        "serve(lambda _: [sys.stdout.write('x' * 99999) for _ in iter(int, 1)])",
        "without an end",
    ),
    "closes-its-output": ("serve(lambda _: [os.close(1), time.sleep(300)])", "closed its standard streams"),
    "eats-memory": (
        "serve(lambda _: [bytearray(b'x' * 2**20) for _ in iter(int, 1)])",
        "its 128 MiB of memory",
    ),
    "daemonises-and-leaves": ("serve(lambda _: os.fork() and os._exit(0) or time.sleep(300))", "exit code 0"),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
async def test_n27_a_hostile_server_fails_its_own_calls_and_says_how(
    server_of: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drops, "MAX_USELESS_BYTES", MIB)
    monkeypatch.setattr(connection, "MAX_LINE_BYTES", MIB)
    behaviour, says = HOSTILE[name]
    server = server_of(SERVER + behaviour, memory_bytes=128 * MIB)
    with pytest.raises(UpstreamUnavailableError, match=says):
        await act(server)


async def test_n27_last_words_are_for_the_log_alone_and_without_what_is_secret(
    server_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    server = server_of(
        "import os; raise SystemExit('bad ' + os.environ['TOKEN'])", environment={"TOKEN": "t0p-s3cret"}
    )
    with pytest.raises(UpstreamUnavailableError) as failed:
        await act(server)
    assert "bad" not in failed.value.detail + failed.value.reason
    assert "its last words: bad [hidden]" in caplog.text
    assert "t0p-s3cret" not in caplog.text


async def test_a_server_that_hangs_is_left_after_its_time(server_of: Make) -> None:
    server = server_of(SERVER + "serve(lambda given: time.sleep(300) if given.get('hang') else {'ok': True})")
    assert await act(server) == {"ok": True}
    with pytest.raises(UpstreamUnavailableError, match="did not answer in time"):
        await server.call_tool("act", {"hang": True}, timeout_s=0.2)


async def test_after_a_crash_the_server_is_started_again_for_the_next_call(server_of: Make) -> None:
    crashing = "serve(lambda given: os._exit(7) if given.get('crash') else {'pid': os.getpid()})"
    server = server_of(SERVER + crashing)
    server._connection.first_pause_s = 0.0
    assert await act(server) == {"pid": 2}
    with pytest.raises(UpstreamUnavailableError, match="exit code 7"):
        await act(server, crash=True)
    assert json.dumps(await act(server)) == '{"pid": 2}'
    assert server._connection._starts == 2
