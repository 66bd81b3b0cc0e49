"""A whole installation in a temporary folder: real commands, real processes, real sockets."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from macroslow import control

PROVIDER_KEY = "sk-emulator-4k9Xw2Tq7LmZc8VbN3pR6sYd1fGh5jKt"
MACROSLOW = [sys.executable, "-m", "macroslow"]


@dataclass
class Answered:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Site:
    """One configured gateway with its emulator; `start` and `kill` may alternate."""

    folder: Path
    emulator_url: str
    url: str = ""
    notes: list[str] = field(default_factory=list)
    server: subprocess.Popen[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / ".macroslow"

    @property
    def said(self) -> str:
        """All that the server wrote to stderr so far."""
        return (self.folder / "serve.err").read_text()

    def command(self, *arguments: str, input_text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one command of ours to its end."""
        return subprocess.run(
            [*MACROSLOW, *arguments],
            cwd=self.folder,
            env=self.environment,
            input=input_text,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def data(self, *arguments: str) -> Any:
        """The JSON object of a command that must succeed."""
        done = self.command(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def start(self) -> None:
        """Serve, and return when it is ready."""
        with (self.folder / "serve.err").open("a") as errors:
            self.server = subprocess.Popen(
                [*MACROSLOW, "serve", "--listen", "127.0.0.1:0", "--json"],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        STARTED.append(self)
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        assert line, (self.folder / "serve.err").read_text()
        started = json.loads(line)
        self.url, self.notes = started["url"], started["notes"]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end and return the exit code."""
        assert self.server is not None
        self.server.send_signal(number)
        code = self.server.wait(60)
        assert self.server.stdout is not None
        self.server.stdout.close()
        self.server = None
        return code

    def key(self, principal: str, *options: str) -> str:
        """A new client key's text."""
        return str(self.data("keys", "create", principal, *options)["key"])

    def ask(self, verb: str, **arguments: object) -> Any:
        """One verb of the running server over its control socket, as commands do it, without a process."""
        return control.call(self.state / "control.sock", verb, arguments)

    def client(self, principal: str, **rights: object) -> str:
        """A new client key of the running server, made over the control socket."""
        return str(self.ask("keys.create", principal=principal, **rights)["key"])

    def log(self) -> list[dict[str, Any]]:
        """Every entry of the running server's log, over the control socket."""
        entries: list[dict[str, Any]] = []
        while True:
            page = self.ask("audit.tail", start=len(entries), count=1000)
            entries += page["entries"]
            if len(entries) == page["size"]:
                return entries

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The fields of every entry of one type, oldest first."""
        return [entry["fields"] for entry in self.log() if entry["type"] == kind]

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answered:
        """One HTTP request."""
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answered(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answered(error.code, dict(error.headers), error.read())

    def execute(self, key: str, document: bytes, **headers: str) -> Answered:
        sent = {"x-api-key": key, "content-type": "text/markdown"} | headers
        return self.call("POST", "/execute", document, sent)

    def chat(self, key: str, **members: object) -> Answered:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]} | members
        sent = {"x-api-key": key, "content-type": "application/json"}
        return self.call("POST", "/v1/chat/completions", json.dumps(body).encode(), sent)

    def entries(self) -> list[dict[str, Any]]:
        """Every entry of the log."""
        shown = self.data("audit", "tail", "-n", "1000")
        entries: list[dict[str, Any]] = shown["entries"]
        assert len(entries) == shown["size"]
        return entries


def configuration(emulator_url: str, more: str = "") -> str:
    return f"""
[providers.openai]
base_url = "{emulator_url}"
key = "env:OPENAI_API_KEY"
emulator = true
{more}
"""


STARTED: list[Site] = []


@pytest.fixture(scope="module", autouse=True)
def no_server_is_left() -> Iterator[None]:
    """A fixture or test that fails half way leaves no process behind."""
    yield
    while STARTED:
        left = STARTED.pop()
        if left.server is not None and left.server.stdout is not None:
            left.server.kill()
            left.server.wait(30)
            left.server.stdout.close()


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """What a fresh shell has: nothing of the caller's that could configure a gateway or a provider."""
    kept = {"PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "XDG_STATE_HOME"}
    return {name: value for name, value in os.environ.items() if name in kept}


@contextmanager
def emulating(environment: dict[str, str], *options: str) -> Iterator[str]:
    """The emulator as a process of its own, with limits that no test here reaches; its base URL."""
    process = subprocess.Popen(
        [*MACROSLOW, "emulator", "--listen", "127.0.0.1:0", "--limits", "none", "--json", *options],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["base_url"]
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="session")
def emulator_url(clean_environment: dict[str, str]) -> Iterator[str]:
    """One quick emulator for all."""
    with emulating(clean_environment) as url:
        yield url


def make_site(folder: Path, emulator_url: str, environment: dict[str, str], more: str = "") -> Site:
    """A configured folder; nothing runs yet."""
    folder.mkdir(exist_ok=True)
    (folder / "macroslow.toml").write_text(configuration(emulator_url, more))
    dotenv = folder / ".env"
    dotenv.write_text(f"OPENAI_API_KEY={PROVIDER_KEY}\n")
    dotenv.chmod(0o600)
    return Site(folder, emulator_url, environment=environment)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, emulator_url: str, clean_environment: dict[str, str]
) -> Iterator[Site]:
    """A gateway that serves for the tests of one module."""
    made = make_site(tmp_path_factory.mktemp("site"), emulator_url, clean_environment)
    made.start()
    yield made
    if made.server is not None:
        made.stop()


def wait_until(true: Any, limit_s: float = 60.0) -> None:
    """Poll until `true()`; fail after the limit."""
    until_s = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < until_s, "it did not come to pass"
        time.sleep(0.02)
