"""What a document asks for, and what it gets."""

import json

import pytest
from tests.maml.samples import document, read, without

from macroslow.errors import ConfigurationError, MissingRightError
from macroslow.maml.parse import parse
from macroslow.maml.rights import OperatorRights, Rights, decide_rights

OPERATOR = OperatorRights(
    model_providers=frozenset({"openai", "anthropic"}),
    apis=frozenset({"openweathermap"}),
    sources_read=frozenset({"patient_records"}),
)
ALL = ["gateway://*", "api://*", "quantum://*", "patient_records://*"]


def rights(permissions: str, *, requires: str = "", body: str = "", grants: list[str] = ALL) -> Rights:
    front = without("permissions") + f"permissions:\n{permissions}" + requires
    return decide_rights(
        parse(document(instead_of_front=front, body=body)), caller_grants=[grants], operator=OPERATOR
    )


def execute(*patterns: str) -> str:
    return f"  execute: {json.dumps(patterns)}\n"


@pytest.mark.parametrize("name", ["local", "dunes-mcp", "chimera-mcp", "glastonbury-mcp"])
def test_every_alias_of_the_gateway_lets_a_document_run(name: str) -> None:
    assert rights(execute(f"gateway://{name}")).gateway == name


def test_a_document_for_another_gateway_does_not_run_and_learns_the_line_to_write() -> None:
    with pytest.raises(MissingRightError) as caught:
        rights(execute("gateway://elsewhere", "api://openai"))
    assert caught.value.uri == "gateway://local"
    assert caught.value.fix == (
        'under permissions, write: execute: ["gateway://elsewhere", "api://openai", "gateway://local"]'
    )


def test_no_list_means_no_right() -> None:
    with pytest.raises(MissingRightError, match="does not ask for gateway://local"):
        rights("  read: []\n")
    with pytest.raises(MissingRightError, match="credential does not cover gateway://local"):
        rights(execute("gateway://local"), grants=[])


@pytest.mark.parametrize(
    ("permissions", "requires", "providers", "apis"),
    [
        (execute("gateway://local"), "", (), ()),
        (execute("gateway://local", "api://openai"), "", ("openai",), ()),
        (execute("gateway://local", "api://open*"), "", ("openai",), ("openweathermap",)),
        (execute("gateway://local", "api://*"), "", ("anthropic", "openai"), ("openweathermap",)),
        (execute("gateway://local"), 'requires: {apis: ["openai/gpt-4o"]}\n', ("openai",), ()),
        (execute("gateway://local"), 'requires: ["openai/gpt-4o"]\n', ("openai",), ()),
        (execute("gateway://local"), 'requires: {libs: ["openai>=1.0"]}\n', ("openai",), ()),
        (execute("gateway://local"), 'requires: {libs: ["openai-agents"]}\n', ("openai",), ()),
        (execute("gateway://local"), 'requires: {libs: ["openaix", "numpy"]}\n', (), ()),
        (execute("gateway://local", "api://openweathermap"), "", (), ("openweathermap",)),
    ],
)
def test_model_calls_and_outside_apis_open_as_the_format_says(
    permissions: str, requires: str, providers: tuple[str, ...], apis: tuple[str, ...]
) -> None:
    granted = rights(permissions, requires=requires)
    assert (granted.providers, granted.apis) == (providers, apis)


@pytest.mark.parametrize(
    ("permissions", "requires", "uri", "who"),
    [
        (execute("gateway://local", "api://nowhere"), "", "api://nowhere", "operator"),
        (execute("gateway://local"), 'requires: {apis: ["mistral/large"]}\n', "api://mistral", "operator"),
        (
            execute("gateway://local"),
            'requires: {apis: ["openweathermap"]}\n',
            "api://openweathermap",
            "document",
        ),
    ],
)
def test_what_is_named_and_not_there_refuses_the_run(
    permissions: str, requires: str, uri: str, who: str
) -> None:
    with pytest.raises(MissingRightError, match=who) as caught:
        rights(permissions, requires=requires)
    assert caught.value.uri == uri
    assert caught.value.fix


def test_the_caller_bounds_what_the_document_names_and_what_a_wildcard_could_have_covered() -> None:
    with pytest.raises(MissingRightError, match="credential does not cover api://openai") as caught:
        rights(execute("gateway://local", "api://openai"), grants=["gateway://*"])
    assert "--grant api://openai" in caught.value.fix
    granted = rights(execute("gateway://local", "api://*"), grants=["gateway://*", "api://anthropic"])
    assert (granted.providers, granted.apis) == (("anthropic",), ())


def test_sources_are_granted_whole_and_only_where_bound() -> None:
    permissions = (
        execute("gateway://local") + '  read: ["patient_records://*", "agent://*"]\n  write: ["agent://me"]\n'
    )
    granted = rights(permissions)
    assert (granted.sources_read, granted.sources_write) == (("patient_records",), ())
    assert [warning.field for warning in granted.warnings] == ["permissions.read", "permissions.write"]
    with pytest.raises(MissingRightError, match="patient_records://all"):
        rights(permissions, grants=["gateway://*"])
    assert rights(execute("gateway://local") + '  read: ["patient_records://2024/*"]\n').sources_read == ()


def test_a_qiskit_block_needs_the_right_to_circuits() -> None:
    body = "## Code_Blocks\n```qiskit\nx = 1\n```\n"
    assert rights(execute("gateway://local", "quantum://*"), body=body).circuits
    with pytest.raises(MissingRightError) as caught:
        rights(execute("gateway://local"), body=body)
    assert '"quantum://simulator"' in caught.value.fix


def test_every_right_is_a_concrete_uri_for_the_log() -> None:
    granted = rights(
        execute("gateway://local", "api://*", "quantum://*") + '  read: ["patient_records://*"]\n'
    )
    assert granted.uris == (
        "gateway://local",
        "api://anthropic",
        "api://openai",
        "api://openweathermap",
        "read:patient_records://all",
        "quantum://simulator",
    )


def test_a_grant_that_is_no_pattern_is_the_operator_s_mistake() -> None:
    with pytest.raises(ConfigurationError):
        decide_rights(read(), caller_grants=[["everything"]], operator=OPERATOR)
