"""The command as a process of its own: one line when it listens, and a clean end."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest
from click.testing import CliRunner
from tests.emulator.asking import KEY

from macroslow.cli._main import run
from macroslow.cli.emulator import emulator
from macroslow.emulator import Latency, parse_latency
from macroslow.emulator.faults import HELP
from macroslow.emulator.server import bind

COMMAND = "from macroslow.cli.emulator import emulator; emulator()"


@asynccontextmanager
async def process(
    *arguments: str, env: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, *arguments, stdout=asyncio.subprocess.PIPE, env=env
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def first_line(started: asyncio.subprocess.Process) -> str:
    assert started.stdout is not None
    return (await asyncio.wait_for(started.stdout.readline(), 60)).decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_prints_its_port_serves_and_ends_cleanly(number: signal.Signals) -> None:
    async with process("--listen", "127.0.0.1:0", "--json", "--limits", "rpm=7") as started:
        line = json.loads(await first_line(started))
        assert line["base_url"] == f"http://127.0.0.1:{line['port']}/v1"
        async with openai.AsyncOpenAI(base_url=line["base_url"], api_key=KEY, max_retries=0) as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}]
            )
        assert raw.headers["x-ratelimit-limit-requests"] == "7"
        started.send_signal(number)
        assert await asyncio.wait_for(started.wait(), 60) == 0


async def test_a_request_under_way_ends_before_the_process_does() -> None:
    slow = ("--listen", "127.0.0.1:0", "--json", "--latency", "first_ms=700")
    async with process(*slow) as started:
        base_url = json.loads(await first_line(started))["base_url"]
        async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client:
            stream = asyncio.create_task(
                client.chat.completions.create(
                    model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}]
                )
            )
            stats = client.with_options(base_url=base_url.removesuffix("/v1"))
            while not (await stats.get("/emulator/stats", cast_to=dict[str, object]))["input_tokens"]:
                await asyncio.sleep(0)
            started.send_signal(signal.SIGTERM)
            assert (await stream).choices[0].finish_reason == "stop"
        assert await asyncio.wait_for(started.wait(), 60) == 0


async def test_keys_are_given_by_reference(tmp_path: Path) -> None:
    secret = "sk-Tq7w-0123456789abcdef"
    (tmp_path / "key").write_text(f"{secret}\n")
    async with process("--listen", "127.0.0.1:0", "--json", "--key", f"file:{tmp_path / 'key'}") as started:
        base_url = json.loads(await first_line(started))["base_url"]
        async with openai.AsyncOpenAI(base_url=base_url, api_key=secret, max_retries=0) as client:
            assert (await client.models.retrieve("gpt-4o")).id == "gpt-4o"
            with pytest.raises(openai.AuthenticationError):
                await client.with_options(api_key=KEY).models.retrieve("gpt-4o")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--limits", "rpm=none"],
        ["--faults", "status=418@3"],
        ["--limits", "algorithm=magic"],
        ["--admin-key", "keystore:x"],
        ["--faults", "cut=2@3"],
        ["--faults", "status=500"],
        ["--faults", "hang=1@2"],
        ["--latency", "first_ms=nan"],
        ["--latency", "first_ms=-1"],
        ["--listen", "127.0.0.1"],
        ["--listen", "127.0.0.1:70000"],
        ["--key", "keystore:x"],
        ["--key", "env:EMULATOR_TEST_KEY", "--any-key"],
        ["more"],
    ],
)
def test_a_flag_that_cannot_be_read_is_a_usage_error(arguments: list[str]) -> None:
    assert CliRunner().invoke(emulator, arguments).exit_code == 2


def test_latency_is_read() -> None:
    assert parse_latency("per_token_ms=1.5") == Latency(0.0, 0.0015)


def test_an_address_in_use_ends_with_78_as_it_does_for_the_server() -> None:
    listener = bind("127.0.0.1", 0)
    try:
        listen = f"127.0.0.1:{listener.getsockname()[1]}"
        assert run(["emulator", "--listen", listen]) == 78
    finally:
        listener.close()


def test_the_help_has_a_line_for_every_fault() -> None:
    shown = CliRunner().invoke(emulator, ["--help"]).output
    assert [fault for fault in HELP if fault not in shown] == []
