"""A throw-away Redis server for tests: its own folder, a Unix socket, nothing saved."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_UP_S = 60.0


class RedisServer:
    """A server that can be started and killed. What it held is gone with it."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._socket = folder / "redis"
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """How to reach it."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Start it and return when it takes connections."""
        self._server = subprocess.Popen(
            [self._program, "--port", "0", "--unixsocket", self._socket, "--save", ""],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        until_s = time.monotonic() + _UP_S
        while self.ask("ping") != "PONG":
            assert self._server.poll() is None, "the Redis server has ended"
            assert time.monotonic() < until_s, "the Redis server does not come up"
            time.sleep(0.02)

    def ask(self, *command: str) -> str:
        """What redis-cli prints."""
        answer = subprocess.run(
            ["redis-cli", "-s", self._socket, *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return answer.stdout.strip()

    def stop(self) -> None:
        """Kill it."""
        if self._server is not None:
            self._server.send_signal(signal.SIGKILL)
            self._server.wait(_UP_S)
            self._server = None
            self._socket.unlink(missing_ok=True)

    def restart(self) -> None:
        self.stop()
        self.start()


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A running server; the test skips where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis server on this machine (on Debian: apt-get install redis-server)")
    folder = Path(tempfile.mkdtemp(prefix="macroslow-redis-"))  # a socket's path must be short
    server = RedisServer(program, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
