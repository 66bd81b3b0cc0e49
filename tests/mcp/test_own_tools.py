"""Our tools over the protocol: listed by scope, arguments and results held against their schemas."""

import asyncio
import json

import jsonschema_rs
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from tests.mcp.fakes import ANN, ERAS, Site, Tools
from tests.mcp.samples import ARGUMENTS, HELLO, RESULTS, RUN_ID

from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.errors import InvalidDocumentError, Problem
from macroslow.mcp.catalogue import TOOLS
from macroslow.mcp.own_tools import OwnTools, UnfitResultError
from macroslow.mcp.tools.tool import Tool

NAMES = [tool.name for tool in TOOLS]


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
def site(tools: Tools) -> Site:
    return Site(OwnTools(tools.handlers))


def of(*held: str) -> Principal:
    return Principal("bob", "key/bob", scopes=frozenset(held))


@ERAS
async def test_tools_are_listed_by_scope(site: Site, era: str) -> None:
    async with site.client(era) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == NAMES
    for scope in scopes.CLIENT:
        site.principal = of(scopes.MCP_CONNECT, scope)
        async with site.client(era) as client:
            listed = [tool.name for tool in (await client.list_tools()).tools]
        assert listed == [tool.name for tool in TOOLS if tool.scope in site.principal.scopes]


@ERAS
@pytest.mark.parametrize("tool", TOOLS, ids=NAMES)
async def test_every_tool_is_called_with_its_principal_and_answers_as_data(site, tools, era, tool) -> None:
    async with site.client(era) as client:
        result = await client.call_tool(tool.name, ARGUMENTS[tool.name])
    assert not result.is_error
    assert result.structured_content == RESULTS[tool.name]
    (text,) = result.content
    assert json.loads(text.text) == RESULTS[tool.name]
    [(name, ask)] = tools.asked
    assert (name, ask.principal, ask.request_id) == (tool.name, ANN, "r1")
    assert (ask.arguments, ask.tell) == (ARGUMENTS[tool.name], None)


@ERAS
@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("run_document", {}, "document"),
        ("run_document", {"document": 1}, "/document"),
        ("run_document", {"document": "x", "extra": 1}, "extra"),
        ("run_document", {"document": "x", "inputs": [1]}, "/inputs"),
        ("run_document", {"document": "x" * 1_048_577}, "/document"),
        ("complete_chat", {"model": "m", "messages": []}, "/messages"),
        ("complete_chat", {"model": "m", "messages": [{"role": "r", "content": 1}]}, "/messages/0/role"),
        ("complete_chat", {"model": "m", "messages": [HELLO], "stream": True}, "stream"),
        ("complete_chat", {"model": "m", "messages": [HELLO] * 1001}, "/messages"),
        ("complete_chat", {"model": "m", "messages": [HELLO], "max_tokens": 0}, "/max_tokens"),
        ("usage", {"by": "week"}, "by"),
        ("usage", {"from": 7}, "/from"),
        ("list_runs", {"limit": 101}, "/limit"),
        ("list_runs", {"limit": 0}, "/limit"),
        ("get_run", {"run_id": "../secrets"}, "/run_id"),
        ("get_run", {"run_id": RUN_ID + "\n"}, "/run_id"),
        ("get_run_result", {"run_id": RUN_ID.upper()}, "/run_id"),
        ("cancel_run", {"run_id": RUN_ID + "\x00"}, "/run_id"),
        ("get_receipt", {"request_id": "x" * 101}, "/request_id"),
        ("prove_entry", {"log_index": -1}, "/log_index"),
        ("prove_entry", {"log_index": 1.5}, "/log_index"),
        ("prove_entry", {"log_index": 2**53}, "/log_index"),
        ("prove_entry", {"log_index": True}, "/log_index"),
        ("verify_receipt", {"receipt": 7}, "/receipt"),
        ("search_images", {"query": "cats", "count": 31}, "/count"),
        ("search_images", {"query": "cats", "provider": "elsewhere"}, "/provider"),
    ],
    ids=range(26),
)
async def test_n20_arguments_that_do_not_fit_are_named_and_reach_nobody(
    site: Site, tools: Tools, era: str, name: str, arguments: dict, told: str
) -> None:
    async with site.client(era) as client:
        result = await client.call_tool(name, arguments)
    assert result.is_error
    assert told in result.content[0].text
    assert len(result.content[0].text) < 2000
    assert tools.asked == []


@ERAS
async def test_many_faults_are_told_in_bounded_length(site: Site, era: str) -> None:
    messages = [{"role": "x" * 1000, "content": n} for n in range(500)]
    async with site.client(era) as client:
        result = await client.call_tool("complete_chat", {"model": "m", "messages": messages})
    assert result.is_error
    assert len(result.content[0].text) < 12_000


@ERAS
@pytest.mark.parametrize("tool", TOOLS, ids=NAMES)
async def test_n20_a_result_that_does_not_fit_its_schema_reaches_nobody(site, tools, era, tool: Tool) -> None:
    tools.outcome = lambda: {"secret": "what nobody should see"}
    async with site.client(era) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool(tool.name, ARGUMENTS[tool.name])
    assert refused.value.error.code == types.INTERNAL_ERROR
    assert "nobody should see" not in str(refused.value.error)
    [(method, error)] = site.reported
    assert (method, type(error)) == (f"tools/call {tool.name}", UnfitResultError)


