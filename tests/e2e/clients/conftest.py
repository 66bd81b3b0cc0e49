"""A gateway before both providers, with an emulator of its own, so that the two books can be compared."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import STARTED, Site, emulating, make_site, wait_until

ANTHROPIC = """
models = ["gpt-*", "o3", "text-embedding-*"]

[providers.anthropic]
kind = "anthropic"
base_url = "{}"
key = "env:OPENAI_API_KEY"
emulator = true
models = ["claude-*"]
"""
NOWHERE = "http://127.0.0.1:9"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> Iterator[Site]:
    """One gateway that serves for all tests of this folder; nobody else asks its emulator."""
    with emulating(clean_environment) as url:
        folder = tmp_path_factory.mktemp("clients")
        made = make_site(folder, url, clean_environment, ANTHROPIC.format(url))
        made.start()
        STARTED.remove(made)  # those are ended with their module
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture(autouse=True)
def the_gateways_books_are_the_providers(gateway: Site) -> Iterator[None]:
    """After every test: tokens and money of each model as the emulator billed them, call by call or not."""
    yield
    with suppress(AssertionError):  # who hangs up may be gone before the call is settled
        wait_until(lambda: booked(gateway) == billed(gateway), limit_s=30)
    assert booked(gateway) == billed(gateway)


def booked(gateway: Site) -> dict[str, tuple[int, int, int]]:
    """Input tokens, output tokens and micro-dollars by model, in the gateway's books."""
    rows = gateway.ask("usage", by="model")["rows"]
    return {row["model"]: _sums(row) for row in rows if row["usd_micros"]}


def billed(gateway: Site) -> dict[str, tuple[int, int, int]]:
    """The same in the provider's."""
    stats = f"{gateway.emulator_url.removesuffix('/v1')}/emulator/stats"
    with urllib.request.urlopen(stats, timeout=60) as answer:
        models: dict[str, dict[str, Any]] = json.load(answer)["models"]
    return {name: _sums(tally) for name, tally in models.items() if tally["usd_micros"]}


def _sums(row: Mapping[str, int]) -> tuple[int, int, int]:
    return row["input_tokens"], row["output_tokens"], row["usd_micros"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a program to its end, in a folder and a home of its own, with no way out to a network."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()

    def run_once(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        proxies = {f"{scheme}_proxy": NOWHERE for scheme in ("http", "https")} | {"no_proxy": "127.0.0.1"}
        return subprocess.run(
            command,
            cwd=work,
            env={"PATH": os.environ["PATH"], "HOME": str(home), **proxies, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run_once


@pytest.fixture(scope="session")
def key(gateway: Site) -> str:
    """A client key with ten dollars."""
    return gateway.client("ada", budget_usd_micros=10_000_000)
