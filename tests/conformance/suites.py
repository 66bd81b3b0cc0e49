"""The official conformance suites as programs, and what counts as having passed one.

A suite that prints no failure has shown little: with nothing listening at all it prints that some scenarios
passed, and that a tool says any text passes for a tool that is not there. So its exit code, each scenario it
must run and the number of checks in each are compared with what they are for a server that has it all.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.node import MCP, path_to_mcp

EXPECTED: Final = Path(__file__).parent / "expected"
EXTENSION: Final = "tasks-"  # scenarios of an extension that this gateway does not have
_LINE: Final = re.compile(r"^[✓✗] (\S+): (\d+) passed, (\d+) failed$", re.MULTILINE)
LIMIT_S: Final = 250


@dataclass(frozen=True)
class Suite:
    """One run: which package, with which options, and how many checks there are in all.

    The file `name` has those of each scenario.
    """

    name: str
    package: str
    options: tuple[str, ...]
    checks: int

    @property
    def expected(self) -> dict[str, int]:
        lines = (EXPECTED / f"{self.name}.txt").read_text().splitlines()
        return {name: int(passed) for name, passed in map(str.split, lines)}


SUITES: Final = (
    Suite("0.1.16", "conformance", ("--suite", "all"), checks=44),
    Suite("2025-11-25", "conformance-next", ("--requirements", "2025-11-25"), checks=84),
    Suite("2026-07-28", "conformance-next", ("--requirements", "2026-07-28"), checks=151),
)


@dataclass(frozen=True)
class Outcome:
    """What a run left: its exit code, and of each scenario how many checks passed and failed."""

    exit_code: int
    scenarios: Mapping[str, tuple[int, int]]
    said: str


def run(suite: Suite, url: str, folder: Path) -> Outcome:
    """Run a suite against the server at `url`."""
    program = MCP / "node_modules" / suite.package / "dist" / "index.js"
    done = subprocess.run(
        ["node", str(program), "server", "--url", f"{url}/mcp", *suite.options, "-o", str(folder / "out")],
        cwd=folder,
        env={"PATH": path_to_mcp(), "HOME": str(folder), "LANG": os.environ.get("LANG", "C.UTF-8")},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    found = {name: (int(passed), int(failed)) for name, passed, failed in _LINE.findall(done.stdout)}
    return Outcome(done.returncode, found, done.stdout[-4000:] + done.stderr[-2000:])


def judge(suite: Suite, outcome: Outcome) -> None:
    """AssertionError unless everything that the suite has was run, and passed."""
    ours = {name: each for name, each in outcome.scenarios.items() if not name.startswith(EXTENSION)}
    failed = {name: count for name, (_, count) in ours.items() if count}
    passed = {name: count for name, (count, _) in ours.items()}
    if failed or passed != suite.expected or outcome.exit_code != 0:
        wrong = {name for name, _ in passed.items() ^ suite.expected.items()}
        raise AssertionError(
            f"{suite.name}: exit code {outcome.exit_code}, failed {failed}, otherwise than expected"
            f" {sorted(wrong)}\n{outcome.said}"
        )
    assert sum(passed.values()) == suite.checks
