"""The reference pages hold what the product holds: no more, no less. (HTTP is in `test_apis`.)"""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner
from tests.conftest import ROOT
from tests.docs.tables import leaves, page, rows, sections, words

from macroslow.authn.refusal import Refusal
from macroslow.authz import scopes
from macroslow.cli._table import COMMANDS
from macroslow.errors import InvalidDocumentError
from macroslow.maml import front_matter
from macroslow.services.administration import VERBS, Administration
from macroslow.services.audit.audit_verbs import AuditVerbs
from macroslow.services.audit.log_key_verbs import LogKeyVerbs
from macroslow.services.documents.run_verb import RunVerb
from macroslow.services.identity.jwt_verbs import JWTVerbs
from macroslow.services.identity.key_verbs import KeyVerbs
from macroslow.services.identity.rights_verbs import RightsVerbs
from macroslow.services.identity.signer_verbs import SignerVerbs
from macroslow.services.signing.log_health import LogHealth
from macroslow.services.spending.usage_verbs import UsageVerbs
from macroslow.services.verbs import arguments_of
from macroslow.settings.model import schema
from macroslow.tlog.event import EventType
from macroslow.web import problems


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


def test_the_example_of_a_problem_has_the_status_of_its_code() -> None:
    example = json.loads(re.findall(r"^```json\n(.*?)^```", page("problems.md"), re.MULTILINE | re.DOTALL)[0])
    assert problems.SHAPES[InvalidDocumentError].status == example["status"]
    assert example["type"].endswith(f":{InvalidDocumentError.code}")


def test_the_verbs_of_administrators_are_told_with_every_argument() -> None:
    told = sections("how-to/administer-over-the-network.md")
    terms = {name for cells in rows(told["Terms of a key"])[1:] for name in words(cells[0])}
    nothing: Any = None  # the verbs are asked for their signatures alone
    nobody = Administration(
        KeyVerbs(nothing),
        SignerVerbs(nothing),
        JWTVerbs(nothing, nothing, None),
        RightsVerbs(nothing),
        UsageVerbs(nothing),
        AuditVerbs(*[nothing] * 5),
        RunVerb(LogHealth()),
        LogKeyVerbs(nothing, nothing, shared=False),
    )
    written = {words(verb)[0]: arguments for verb, arguments in rows(told["Arguments of the verbs"])[1:]}
    assert set(written) == {name for name, verb in VERBS.items() if verb.scope is not None}
    for verb, arguments in written.items():
        names = {name for name in words(arguments) if re.fullmatch("[a-z_]+", name)}
        assert names | (terms if "[terms]" in arguments else set()) == set(
            arguments_of(VERBS[verb].action(nobody))
        ), verb


def test_the_verbs_of_each_administrators_scope_are_told() -> None:
    told = rows(sections("how-to/administer-over-the-network.md")["Its keys"])[1:]
    written = {words(scope)[0]: set(words(verbs)) for scope, verbs in told}
    assert set(written) == scopes.ADMIN
    for scope, verbs in written.items():
        assert verbs == {name for name, verb in VERBS.items() if verb.scope == scope}


def test_the_facts_of_each_error_stand_in_its_section() -> None:
    sections = dict(
        re.findall(r"^### ([\w-]+)\n(.*?)(?=^##|\Z)", page("problems.md"), re.MULTILINE | re.DOTALL)
    )
    for cls, facts in problems.FACTS.items():
        for fact in facts:
            assert f"`{fact}`" in sections[cls.code], (cls.code, fact)


def test_the_sets_and_rules_of_the_catalogue_are_named() -> None:
    catalogue = tomllib.loads((ROOT / "src/macroslow/metering/catalogue.toml").read_text(encoding="utf-8"))
    told = set(words(page("reference/configuration.md")))
    assert set(catalogue["image_rules"]) <= told
    missing = set(catalogue["limits"]) - told
    assert missing <= {f"anthropic-2026-tier-{number}" for number in (2, 3)}  # between two that are named
    models = len(catalogue["models"])
    assert f"{models} models have their price" in (ROOT / "README.md").read_text(encoding="utf-8")


