"""One shell in which a page is lived through, as a person would: bash, a folder, two free ports.

Pages name ports 8000, 8100 and 8200; the shell gets free ones in their place and the page its own back.
"""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.docs.page import Command, matches
from tests.ports import held_port

GATEWAY_PORT: Final = "8000"
EMULATOR_PORT: Final = "8100"
BEHIND_PORT: Final = "8200"  # of a server behind the gateway
COMMAND_S: Final = 200.0  # against what hangs; a busy machine may need many of them
END_S: Final = 60.0  # longer than a server lets running requests end
_DONE: Final = "4b1f-the-command-has-ended"


class SessionError(AssertionError):
    """The page does not tell what happens."""


class Session:
    """A running shell. Leave it by `close`, which ends everything that it started."""

    def __init__(self, folder: Path) -> None:
        self._held = contextlib.ExitStack()
        self._ports = {
            documented: str(self._held.enter_context(held_port()))
            for documented in (GATEWAY_PORT, EMULATOR_PORT, BEHIND_PORT)
        }
        self._unread = ""
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=_environment(folder, self._ports[GATEWAY_PORT]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._shell.stdout is not None
        os.set_blocking(self._shell.stdout.fileno(), False)
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._shell.stdout, selectors.EVENT_READ)

    def close(self) -> None:
        """End the shell and whatever it left running: by request, and after a while by force."""
        self._signal(signal.SIGTERM)
        until_s = time.monotonic() + END_S
        with contextlib.suppress(SessionError):
            while True:
                self._read(until_s, "the page's end")
        self._signal(signal.SIGKILL)
        self._shell.wait(END_S)
        self._ready.close()
        for pipe in (self._shell.stdin, self._shell.stdout):
            assert pipe is not None
            pipe.close()
        self._held.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, number)

    @property
    def folder(self) -> Path:
        """Where the shell stands now."""
        return Path(self._finish("pwd", time.monotonic() + COMMAND_S)[0])

    def localized(self, text: str) -> str:
        """The text with this session's ports."""
        return _replace(text, self._ports)

    def run(self, command: Command, *, may_fail: bool) -> None:
        """Run one command; SessionError if it prints or returns something else than the page says."""
        until_s = time.monotonic() + COMMAND_S
        text = self.localized(command.text)
        if command.stays:
            self._send(f"{text}\n")
            printed, code = self._lines_like(command, until_s), 0
        else:
            printed, code = self._finish(f"{{ {text}\n}} </dev/null", until_s)
        printed = self._documented(printed)
        shown = "\n".join(command.expected)
        if not matches(command.expected, printed):
            raise SessionError(
                f"line {command.line}: $ {command.text}\n--- page\n{shown}\n--- printed\n{printed}"
            )
        if code and not may_fail:
            raise SessionError(f"line {command.line}: $ {command.text}\nexit code {code}\n{printed}")

    def _documented(self, text: str) -> str:
        return _replace(text, {real: documented for documented, real in self._ports.items()})

    def _send(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text.encode())
        self._shell.stdin.flush()

    def _finish(self, text: str, until_s: float) -> tuple[str, int]:
        """Run `text` to its end; return what it printed and its exit code, which `$?` then still has."""
        self._send(f"{text}\n__code=$?; printf '\\n{_DONE} %s\\n' $__code; (exit $__code)\n")
        while (end := re.search(rf"\n{_DONE} (\d+)\n", self._unread)) is None:
            self._read(until_s, text)
        printed, self._unread = self._unread[: end.start()], self._unread[end.end() :]
        return printed.rstrip("\n"), int(end[1])

    def _lines_like(self, command: Command, until_s: float) -> str:
        """Read until the server has said what the page shows."""
        while not (self._unread.endswith("\n") and matches(command.expected, self._documented(self._unread))):
            try:
                self._read(until_s, command.text)
            except SessionError:
                break
        printed, self._unread = self._unread, ""
        return printed

    def _read(self, until_s: float, text: str) -> None:
        left_s = until_s - time.monotonic()
        if left_s <= 0 or not self._ready.select(left_s):
            raise SessionError(f"$ {text}\nhas not ended after {COMMAND_S:g} s\n{self._unread}")
        assert self._shell.stdout is not None
        raw = os.read(self._shell.stdout.fileno(), 65536)
        if not raw:
            raise SessionError(f"$ {text}\nended the shell\n{self._unread}")
        self._unread += raw.decode()


def _environment(folder: Path, port: str) -> dict[str, str]:
    """What a fresh shell has, our commands first on its path, and no way out to a network.

    As on a reader's machine, neither the folder for temporary files nor the reader's own is around his state.
    """
    kept = {name: os.environ[name] for name in ("LANG",) if name in os.environ}
    nowhere = "http://127.0.0.1:9"
    temporary = folder.with_name(f"{folder.name}-temporary")
    temporary.mkdir(exist_ok=True)
    return kept | {
        "TMPDIR": str(temporary),
        "XDG_STATE_HOME": str(folder.with_name(f"{folder.name}-state")),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "PORT": port,
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "127.0.0.1,localhost",
    }


def _replace(text: str, ports: dict[str, str]) -> str:
    return re.sub("|".join(rf"(?<![\d.]){port}(?!\d)" for port in ports), lambda found: ports[found[0]], text)
