"""N23, N26: only what was approved, in the very form that was approved, is offered."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from macroslow.mcp.pins import (
    MAX_ITEM_BYTES,
    MAX_ITEM_NODES,
    MAX_WORK,
    Item,
    Kind,
    Place,
    State,
    compare,
    digest_of,
    items_of,
    offered,
    proposal_digest,
    skeleton,
    waits,
)
from macroslow.mcp.upstream import Found, Identity

WHERE = "https://mcp.example/mcp"
SERVER = Place(Kind.SERVER, "")


def tool(name: str = "add", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "Adds.", "inputSchema": {"type": "object"}, **more}


def found(*tools: dict[str, Any], version: str = "1", protocol: str = "2026-07-28", **more: Any) -> Found:
    lists = {"prompts": (), "resources": (), "templates": (), **more}
    return Found(Identity("s", version, protocol), tools, fresh_s=60.0, **lists)


def items(*tools: dict[str, Any], **more: Any) -> dict[Place, Item]:
    return items_of("s", found(*tools, **more), WHERE)


def approve(items: dict[Place, Item]) -> dict[Place, str]:
    return {place: item.text for place, item in items.items() if not item.fault}


def states(now: dict[Place, Item], approved: dict[Place, str]) -> dict[str, State]:
    return {one.place.name or "server": one.state for one in compare(now, approved)}


def test_first_sight_approves_nothing() -> None:
    standings = compare(items(tool()), {})
    assert offered(standings) == {}
    assert {one.state for one in standings} == {State.NEW}


def test_what_was_approved_is_offered_as_it_was_approved() -> None:
    now = items(tool())
    shown = offered(compare(now, approve(now)))
    assert shown == {Place(Kind.TOOL, "add"): tool()}


@pytest.mark.parametrize(
    "changed",
    [
        tool(description="Adds. Always."),
        tool(title="Add"),
        tool(inputSchema={"type": "object", "properties": {"note": {"type": "string"}}}),
        tool(inputSchema={"type": "object", "description": "ignore"}),
        tool(outputSchema={"type": "object"}),
        tool(annotations={"readOnlyHint": True}),
        tool(description="Adds.\u200b"),
    ],
    ids=["description", "title", "schema", "schema text", "output schema", "annotations", "hidden"],
)
def test_n26_any_change_of_a_tool_blocks_it(changed: dict[str, Any]) -> None:
    approved = approve(items(tool()))
    standings = compare(items(changed), approved)
    assert offered(standings) == {}
    assert states(items(changed), approved)["add"] is State.CHANGED


@pytest.mark.parametrize("more", [{"version": "2"}, {"protocol": "2025-11-25"}])
def test_n26_another_identity_blocks_everything(more: dict[str, str]) -> None:
    approved = approve(items(tool()))
    assert offered(compare(items(tool(), **more), approved)) == {}


def test_n26_another_address_blocks_everything() -> None:
    approved = approve(items(tool()))
    elsewhere = items_of("s", found(tool()), "https://other.example/mcp")
    assert offered(compare(elsewhere, approved)) == {}


def test_n26_a_renamed_tool_waits_and_is_told_as_renamed() -> None:
    approved = approve(items(tool("add")))
    standings = {one.place.name: one for one in compare(items(tool("sum")), approved)}
    assert standings["sum"].state is State.NEW
    assert standings["sum"].was == "add"
    assert standings["add"].state is State.GONE


def test_n26_of_two_tools_of_one_name_neither_is_offered() -> None:
    approved = approve(items(tool()))
    now = items(tool(), tool(description="Another."))
    assert states(now, approved)["add"] is State.UNFIT
    assert offered(compare(now, approved)) == {}


@pytest.mark.parametrize(
    "name", ["a b", "r\u200bead", "re\u0430d", "", "a" * 62, "../x", "a.b", "read\n", "\u202eadd"]
)
def test_n26_names_that_are_not_plain_are_refused(name: str) -> None:
    (bad,) = [item for place, item in items(tool(name)).items() if place.kind is Kind.TOOL]
    assert bad.fault


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "x"},
        {"name": "x", "inputSchema": []},
        {"name": 5, "inputSchema": {}},
        tool(description=["x"]),
        tool(inputSchema={"$ref": "https://evil.example/schema"}),
        tool(inputSchema={"properties": {"a\u200b": {}}}),
        tool(description="x" * MAX_ITEM_BYTES),
        tool(description="\ud800"),
    ],
    ids=range(8),
)
def test_an_item_that_cannot_be_offered_is_unfit_and_harms_no_other(bad: dict[str, Any]) -> None:
    now = items(tool("good"), bad)
    shown = offered(compare(now, approve(now)))
    assert set(shown) == {Place(Kind.TOOL, "good")}


def test_a_deeply_nested_schema_is_unfit() -> None:
    nested: dict[str, Any] = {}
    for _ in range(500):
        nested = {"not": nested}
    assert states(items(tool(inputSchema=nested)), {})["add"] is State.UNFIT


def test_hidden_characters_are_taken_out_of_what_is_offered_but_not_of_what_is_pinned() -> None:
    now = items(tool(description="Ad\u200bds."))
    (shown,) = offered(compare(now, approve(now))).values()
    assert shown["description"] == "Adds."
    assert "\u200b" in now[Place(Kind.TOOL, "add")].text


def test_what_is_not_pinned_is_not_offered() -> None:
    now = items(tool(icons=[{"src": "https://evil.example/x.png"}], _meta={"x": 1}, execution={}))
    (shown,) = offered(compare(now, approve(now))).values()
    assert shown == tool()


def test_n23_annotations_are_pinned_and_shown_as_they_are() -> None:
    now = items(tool(annotations={"readOnlyHint": True, "evil": "x", "title": "T"}))
    (shown,) = offered(compare(now, approve(now))).values()
    assert shown["annotations"] == {"readOnlyHint": True, "title": "T"}


def test_prompts_resources_and_templates_are_pinned_too() -> None:
    lists = {
        "prompts": ({"name": "p", "arguments": [{"name": "a", "required": True}]},),
        "resources": ({"uri": "file:///x", "name": "x"},),
        "templates": ({"uriTemplate": "file:///{name}", "name": "t"},),
    }
    now = items(**lists)
    approved = approve(now)
    assert {place.kind for place in offered(compare(now, approved))} == {
        Kind.PROMPT,
        Kind.RESOURCE,
        Kind.TEMPLATE,
    }
    lists["prompts"] = ({"name": "p", "arguments": [{"name": "a", "required": False}]},)
    lists["resources"] = ({"uri": "file:///x", "name": "y"},)
    assert {place.kind for place in offered(compare(items(**lists), approved))} == {Kind.TEMPLATE}


def test_the_text_of_a_pin_is_rfc_8785_and_its_digest_sha_256_of_it() -> None:
    item = items(tool())[Place(Kind.TOOL, "add")]
    assert item.text.encode() == rfc8785.dumps(json.loads(item.text))
    assert item.digest == digest_of(item.text)


def test_large_numbers_are_those_that_doubles_hold() -> None:
    item = items(tool(inputSchema={"type": "integer", "maximum": 2**63 - 1}))[Place(Kind.TOOL, "add")]
    assert item.fault == ""
    assert "9223372036854775808" in item.text or "9223372036854776000" in item.text


def test_an_approval_names_exactly_what_waits() -> None:
    first = compare(items(tool()), {})
    other = compare(items(tool(description="Other.")), {})
    assert proposal_digest(first) != proposal_digest(other)
    assert proposal_digest(first) == proposal_digest([*reversed(first)])
    replaced = compare(items(tool()), approve(items(tool(description="Before."))))
    assert proposal_digest(replaced) != proposal_digest(first)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["name", "title", "inputSchema", "description"]), JSON), max_size=4
    )
)
def test_whatever_a_server_lists_is_read_and_offered_only_if_it_is_the_same(
    raw: list[dict[str, Any]],
) -> None:
    now = items(*raw)
    approved = approve(now)
    shown = offered(compare(now, approved))
    assert set(shown) == {place for place, item in now.items() if not item.fault and place != SERVER}
    assert not any(waits(one) for one in compare(now, approved))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("read_file", "Read-File"),
        ("l0gin", "login"),
        ("modern", "rnodern"),
        ("save", "5ave"),
        ("view", "vlew"),
    ],
)
def test_n26_names_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    "bad",
    [
        tool(inputSchema={"examples": [[]] * (MAX_ITEM_NODES + 1)}),
        tool(inputSchema={"properties": {f"p{n}": {"type": "string"} for n in range(MAX_ITEM_NODES)}}),
        tool(inputSchema={"properties": {"a": {"pattern": "(a|b)?" * 2000}}}),
        tool(inputSchema={"maximum": 2**70}),
        tool("x" * 10**6),
    ],
    ids=["values", "members", "pattern", "number", "name"],
)
def test_an_item_that_would_take_long_to_look_at_is_unfit_and_no_more_is_done_with_it(
    bad: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jsonschema_rs.Draft202012Validator", None)
    ((place, item),) = [(place, item) for place, item in items(bad).items() if place != SERVER]
    assert item.fault
    assert len(place.name) < 5000
    assert len(item.text) < 5000


def test_what_is_not_pinned_may_be_large() -> None:
    now = items(tool(icons=[{"src": "data:," + "x" * MAX_ITEM_BYTES}], _meta={"x": [[]] * MAX_ITEM_NODES}))
    assert set(offered(compare(now, approve(now)))) == {Place(Kind.TOOL, "add")}


def test_all_items_of_a_server_together_are_bounded_too() -> None:
    large = {"enum": [str(n) for n in range(MAX_ITEM_NODES - 10)]}
    tools = [tool(f"t{n}", inputSchema=large) for n in range(MAX_WORK // MAX_ITEM_NODES + 2)]
    faults = [item.fault for place, item in items(*tools).items() if place != SERVER]
    assert faults[0] == ""
    assert "more than can be looked through" in faults[-1]


@pytest.mark.parametrize(
    "hidden",
    [
        {"properties": {"a": {"pattern": "[\u200b]"}}},
        {"properties": {"a": {"enum": ["x\u200b", "x"]}}},
        {"properties": {"a": {"const": {"\u200bx": 1}}}},
        {"properties": {"a": {"default": "\u202ex"}}},
        {"required": ["a\u200b"]},
        {"$ref": "#/$defs/a\u200b", "$defs": {"a\u200b": {}}},
    ],
    ids=["pattern", "enum", "const", "default", "required", "$ref"],
)
def test_a_schema_that_cleaning_would_make_another_one_is_unfit(hidden: dict[str, Any]) -> None:
    assert "hidden" in items(tool(inputSchema=hidden))[Place(Kind.TOOL, "add")].fault


def test_a_prompt_whose_arguments_have_hidden_characters_in_their_names_is_unfit() -> None:
    now = items(prompts=({"name": "p", "arguments": [{"name": "a\u200b"}]},))
    assert now[Place(Kind.PROMPT, "p")].fault


def test_a_large_number_in_a_pin_that_is_gone_stops_nothing() -> None:
    approved = approve(items(tool(inputSchema={"type": "integer", "maximum": 2**63 - 1})))
    assert states(items(tool("other")), approved) == {
        "server": State.APPROVED,
        "other": State.NEW,
        "add": State.GONE,
    }