TABLES = {
    "providers.NAME.limits": "ProviderLimits",
    "providers.NAME.keys": "ProviderKey",
    "alerts.webhooks": "Webhook",
    "sandbox.limits": "SandboxLimits",
    "auth.issuers.NAME": "Issuer",
    "log.hold_days": "HoldDays",
    "log.witnesses.NAME": "LogWitness",
    "log.timestamps": "LogTimestamps",
    "images.unsplash": "Unsplash",
    "images.pixabay": "Pixabay",
    "mcp.servers.NAME": "MCPServer",
    "mcp.servers.NAME.rules.TOOL": "ToolRule",
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
    needed = node.get("required", ())
    return {
        (section, key): value.get("default", ... if key in needed else {})
        for key, value in node["properties"].items()
    }


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


COMMON_OPTIONS = {"--json", "--config", "--help"}
"""Told once for all commands."""
CONTEXT = click.Context(click.Command("macroslow"))


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its whole name."""
    for name in COMMANDS:
        command = COMMANDS[name].load()
        below = command.list_commands(CONTEXT) if isinstance(command, click.Group) else []
        for sub in below:
            found = command.get_command(CONTEXT, sub)
            assert found is not None
            if isinstance(found, click.Group):
                yield from ((f"{name} {sub} {each}", one) for each, one in found.commands.items())
            else:
                yield f"{name} {sub}", found
        if not below or getattr(command, "invoke_without_command", False):
            yield name, command


def options(command: click.Command) -> set[str]:
    """Its long options."""
    found = {name for one in command.params if isinstance(one, click.Option) for name in one.opts}
    return {name for name in found if name.startswith("--")} - COMMON_OPTIONS


def test_every_command_stands_in_a_table_with_its_options() -> None:
    told = {
        words(row[0])[0].removeprefix("macroslow "): set(words(row[2]))
        for row in rows(page("reference/commands.md"))
        if row[0].startswith("`macroslow ")
    }
    assert told == {name: options(command) for name, command in commands()}


def test_options_that_are_said_to_be_common_are() -> None:
    told = set(words(page("reference/commands.md").partition("\n## ")[0]))
    assert {"--json", "--config FILE"} <= told


@pytest.mark.parametrize("name", ["limit", "fault"])
def test_every_limit_and_fault_of_the_emulator_is_told(name: str) -> None:
    table = sections("reference/commands.md")["The emulator"].partition(f"| {name} |")[2].partition("\n\n")[0]
    told = [word for row in rows(table) for word in words(row[0])]
    shown = CliRunner().invoke(COMMANDS["emulator"].load(), ["--help"], terminal_width=80).output
    known = shown.partition(f"--{name}s, several")[2].partition("\n\n")[0]
    listed = ", ".join(re.findall(r"^  (\S+(?:, \S+)*)  ", known, re.MULTILINE)).split(", ")
    assert told == [one for one in listed if not one.startswith("…")]


def test_every_key_of_the_front_matter_that_has_a_meaning_is_told() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", page("reference/maml.md"), re.MULTILINE))
    assert told <= set(front_matter.KEYS)


def test_every_type_of_event_has_its_number() -> None:
    table = sections("reference/log-and-receipts.md")["Leaf"].partition("| type |")[2]
    told = {int(cell) for row in rows(table) for cell in row[::2] if cell.isdigit()}
    assert told == {int(one) for one in EventType}


def test_events_are_named_as_commands_name_them() -> None:
    names = {one.name.lower().replace("_", "-") for one in EventType}
    told = set(words(sections("reference/log-and-receipts.md")["What an event says"]))
    assert {"chat-completed", "chat-unknown", "key-changed", "refused"} <= told & names


def test_the_fields_of_a_calls_entry_are_those_that_its_page_shows() -> None:
    """The example is executed with the page; it is of a plain call, which has no run and nothing unusual."""
    text = sections("reference/log-and-receipts.md")["What an event says"]
    told = {word for row in rows(text.partition("| event |")[0]) for word in words(row[0])}
    shown = re.search(r"^…  chat-completed +(.*)$", text, re.MULTILINE)
    assert shown is not None
    unusual = {"run_id", "would_refuse", "disputed", "stream", "attempts", "waited_ms"}
    named_otherwise = {"account", "asked_model"}
    assert told - unusual - named_otherwise == set(re.findall(r"(\w+)=", shown[1]))


def test_everything_that_can_be_wrong_with_a_credential_is_told() -> None:
    table = sections("reference/log-and-receipts.md")["Security events"].partition("| reason |")[2]
    assert {word for row in rows(table) for word in words(row[0])} == {*Refusal}
