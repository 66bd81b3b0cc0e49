"""Modules that docstrings and comments name in backticks, as `tlog.leaf` or `ports.Clock`, are there."""

import re
from pathlib import Path

from tests.conftest import ROOT

from macroslow.services.administration import VERBS

SOURCE = ROOT / "src" / "macroslow"
_NAME = re.compile(r"`([a-z_]+(?:\.\w+)+)`")


def begins(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or (folder / f"{name}.py").is_file()


def leads_somewhere(folder: Path, first: str, *others: str) -> bool:
    """Whether `first`, seen from `folder`, is a module or package that holds what the others name."""
    if (folder / first).is_dir():
        return not others or leads_somewhere(folder / first, *others)
    module = folder / f"{first}.py"
    held, wanted = (module, others[:1]) if module.is_file() else (folder / "__init__.py", (first,))
    return held.is_file() and all(re.search(rf"\b{name}\b", held.read_text("utf-8")) for name in wanted)


def lost(file: Path) -> list[str]:
    seen_from = [folder for folder in file.parents if folder.is_relative_to(SOURCE.parent)]
    found = []
    for name in set(_NAME.findall(file.read_text("utf-8"))) - {*VERBS}:
        parts = name.split(".")
        folders = [folder for folder in seen_from if begins(folder, parts[0])]
        if folders and not any(leads_somewhere(folder, *parts) for folder in folders):
            found.append(name)
    return found


def test_what_a_file_names_is_there() -> None:
    assert {file: names for file in SOURCE.rglob("*.py") if (names := lost(file))} == {}
