"""No document crashes the reader, or costs it seconds or 200 MiB."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.maml.samples import BODY, FRONT, problems

HERE = Path(__file__).parent
PIECES = [
    "\x1b",
    "\ufffe",
    "\ufeff",
    "\ue000",
    "\U0010ffff",
    "---\n",
    "\n",
    "## Intent\n",
    "## Code_Blocks\n",
    "## Input_Schema\n",
    "```python\n",
    "```\n",
    "~~~\n",
    "- a\n",
    "a: b\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    '"',
    ":",
    ",",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "<!--",
    "-->",
    '{"type": "object"}\n',
    "x",
    "\t",
    "é",
    "# ",
    "> ",
    "null",
    "1.5",
    "true",
    "2025-01-01",
    "permissions:\n",
    "api://*",
]


def measured(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.maml.hostile", str(HERE / "corpus"), *arguments]
    root = HERE.parents[1]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-2_000:]
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["strange"] == []
    assert report["slowest_s"] < 5, report  # on a machine of any speed; what is squared takes minutes
    return report


@pytest.mark.parametrize(("group", "amount"), [("grown", "0"), ("mutated", "600"), ("repeated", "7")])
def test_hostile_documents_end_in_time_within_200_mib(group: str, amount: str) -> None:
    assert measured(group, amount)["cases"] >= 20


@pytest.mark.sweep
@pytest.mark.parametrize(("group", "amount"), [("mutated", "5000"), ("repeated", "1")])
def test_all_hostile_documents_end_in_time_within_200_mib(group: str, amount: str) -> None:
    assert measured(group, amount)["cases"] > 500


@settings(max_examples=250, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40), st.lists(st.sampled_from(PIECES), max_size=40))
def test_reading_is_total_over_pieces_of_documents(front: list[str], body: list[str]) -> None:
    for raw in ("".join(front + body), f"---\n{FRONT}{''.join(front)}---\n{BODY}{''.join(body)}"):
        problems(raw.encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_reading_is_total_over_bytes(raw: bytes) -> None:
    for whole in (raw, b"---\n" + raw, f"---\n{FRONT}---\n{BODY}".encode() + raw):
        problems(whole)
