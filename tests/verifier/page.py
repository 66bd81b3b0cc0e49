"""The page's script, running in Node: a test calls its functions and holds them against ours."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from tests.conftest import ROOT

HTML: Final = ROOT / "src" / "macroslow" / "verifier" / "verify.html"
_DRIVER: Final = Path(__file__).with_name("driver.mjs")


class PageRefusedError(Exception):
    """The page refused what it was given, as it should or should not have."""


@dataclass(frozen=True)
class Page:
    """A running script. Bytes go in and come out as bytes, Maps come out as dictionaries."""

    process: subprocess.Popen[str]

    def call(self, expression: str, *arguments: object) -> Any:
        """The value of the script's function `expression` for the arguments. PageRefusedError."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"call": expression, "args": [_sent(each) for each in arguments]}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "refused" in answer:
            raise PageRefusedError(answer["refused"])
        assert "broken" not in answer, answer["broken"]
        return _received(answer["value"])

    def verify(self, **files: bytes | None) -> Any:
        """The page's result for these files: `receipt`, `key`, `answer`, `document`, `policy`."""
        return self.call("verifyReceipt", {"receipt": None, "key": None, **files})


@contextmanager
def running_page() -> Iterator[Page]:
    """The page's script in a Node of its own; without Node the test skips."""
    if not shutil.which("node"):
        pytest.skip("no Node.js on this machine")
    command = ["node", str(_DRIVER), str(HTML)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        yield Page(process)
        process.communicate()


def _sent(value: object) -> object:
    match value:
        case bytes():
            return {"hex": value.hex()}
        case dict():
            return {name: _sent(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_sent(inner) for inner in value]
        case _:
            return value


def _received(value: object) -> object:
    match value:
        case {"hex": str() as digits, **more} if not more:
            return bytes.fromhex(digits)
        case dict():
            return {name: _received(inner) for name, inner in value.items()}
        case list():
            return [_received(inner) for inner in value]
        case _:
            return value
