"""Coding agents, unmodified and without a terminal: Claude Code and Codex, set up as their owners would.

They work in a folder of their own and reach nothing but the gateway. A question that the emulator
answers by a call makes them run a command, whose result they report in a second turn.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.e2e.clients.conftest import Run, billed
from tests.e2e.conftest import Site
from tests.node import AGENTS, commands_of

Agent = Callable[..., CompletedProcess[str]]
ASKED = "Answer with exactly: forty-two"
COMMAND = "echo seventeen > made.txt"
CONFIG = """
model_provider = "macroslow"
web_search = "disabled"

[model_providers.macroslow]
name = "Macroslow"
base_url = "{}/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
"""


@pytest.fixture
def claude(gateway: Site, run: Run) -> Agent:
    """Claude Code with a key: `claude(key, …)`."""
    path = f"{commands_of(AGENTS)}{os.pathsep}{os.environ['PATH']}"

    def ask(key: str, *arguments: str, **environment: str) -> CompletedProcess[str]:
        settings = {
            "ANTHROPIC_BASE_URL": gateway.url,
            "ANTHROPIC_API_KEY": key,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        return run("claude", *arguments, **{"PATH": path} | settings | environment)

    return ask


@pytest.fixture
def codex(gateway: Site, run: Run, tmp_path: Path) -> Agent:
    """Codex with a key: `codex(key, …)`."""
    path = f"{commands_of(AGENTS)}{os.pathsep}{os.environ['PATH']}"
    folder = tmp_path / "home" / ".codex"
    folder.mkdir()
    (folder / "config.toml").write_text(CONFIG.format(gateway.url))
    options = ["--skip-git-repo-check", "--sandbox", "danger-full-access", "--json"]

    def ask(key: str, *arguments: str) -> CompletedProcess[str]:
        return run("codex", "exec", *options, *arguments, PATH=path, OPENAI_API_KEY=key)

    return ask


def last_words(done: CompletedProcess[str]) -> str:
    """What Codex said last, by its events."""
    assert done.returncode == 0, done.stdout + done.stderr
    items = [json.loads(event).get("item", {}) for event in done.stdout.splitlines()]
    said: list[str] = [item["text"] for item in items if item.get("type") == "agent_message"]
    return said[-1]


def test_claude_code_asks_the_model_that_it_chooses_by_itself(gateway, key, claude):
    before = billed(gateway)
    done = claude(key, "-p", ASKED)
    assert (done.stdout.strip(), done.returncode) == ("forty-two", 0), done.stderr
    (model,) = (model for model, sums in billed(gateway).items() if sums != before.get(model))
    assert model.startswith("claude-opus-")


def test_claude_code_runs_a_tool_and_counts_as_the_gateway_does(gateway, key, claude, tmp_path):
    call = f"Call the tool Bash with {json.dumps({'command': COMMAND, 'description': 'Write a file'})}"
    model, before = "claude-haiku-4-5-20251001", billed(gateway)
    done = claude(
        key,
        "-p",
        call,
        "--allowedTools",
        "Bash",
        "--output-format",
        "json",
        ANTHROPIC_MODEL="claude-haiku-4-5",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "work" / "made.txt").read_text() == "seventeen\n"
    told = json.loads(done.stdout)
    assert told["num_turns"] == 2
    was, now = before.get(model, (0, 0, 0)), billed(gateway)[model]
    (used,) = told["modelUsage"].values()
    assert (used["inputTokens"], used["outputTokens"]) == (now[0] - was[0], now[1] - was[1])


def test_claude_code_tells_its_owner_why_there_is_no_answer(gateway, key, claude):
    poor = claude(gateway.client("poor", budget_usd_micros=0), "-p", ASKED)
    assert poor.returncode != 0
    assert "402 Budget" in poor.stdout
    unknown = claude(key, "-p", ASKED, "--model", "claude-99")
    assert unknown.returncode != 0
    assert "claude-99" in unknown.stdout


def test_codex_asks_the_model_that_it_chooses_by_itself(gateway, key, codex):
    before = billed(gateway)
    assert last_words(codex(key, ASKED)) == "forty-two"
    (model,) = (model for model, sums in billed(gateway).items() if sums != before.get(model))
    assert model.startswith("gpt-")


def test_codex_runs_a_tool(key, codex, tmp_path):
    call = f"Call the tool exec_command with {json.dumps({'cmd': COMMAND})}"
    assert last_words(codex(key, "--model", "gpt-5.1-codex", call)).startswith("Emulated answer")
    assert (tmp_path / "work" / "made.txt").read_text() == "seventeen\n"


def test_codex_tells_its_owner_why_there_is_no_answer(gateway, codex):
    at_once = "model_providers.macroslow.stream_max_retries=0"
    poor = codex(gateway.client("poor", budget_usd_micros=0), "-c", at_once, ASKED)
    assert poor.returncode != 0
    assert "402 Payment Required: Budget" in poor.stdout
