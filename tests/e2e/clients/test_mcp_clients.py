"""MCP clients that people use, unmodified: the official SDKs, the Inspector, an agent framework and agents.

Each comes by its own idea of which version to speak; over HTTP with a key, and over the pipes of a program.
"""

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from tests.e2e.clients.conftest import Run
from tests.e2e.clients.test_mcp import mcp_client
from tests.e2e.conftest import MACROSLOW, Site
from tests.node import AGENTS, MCP, SDKS, commands_of, path_to_mcp, python_of

ASKED = [{"role": "user", "content": "Answer with exactly: forty-two"}]
CHAT = {"model": "gpt-4o-mini", "messages": ASKED}
HOW = ["http", pytest.param("stdio", marks=pytest.mark.sweep)]


@pytest.fixture
def stdio_command(gateway: Site) -> list[str]:
    """What a client starts to get the running gateway at the other end of its pipes."""
    return [*MACROSLOW, "serve", "--stdio", "--config", str(gateway.folder / "macroslow.toml")]


def reached(gateway: Site, stdio_command: list[str], how: str) -> dict[str, str]:
    """How a program of tests/clients is told where the gateway is."""
    if how == "stdio":
        return {"MCP_COMMAND": json.dumps(stdio_command)}
    return {"MCP_URL": f"{gateway.url}/mcp"}


async def chats(client: Client) -> bool:
    """Whether a tool of the gateway answers as its model does."""
    answer = await client.call_tool("complete_chat", CHAT)
    assert answer.structured_content is not None
    return bool(answer.structured_content["choices"][0]["message"]["content"] == "forty-two")


async def test_the_sdk_for_python_holds_to_one_version(gateway: Site, key: str) -> None:
    async with mcp_client(gateway, key, "2026-07-28") as client:
        assert client.protocol_version == "2026-07-28"
        assert await chats(client)


async def test_the_sdk_for_python_starts_a_program(gateway: Site, key: str, stdio_command: list[str]) -> None:
    program, *arguments = stdio_command
    environment = {**gateway.environment, "MACROSLOW_API_KEY": key}
    started = StdioServerParameters(command=program, args=arguments, env=environment)
    async with Client(stdio_client(started)) as client:
        assert await chats(client)
        usage = (await client.call_tool("usage", {})).structured_content
    assert usage is not None
    assert usage["principal"] == "ada"


@pytest.mark.parametrize(
    ("program", "era"), [("v1", "legacy"), ("v2", "auto"), ("v2", "legacy")], ids=["v1", "v2", "v2-legacy"]
)
@pytest.mark.parametrize("how", HOW)
def test_the_sdks_for_typescript_find_everything(
    gateway: Site, key: str, run: Run, stdio_command: list[str], program: str, era: str, how: str
) -> None:
    settings = {"PATH": path_to_mcp(), "MACROSLOW_API_KEY": key, "MCP_ERA": era}
    done = run("node", MCP / f"{program}.mjs", **settings, **reached(gateway, stdio_command, how))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("how", HOW)
def test_an_agent_of_openai_s_framework_calls_a_tool(
    gateway: Site, key: str, run: Run, stdio_command: list[str], how: str
) -> None:
    program = SDKS / "openai_agent.py"
    done = run(
        python_of("openai_agents"), program, MACROSLOW_API_KEY=key, **reached(gateway, stdio_command, how)
    )
    assert done.returncode == 0, done.stderr
    assert "forty-two" in done.stdout


ERAS = {"legacy": "2025-11-25", "modern": "2026-07-28"}


@pytest.fixture
def inspect(run: Run, key: str) -> Callable[..., CompletedProcess[str]]:
    """The Inspector's command line."""

    def ran(*arguments: str, **environment: str) -> CompletedProcess[str]:
        settings = {"PATH": path_to_mcp(), "MACROSLOW_API_KEY": key, **environment}
        return run("mcp-inspector", "--cli", *arguments, **settings)

    return ran


