"""What the reference pages say, taken apart: sections, tables, words between backticks."""

import re
from collections.abc import Iterator

from tests.conftest import ROOT

from macroslow import errors
from macroslow.errors import MacroslowError

DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of every line of a table, without headings."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def sections(name: str) -> dict[str, str]:
    """The text below each heading of the second or third level, by the heading."""
    return dict(re.findall(r"^###? (.+?)\n(.*?)(?=^##|\Z)", page(name), re.MULTILINE | re.DOTALL))


def words(text: str) -> list[str]:
    """Everything that stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def leaves(cls: type[MacroslowError] = MacroslowError) -> Iterator[type[MacroslowError]]:
    for below in cls.__subclasses__():
        if below.__module__ == errors.__name__:
            yield below
            yield from leaves(below)
