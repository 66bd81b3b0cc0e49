"""Emulators to ask: one in process, one on a real socket."""

from collections.abc import AsyncIterator

import pytest
from tests.emulator.asking import Ask, Reply, call, chat_body
from tests.machine import SetClock

from macroslow.emulator import Emulator, create_emulator, running


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def app(clock: SetClock) -> Emulator:
    """An emulator without limits, on a clock that stands still."""
    return create_emulator(clock=clock)


@pytest.fixture
def ask(app: Emulator) -> Ask:
    """Ask for a chat completion: `await ask("Hello", max_tokens=3)`."""

    async def _ask(content: object = "Hello", **members: object) -> Reply:
        return await call(app, chat_body(content, **members))

    return _ask


@pytest.fixture
async def served() -> AsyncIterator[tuple[Emulator, str]]:
    """An emulator on a real socket, and its base URL."""
    app = create_emulator()
    async with running(app) as base_url:
        yield app, base_url
