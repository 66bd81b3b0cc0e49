"""The reference pages hold what the product holds: no more, no less."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import ROOT

from macroslow import errors
from macroslow.cli._table import COMMANDS
from macroslow.errors import MacroslowError
from macroslow.inference.members import MEMBERS
from macroslow.maml import front_matter
from macroslow.settings.model import schema
from macroslow.tlog.event import EventType
from macroslow.web import problems
from macroslow.web.routes import ROUTES

DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of every line of a table, without headings."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def leaves(cls: type[MacroslowError] = MacroslowError) -> Iterator[type[MacroslowError]]:
    for below in cls.__subclasses__():
        if below.__module__ == errors.__name__:
            yield below
            yield from leaves(below)


@pytest.mark.parametrize(
    "code", sorted({cls.code for cls in leaves() if "code" in vars(cls)} | {problems.INTERNAL})
)
def test_every_error_has_its_section_where_its_link_points(code: str) -> None:
    name, mark, _ = problems.DOCS_PREFIX.partition("#")
    assert mark == "#"
    headings = re.findall(r"^#{2,3} (.+)$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert code in headings


def test_no_section_is_about_an_error_that_does_not_exist() -> None:
    codes = {cls.code for cls in leaves()} | {problems.INTERNAL}
    assert set(re.findall(r"^### (.+)$", page("problems.md"), re.MULTILINE)) <= codes


def test_the_facts_of_each_error_stand_in_its_section() -> None:
    sections = dict(
        re.findall(r"^### ([\w-]+)\n(.*?)(?=^##|\Z)", page("problems.md"), re.MULTILINE | re.DOTALL)
    )
    for cls, facts in problems.FACTS.items():
        for fact in facts:
            assert f"`{fact}`" in sections[cls.code], (cls.code, fact)


def test_every_route_and_its_scope_stand_in_the_table() -> None:
    table = {
        (row[0], row[1].strip("`")): row[2].strip("`")
        for row in rows(page("reference/http.md"))
        if len(row) == 4
    }
    table.pop(("method", "path"))
    assert table == {(route.method, route.path): route.scope or "public" for route in ROUTES}


def test_every_member_of_a_chat_request_that_is_served_is_named() -> None:
    told = page("reference/http.md").partition("## Model calls")[2]
    assert set(MEMBERS) <= set(re.findall(r"`(\w+)`", told))


TABLES = {
    "providers.NAME.limits": "ProviderLimits",
    "providers.NAME.keys": "ProviderKey",
    "alerts.webhooks": "Webhook",
    "sandbox.limits": "SandboxLimits",
}
"""Tables below a section, by the name of their own."""


def documented_settings() -> dict[tuple[str, str], str]:
    found = {}
    text = page("reference/configuration.md")
    for heading, below in re.findall(
        r"^###? \[\[?([\w.\"]+)\]\]?\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL
    ):
        name = TABLES.get(heading, heading.replace('"', "").removesuffix(".NAME"))
        for row in rows(below):
            if row[0] != "key":
                found[name, row[0].strip("`")] = row[1]
    return found


def actual_settings() -> dict[tuple[str, str], Any]:
    whole, found = schema(), {}
    for section, node in whole["properties"].items():
        below = node.get("additionalProperties") or node.get("items") or node
        found |= members(section, whole["$defs"][below["$ref"].rpartition("/")[2]])
    for name in TABLES.values():
        found |= members(name, whole["$defs"][name])
    return found


def members(section: str, node: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(section, key): value.get("default", ...) for key, value in node["properties"].items()}


def test_every_setting_stands_in_its_section_with_its_default() -> None:
    documented, actual = documented_settings(), actual_settings()
    assert documented.keys() == actual.keys()
    for name, default in actual.items():
        told = documented[name]
        if default is ...:
            assert told == "needed", name
        elif default is None:
            assert told == "none", name
        elif not isinstance(default, dict):  # tables of their own have their own section
            assert json.loads(told.strip("`")) == default, name


def test_every_command_stands_in_the_list() -> None:
    told = set(re.findall(r"^\| `macroslow ([\w -]+)` \|", page("reference/commands.md"), re.MULTILINE))
    actual = set()
    for name in COMMANDS:
        command = COMMANDS[name].load()
        below = getattr(command, "commands", {})
        actual |= {f"{name} {sub}" for sub in below}
        if not below or getattr(command, "invoke_without_command", False):
            actual.add(name)
    assert told == actual


def test_every_key_of_the_front_matter_that_has_a_meaning_is_told() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", page("reference/maml.md"), re.MULTILINE))
    assert told <= set(front_matter.KEYS)


def test_every_type_of_event_has_its_number() -> None:
    told = {
        int(cell)
        for row in rows(page("reference/log-and-receipts.md"))
        for cell in row[::2]
        if cell.isdigit()
    }
    assert {int(one) for one in EventType} <= told
