"""Commands beside a server that is about to serve, or about to end."""

import asyncio
import threading
from pathlib import Path

import pytest

from macroslow.adapters.statefolder import hold, prepare
from macroslow.bootstrap import commands
from macroslow.bootstrap.commands import administer
from macroslow.bootstrap.state import opening as state
from macroslow.bootstrap.state.core import open_core
from macroslow.errors import StateLockedError
from macroslow.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "macroslow.toml").write_text("")
    return load(tmp_path / "macroslow.toml", {})


class Holder:
    """Holds the state folder until it is let go: a server that has not begun to take commands."""

    def __init__(self, settings: Settings) -> None:
        self._folder = prepare(settings.state_folder)
        self._let_go, self._held = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with hold(self._folder):
            self._held.set()
            self._let_go.wait(30)

    def __enter__(self) -> "Holder":
        self._thread.start()
        self._held.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._thread.join(30)

    def let_go(self) -> None:
        self._let_go.set()


def test_a_command_waits_for_who_holds_the_folder(settings: Settings, monkeypatch) -> None:
    tried = []
    monkeypatch.setattr(state, "HOLD_WAIT_S", 0)
    with Holder(settings) as holder:

        def sleep(_: float) -> None:  # the moment between two tries
            tried.append(1)
            holder.let_go()

        monkeypatch.setattr(commands.time, "sleep", sleep)
        made = administer(settings, "keys.create", {"principal": "ann"})
    assert made["principal"] == "ann"
    assert tried


def test_a_command_that_waited_in_vain_advises_no_kill(settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr(state, "HOLD_WAIT_S", 0)
    monkeypatch.setattr(commands, "START_WAIT_S", 0)
    with Holder(settings), pytest.raises(StateLockedError) as caught:
        administer(settings, "keys.create", {"principal": "ann"})
    assert "kill" not in caught.value.fix


async def test_a_start_waits_for_a_command_that_is_under_way(settings: Settings, monkeypatch) -> None:
    with Holder(settings) as holder:

        async def look_again(_: float) -> None:
            holder.let_go()

        with monkeypatch.context() as patch:
            patch.setattr(state.asyncio, "sleep", look_again)
            async with state.held(prepare(settings.state_folder)):
                pass
    async with open_core(settings):
        pass


async def test_a_start_beside_a_server_is_refused_at_once(settings: Settings, monkeypatch) -> None:
    prepare(settings.state_folder).control_socket.touch()
    monkeypatch.setattr(state, "HOLD_WAIT_S", 600)
    with Holder(settings), pytest.raises(StateLockedError) as caught:
        async with asyncio.timeout(20), open_core(settings):
            pass
    assert "kill" in caught.value.fix
