"""A throw-away PostgreSQL server for tests: its own folder, an unprivileged user, a Unix socket, no port."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NOBODY = "nobody"
_FAST = ("-c", "fsync=off", "-c", "full_page_writes=off")
_UP_S = 60.0


class PostgresServer:
    """A cluster that can be started, restarted and killed. `durable`: with fsync, as in production."""

    def __init__(self, programs: Path, folder: Path, *, durable: bool) -> None:
        self._programs = programs
        self.folder = folder
        self._durable = durable
        self._as_nobody = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            nobody = pwd.getpwnam(_NOBODY)
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._server: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", "data", "-U", "macroslow", "-A", "trust", "-E", "UTF8", "--no-sync")

    @property
    def url(self) -> str:
        """How to reach its database."""
        return f"postgresql://macroslow@/postgres?host={self.folder}"

    def start(self) -> None:
        """Start it and return when it takes connections."""
        speed = () if self._durable else _FAST
        places = ("-D", "data", "-k", str(self.folder), "-c", "listen_addresses=")
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", *places, *speed],
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
                **self._as_nobody,
            )
        until_s = time.monotonic() + _UP_S
        while self._run("pg_isready", "-h", self.folder, "-q", check=False) != 0:
            assert self._server.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until_s, "the database server does not come up"
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts sessions off and shuts down, SIGQUIT is a crash."""
        if self._server is not None:
            self._server.send_signal(number)
            self._server.wait(_UP_S)
            self._server = None

    def restart(self, number: signal.Signals = signal.SIGINT) -> None:
        self.stop(number)
        self.start()

    def sql(self, text: str) -> str:
        """What psql prints for `text`, bare."""
        return subprocess.run(
            [self._programs / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-c", text],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout.strip()

    def _run(self, program: str, *args: object, check: bool = True) -> int:
        return subprocess.run(
            [self._programs / program, *map(str, args)],
            cwd=self.folder,
            check=check,
            stdout=subprocess.DEVNULL,
            timeout=120,
            **self._as_nobody,
        ).returncode


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A running server; the test skips where none is installed."""
    # Of Debian's servers the newest; elsewhere that of the path.
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda home: int(home.parent.name))
    found = shutil.which("initdb", path=os.pathsep.join([*map(str, homes[::-1]), os.environ["PATH"]]))
    if found is None:
        pytest.skip("no PostgreSQL server on this machine (on Debian: apt-get install postgresql)")
    # Not pytest's folder: the server's user may not enter it, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="macroslow-pg-"))
    server = PostgresServer(Path(found).parent, folder, durable=durable)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder)
