"""docs/reference/mcp.md tells of every tool, resource and prompt with its scope, and of no other."""

import os
import sys
import zipfile
from importlib.resources import files
from pathlib import Path
from subprocess import run

from tests.conftest import ROOT
from tests.docs.tables import page, rows, sections, words

from macroslow.mcp.catalogue import TOOLS
from macroslow.mcp.prompts import prompts
from macroslow.mcp.resources import RESOURCES
from macroslow.mcp.tools.tool import ACTS, ACTS_ONCE, READS, READS_OUTSIDE, STOPS

PAGE = sections("reference/mcp.md")
TEXTS = {"maml.md": "docs/reference/maml.md", "problems.md": "docs/problems.md"}
EFFECTS = {
    "reads": READS,
    "reads outside": READS_OUTSIDE,
    "acts": ACTS,
    "acts once": ACTS_ONCE,
    "stops": STOPS,
}


def test_every_tool_is_told_with_its_scope_and_what_it_does() -> None:
    told = [cells for cells in rows(PAGE["Tools"])[1:] if "`" in cells[0]]
    assert [(words(name), words(scope), EFFECTS[does]) for name, scope, does, _ in told] == [
        ([tool.name], [tool.scope], tool.effect) for tool in TOOLS
    ]


def test_the_annotations_are_told() -> None:
    told = {cells[0]: cells[1:] for cells in rows(PAGE["Tools"]) if cells[0] in EFFECTS}
    for name, effect in EFFECTS.items():
        hints = (effect.read_only, effect.destructive, effect.idempotent, effect.open_world)
        assert told[name] == ["yes" if hint else "no" for hint in hints]


def test_every_resource_is_told_with_its_scope() -> None:
    told = [(words(uri), words(scope)) for uri, scope, _ in rows(PAGE["Resources"])[1:]]
    assert told == [([one.uri], [one.scope]) for one in RESOURCES]


def test_every_prompt_is_told_with_its_arguments() -> None:
    told = [(words(name), words(arguments)) for name, arguments, _ in rows(PAGE["Prompts"])[1:]]
    assert told == [([one.name], [a.name for a in one.arguments]) for one in prompts("", "")]


def test_the_pages_that_agents_read_are_those_of_the_documentation() -> None:
    for name, source in TEXTS.items():
        packaged = files("macroslow.mcp").joinpath("texts", name).read_text("utf-8")
        assert packaged == page(source.removeprefix("docs/"))


def test_a_wheel_holds_those_pages(tmp_path: Path) -> None:
    building = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    run(building, cwd=ROOT, env=os.environ, check=True, capture_output=True, timeout=60)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as held:
        for name, source in TEXTS.items():
            assert held.read(f"macroslow/mcp/texts/{name}") == (ROOT / source).read_bytes()
