"""No document crashes the reader, or costs it a second or 200 MiB."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.maml.samples import BODY, FRONT

HERE = Path(__file__).parent


def measured(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.maml.hostile", str(HERE / "corpus"), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=110, check=False, cwd=HERE.parents[1]
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("group", ["grown", "mutated"])
def test_hostile_documents_end_in_time_within_200_mib(group: str) -> None:
    report = measured(group, "600")
    assert report["strange"] == []
    assert report["slowest_s"] < 1, report
    assert report["cases"] >= 20


def test_a_mebibyte_of_anything_ends_in_time_within_200_mib() -> None:
    report = measured("repeated", "7")
    assert report["strange"] == []
    assert report["slowest_s"] < 1, report
    assert report["cases"] > 100


@pytest.mark.sweep
def test_all_hostile_documents_end_in_time_within_200_mib() -> None:
    for arguments in (("repeated", "1"), ("mutated", "5000")):
        report = measured(*arguments)
        assert report["strange"] == []
        assert report["slowest_s"] < 1, report


PIECES = st.sampled_from(
    [
        "---\n",
        "\n",
        "## Intent\n",
        "## Code_Blocks\n",
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
        "## Input_Schema\n",
        '{"type": "object"}\n',
        "x",
        "\t",
        "é",
        "# ",
        "> ",
        "|\n",
        "null",
        "1.5",
        "true",
        "2025-01-01",
        "permissions:\n",
        "execute: ",
        "api://*",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40), st.lists(PIECES, max_size=40))
def test_reading_is_total_over_pieces_of_documents(front: list[str], body: list[str]) -> None:
    for raw in ("".join(front + body), f"---\n{FRONT}{''.join(front)}---\n{BODY}{''.join(body)}"):
        problems(raw.encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_reading_is_total_over_bytes(raw: bytes) -> None:
    for whole in (raw, b"---\n" + raw, f"---\n{FRONT}---\n{BODY}".encode() + raw):
        problems(whole)