@pytest.mark.parametrize("era", ERAS)
def test_the_inspector_calls_a_tool(
    gateway: Site, key: str, inspect: Callable[..., CompletedProcess[str]], era: str
) -> None:
    call = ("--method", "tools/call", "--tool-name", "count_tokens", "--tool-arg", "model=gpt-4o-mini")
    asked = f"messages={json.dumps(ASKED)}"
    where = (f"{gateway.url}/mcp", "--transport", "http", "--header", f"x-api-key: {key}")
    done = inspect(*where, *call, asked, "--protocol-era", era, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["structuredContent"]["input_tokens"] > 0


def test_the_inspector_finds_our_schemas_portable(
    gateway: Site, key: str, inspect: Callable[..., CompletedProcess[str]]
) -> None:
    where = (f"{gateway.url}/mcp", "--transport", "http", "--header", f"x-api-key: {key}")
    done = inspect(*where, "--method", "tools/list", "--strict", "--protocol-era", "auto", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "run_document" in {tool["name"] for tool in json.loads(done.stdout)["result"]["tools"]}


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--stored-auth-only", "--method", "tools/list"), 3),
        (("--header", "x-api-key: KEY", "--method", "tools/call", "--tool-name", "nope"), 5),
    ],
    ids=["without-a-key", "unknown-tool"],
)
def test_the_inspector_says_what_is_wrong(
    gateway: Site, key: str, inspect: Callable[..., CompletedProcess[str]], more: tuple[str, ...], code: int
) -> None:
    where = (f"{gateway.url}/mcp", "--transport", "http", "--format", "json")
    done = inspect(*where, *(each.replace("KEY", key) for each in more))
    assert done.returncode == code, done.stdout + done.stderr


# What install-client writes, read by who it is for.


def install(run: Run, client: str, *arguments: str) -> CompletedProcess[str]:
    done = run(*MACROSLOW, "install-client", client, "--write", *arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def path_to_agents() -> str:
    return f"{commands_of(AGENTS)}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.sweep
def test_claude_code_connects_by_what_install_client_prints(
    gateway: Site, key: str, run: Run, path_to_agents: str
) -> None:
    printed = json.loads(
        run(*MACROSLOW, "install-client", "claude", "--url", f"{gateway.url}/mcp", "--json").stdout
    )
    command = shlex.split(printed["also"]["or"])
    settings = {"PATH": path_to_agents, "MACROSLOW_API_KEY": key}
    added = run(*command, **settings)
    assert added.returncode == 0, added.stdout + added.stderr
    listed = run("claude", "mcp", "list", **settings)
    assert "Connected" in listed.stdout, listed.stdout + listed.stderr
    shown = run("claude", "mcp", "get", "macroslow", **settings)
    assert (shown.returncode, "Connected" in shown.stdout) == (0, True), shown.stdout
    assert key not in listed.stdout + shown.stdout
    without = run("claude", "mcp", "list", **settings | {"MACROSLOW_API_KEY": "msk_wrong"})
    assert "✔ Connected" not in without.stdout
    assert "✓ Connected" not in without.stdout


def test_claude_code_reads_the_file_that_install_client_writes(
    gateway: Site, run: Run, path_to_agents: str
) -> None:
    install(run, "claude", "--url", f"{gateway.url}/mcp")
    shown = run("claude", "mcp", "get", "macroslow", PATH=path_to_agents, MACROSLOW_API_KEY="msk_x")
    assert (shown.returncode, f"{gateway.url}/mcp" in shown.stdout) == (0, True), shown.stdout


@pytest.mark.parametrize("how", HOW)
def test_codex_reads_the_file_that_install_client_writes(
    gateway: Site, run: Run, path_to_agents: str, how: str
) -> None:
    file = str(gateway.folder / "macroslow.toml")
    install(
        run, "codex", *(["--stdio", "--config", file] if how == "stdio" else ["--url", f"{gateway.url}/mcp"])
    )
    listed = run("codex", "mcp", "list", "--json", PATH=path_to_agents)
    assert listed.returncode == 0, listed.stderr
    (found,) = json.loads(listed.stdout)
    transport = found["transport"]
    if how == "http":
        assert (transport["url"], transport["bearer_token_env_var"]) == (
            f"{gateway.url}/mcp",
            "MACROSLOW_API_KEY",
        )
    else:
        assert (transport["args"][-4:], transport["env_vars"]) == (
            ["serve", "--stdio", "--config", file],
            ["MACROSLOW_API_KEY"],
        )


@pytest.mark.parametrize("how", HOW)
def test_the_inspector_connects_by_the_file_that_install_client_writes(
    gateway: Site, key: str, run: Run, inspect: Callable[..., CompletedProcess[str]], how: str, tmp_path: Path
) -> None:
    program = ["--stdio", "--config", str(gateway.folder / "macroslow.toml")]
    install(run, "inspector", *(program if how == "stdio" else ["--url", f"{gateway.url}/mcp"]))
    reads = ("--config", str(tmp_path / "work" / "mcp.json"), "--server", "macroslow")
    more = (
        ("--header", f"Authorization: Bearer {key}") if how == "http" else ("-e", f"MACROSLOW_API_KEY={key}")
    )
    done = inspect(*reads, "--method", "tools/call", "--tool-name", "usage", "--format", "json", *more)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["structuredContent"]["principal"] == "ada"