@ERAS
async def test_an_unknown_tool_is_an_error_of_the_protocol(site: Site, tools: Tools, era: str) -> None:
    async with site.client(era) as client:
        for name in ("nonsense", "", "RUN_DOCUMENT", "run_document ", "run_document\x00"):
            with pytest.raises(MCPError, match="unknown tool: ") as refused:
                await client.call_tool(name, {"document": "x"})
            assert refused.value.error.code == types.INVALID_PARAMS
    assert tools.asked == []


@ERAS
@pytest.mark.parametrize("tool", TOOLS, ids=NAMES)
async def test_a_tool_whose_scope_lacks_is_refused_by_its_name(site, tools, era, tool: Tool) -> None:
    site.principal = of(*(scopes.CLIENT - {tool.scope}))
    async with site.client(era) as client:
        refused = await client.call_tool(tool.name, ARGUMENTS[tool.name])
    assert refused.is_error
    assert f"lacks the scope {tool.scope}" in refused.content[0].text
    assert tools.asked == []


@ERAS
async def test_a_refusal_is_a_result_that_a_model_can_mend(site: Site, tools: Tools, era: str) -> None:
    tools.outcome = lambda: InvalidDocumentError(
        "two problems", [Problem("is missing", "add it", 3, "origin"), Problem("odd")], fix="mend them"
    )
    async with site.client(era) as client:
        result = await client.call_tool("validate_document", {"document": "x"})
    assert result.is_error
    assert result.content[0].text.splitlines() == [
        "Invalid document: two problems",
        "line 3: origin: is missing (fix: add it)",
        "odd",
        "fix: mend them",
    ]


@ERAS
async def test_a_defect_tells_nothing_of_itself(site: Site, tools: Tools, era: str) -> None:
    tools.outcome = lambda: ValueError("sk-secret in the text of an exception")
    async with site.client(era) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("usage", {})
        assert "sk-secret" not in str(refused.value.error)
        tools.outcome = lambda: None
        assert not (await client.call_tool("usage", {})).is_error


@ERAS
async def test_many_calls_at_once_keep_their_principals_apart(site: Site, tools: Tools, era: str) -> None:
    async with site.client(era) as client:
        await asyncio.gather(*(client.call_tool("usage", {}) for _ in range(10)))
    assert [ask.principal for _, ask in tools.asked] == [ANN] * 10


async def test_progress_is_told_to_who_asks_for_it() -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async def work(ask) -> dict[str, object]:
        assert ask.tell is not None
        await ask.tell(1, 3, "begun")
        await ask.tell(2, None, "half")
        return RESULTS["run_document"]

    site = Site(OwnTools({"run_document": work}))
    async with site.client("legacy") as client:  # the other era tells it on a real wire alone
        await client.call_tool("run_document", {"document": "x"}, progress_callback=hear)
    assert told == [(1, 3, "begun"), (2, None, "half")]


@ERAS
async def test_what_is_not_configured_is_not_there(era: str) -> None:
    only = {"usage": Tools().handlers["usage"]}
    async with Site(OwnTools(only)).client(era) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["usage"]
        with pytest.raises(MCPError, match="unknown tool: search_images"):
            await client.call_tool("search_images", {"query": "cats"})


# The catalogue.


def closed(schema: object) -> bool:
    """Whether every object in a schema that names its members takes no other."""
    match schema:
        case {"properties": dict() as members, **rest}:
            return rest.get("additionalProperties") is False and all(map(closed, members.values()))
        case dict():
            return all(map(closed, schema.values()))
        case list():
            return all(map(closed, schema))
        case _:
            return True


@pytest.mark.parametrize("tool", TOOLS, ids=NAMES)
def test_every_tool_has_valid_closed_schemas_a_scope_and_words(tool: Tool) -> None:
    for schema in (tool.input_schema, tool.output_schema):
        jsonschema_rs.meta.validate(dict(schema))
        assert schema["type"] == "object"
        assert "$ref" not in str(schema)
    assert closed(tool.input_schema)
    assert closed(tool.output_schema) or tool.name == "complete_chat"  # whose answer is a provider's own
    assert tool.scope in scopes.CLIENT
    assert 1 <= len(tool.name) <= 64
    assert tool.name.isidentifier()
    assert tool.title
    assert "cost" in tool.description.lower() or "charged" in tool.description or "spent" in tool.description
    assert 80 < len(tool.description) < 900


@pytest.mark.parametrize("tool", TOOLS, ids=NAMES)
def test_no_argument_without_a_bound_but_those_that_the_body_bounds(tool: Tool) -> None:
    for name, schema in tool.input_schema["properties"].items():
        if schema.get("type") == "string":
            assert "maxLength" in schema or "pattern" in schema, name
        if schema.get("type") == "array":
            assert "maxItems" in schema, name


@pytest.mark.parametrize("tool", TOOLS, ids=NAMES)
def test_the_annotations_say_what_a_tool_does(tool: Tool) -> None:
    effect = tool.effect
    assert not (effect.read_only and effect.destructive)
    assert effect.idempotent or not effect.read_only
    writing = {"run_document", "cancel_run", "complete_chat", "use_image"}
    assert effect.read_only == (tool.name not in writing)
    assert effect.destructive == (tool.name == "cancel_run")


def test_names_are_the_tools_own() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not any("__" in name for name in NAMES)  # so no other server's tool can have one of them
