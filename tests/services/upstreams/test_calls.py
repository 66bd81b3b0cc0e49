"""Calls to other servers: who may, how often, with what; what comes back, and what the log says."""

import asyncio
import json
from contextlib import suppress

import mcp_types as types
import pytest
from tests.services.upstreams.fake_server import (
    ADD,
    FakeServer,
    Rule,
    Servers,
    caller,
    principal,
    rules,
    wanting,
)

from macroslow.errors import (
    LogUnavailableError,
    RateLimitedError,
    TooLargeError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from macroslow.services.upstreams.watched_server import WatchedServer
from macroslow.tlog.event import EventType

CANARY = "canary-of-the-caller"


async def house_of(port: FakeServer | None = None, **more: object) -> Servers:
    house = Servers(s=port or FakeServer())
    house.watched["s"] = WatchedServer("s", house.ports["s"], rules("s", **more), house.clock, {})
    house.verbs.servers["s"] = house.watched["s"]  # type: ignore[index]
    return await house.approved()


@pytest.mark.parametrize("scopes", [(), ("mcp:t",), ("mcp:connect",)])
async def test_who_lacks_the_scope_sees_nothing_and_calls_nothing(scopes: tuple[str, ...]) -> None:
    house = await house_of()
    assert await house.source.tools(principal(*scopes)) == []
    assert await house.source.call_tool(caller(*scopes), wanting(a=1)) is None
    assert house.ports["s"].asked == []


async def test_a_tool_may_need_another_scope_than_its_server() -> None:
    house = await house_of(rules={"add": Rule("mcp:s-write", 5.0)})
    assert [one.name for one in await house.source.tools(principal("mcp:s"))] == ["s__say"]
    assert [one.name for one in await house.source.tools(principal("mcp:s-write"))] == ["s__add"]
    assert await house.source.call_tool(caller("mcp:s"), wanting(a=1)) is None
    await house.source.call_tool(caller("mcp:s-write"), wanting(a=1))
    assert house.ports["s"].asked == [("add", {"a": 1}, 5.0)]


async def test_only_the_tools_that_the_operator_wants_are_offered() -> None:
    house = await house_of(tools=frozenset({"say"}))
    assert [one.name for one in await house.source.tools(principal("mcp:s"))] == ["s__say"]
    assert await house.source.call_tool(caller("mcp:s"), wanting(a=1)) is None


@pytest.mark.parametrize("arguments", [{}, {"a": "x"}, {"a": 1.5}])
async def test_n20_arguments_that_do_not_fit_never_leave(arguments: dict[str, object]) -> None:
    house = await house_of()
    found = await house.source.call_tool(caller("mcp:s"), wanting(**arguments))
    assert found is not None
    assert found.is_error
    assert house.ports["s"].asked == []


@pytest.mark.parametrize("structured", [None, {"sum": "3"}, {}, [1]])
async def test_n20_a_result_that_does_not_fit_what_was_approved_is_refused(structured: object) -> None:
    house = await house_of()
    house.ports["s"].answer = {"content": [], "structuredContent": structured}
    with pytest.raises(UpstreamUnavailableError, match="output schema"):
        await house.source.call_tool(caller("mcp:s"), wanting(a=1))


@pytest.mark.parametrize("answer", [{}, {"content": "x"}, {"content": [{"type": "unknown"}]}])
async def test_a_result_that_is_none_is_refused(answer: object) -> None:
    house = await house_of()
    house.ports["s"].answer = answer
    with pytest.raises(UpstreamUnavailableError, match="none"):
        await house.source.call_tool(caller("mcp:s"), wanting("s__say"))


async def test_n20_results_are_cleaned_and_what_was_taken_out_is_counted() -> None:
    house = await house_of()
    house.ports["s"].answer = {
        "content": [{"type": "text", "text": "a\u200bb\u202e"}],
        "structuredContent": {"sum": 3, "note\u200b": "x\U000e0041"},
        "_meta": {"secret": "x"},
    }
    found = await house.source.call_tool(caller("mcp:s"), wanting(a=1))
    assert found is not None
    assert found.content[0].text == "ab"
    assert found.structured_content == {"sum": 3, "note": "x"}
    assert found.meta is None
    assert house.call.counts.hidden == {"s": 4}


async def test_n20_rates_are_each_principals_own() -> None:
    house = await house_of(calls_per_minute=2)
    for _ in range(2):
        await house.source.call_tool(caller("mcp:s"), wanting(a=1))
    with pytest.raises(RateLimitedError, match="MCP server s"):
        await house.source.call_tool(caller("mcp:s"), wanting(a=1))
    assert await house.source.call_tool(caller("mcp:s", name="bob"), wanting(a=1)) is not None


async def test_n20_a_tool_has_a_rate_of_its_own() -> None:
    house = await house_of(rules={"add": Rule("mcp:s", 60.0, 1)})
    await house.source.call_tool(caller("mcp:s"), wanting(a=1))
    with pytest.raises(RateLimitedError, match="add"):
        await house.source.call_tool(caller("mcp:s"), wanting(a=1))
    assert await house.source.call_tool(caller("mcp:s"), wanting("s__say")) is not None


async def test_an_entry_says_who_called_what_and_how_it_ended_but_no_text() -> None:
    house = await house_of()
    house.ports["s"].answer = {"content": [{"type": "text", "text": CANARY}], "structuredContent": {"sum": 1}}
    await house.source.call_tool(caller("mcp:s"), wanting(a=1, note=CANARY))
    (entry,) = await house.events(EventType.MCP_FORWARDED)
    assert CANARY not in json.dumps(entry)
    assert (entry["server"], entry["kind"], entry["name"], entry["outcome"]) == ("s", "tool", "add", "ok")
    assert (entry["principal"], entry["request_id"]) == ("ann", "req-1")
    assert len(entry["arguments_sha256"]) == len(entry["result_sha256"]) == 64


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (UpstreamUnavailableError("x", upstream="s"), "upstream-unavailable"),
        (UpstreamRefusedError("no\u200b", upstream="s", status=-32000), "upstream-refused"),
        (TooLargeError("x", limit_bytes=1), "too-large"),
        ({"content": [], "isError": True}, "failed"),
        ({"content": [], "structuredContent": {}}, "upstream-unavailable"),
    ],
    ids=range(5),
)
async def test_every_end_is_logged_and_counted(answer: object, outcome: str) -> None:
    house = await house_of()
    house.ports["s"].answer = answer
    with suppress(UpstreamUnavailableError, UpstreamRefusedError, TooLargeError):
        await house.source.call_tool(caller("mcp:s"), wanting(a=1))
    (entry,) = await house.events(EventType.MCP_FORWARDED)
    assert entry["outcome"] == outcome
    assert house.call.counts.calls == {("s", outcome): 1}


async def test_n20_a_servers_own_words_in_an_error_are_cleaned() -> None:
    house = await house_of()
    house.ports["s"].answer = UpstreamRefusedError("no\u200b!", upstream="s", status=-32000)
    with pytest.raises(UpstreamRefusedError) as refused:
        await house.source.call_tool(caller("mcp:s"), wanting(a=1))
    assert refused.value.detail == str(refused.value) == "no!"


async def test_n14_a_caller_who_leaves_is_logged_as_unknown() -> None:
    house = await house_of()
    begun = asyncio.Event()

    async def forever() -> None:
        begun.set()
        await asyncio.Event().wait()

    house.ports["s"].answer = forever
    task = asyncio.create_task(house.source.call_tool(caller("mcp:s"), wanting(a=1)))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    (entry,) = await house.events(EventType.MCP_FORWARDED)
    assert (entry["outcome"], entry["result_sha256"]) == ("unknown", None)


async def test_an_answer_that_cannot_be_logged_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    house = await house_of()

    async def full(*_: object) -> None:
        raise LogUnavailableError("the disk is full")

    monkeypatch.setattr(house.books, "commit", full)
    with pytest.raises(LogUnavailableError):
        await house.source.call_tool(caller("mcp:s"), wanting(a=1))


async def test_a_server_that_fails_again_and_again_is_left_alone_for_a_while() -> None:
    house = await house_of()
    house.ports["s"].answer = UpstreamUnavailableError("x", upstream="s")
    for _ in range(5):
        with pytest.raises(UpstreamUnavailableError, match="x"):
            await house.source.call_tool(caller("mcp:s"), wanting(a=1))
    asked = len(house.ports["s"].asked)
    with pytest.raises(UpstreamUnavailableError, match="left alone") as refused:
        await house.source.call_tool(caller("mcp:s"), wanting(a=1))
    assert refused.value.retry_after_s
    assert len(house.ports["s"].asked) == asked


async def test_resources_and_prompts_are_named_by_their_server_and_asked_by_their_own_names() -> None:
    port = FakeServer()
    port.prompts = ({"name": "greet", "arguments": [{"name": "who", "required": True}]},)
    port.resources = ({"uri": "file:///a b", "name": "a"},)
    port.templates = ({"uriTemplate": "file:///t/{name}", "name": "t"},)
    house = await house_of(port)
    (prompt,) = await house.source.prompts(principal("mcp:s"))
    (resource,) = await house.source.resources(principal("mcp:s"))
    (template,) = await house.source.resource_templates(principal("mcp:s"))
    assert prompt.name == "s__greet"
    assert template.uri_template == "macroslow://servers/s/file%3A%2F%2F%2Ft%2F{name}"
    port.answer = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi\u200b"}}]}
    params = types.GetPromptRequestParams(name="s__greet", arguments={"who": "x"})
    got = await house.source.get_prompt(caller("mcp:s"), params)
    assert got is not None
    assert got.messages[0].content.text == "hi"
    port.answer = {"contents": [{"uri": "file:///elsewhere", "text": "x"}]}
    for uri, theirs in (
        (str(resource.uri), "file:///a b"),
        ("macroslow://servers/s/file%3A%2F%2F%2Ft%2Fx", "file:///t/x"),
    ):
        read = await house.source.read_resource(caller("mcp:s"), types.ReadResourceRequestParams(uri=uri))
        assert read is not None
        assert read.contents[0].uri == uri
        assert port.asked[-1][0] == theirs
    for uri in (
        "macroslow://servers/s/file%3A%2F%2F%2Fother",
        "macroslow://servers/s/file%3A%2F%2F%2Ft%2F..%2Fx",
    ):
        params = types.ReadResourceRequestParams(uri=uri)
        assert await house.source.read_resource(caller("mcp:s"), params) is None
    assert (
        await house.source.read_resource(caller(), types.ReadResourceRequestParams(uri=str(resource.uri)))
        is None
    )


async def test_links_to_a_servers_own_resources_become_ours() -> None:
    house = await house_of()
    house.ports["s"].answer = {
        "content": [
            {"type": "resource_link", "uri": "file:///x", "name": "x"},
            {"type": "resource_link", "uri": "https://example.com/x", "name": "y"},
        ]
    }
    found = await house.source.call_tool(caller("mcp:s"), wanting("s__say"))
    assert found is not None
    assert [block.uri for block in found.content] == [
        "macroslow://servers/s/file%3A%2F%2F%2Fx",
        "https://example.com/x",
    ]


async def test_n23_what_a_server_says_of_its_tools_changes_nothing_that_is_checked() -> None:
    house = await house_of(
        FakeServer({**ADD, "annotations": {"readOnlyHint": True, "destructiveHint": False}})
    )
    (shown,) = await house.source.tools(principal("mcp:s"))
    assert shown.annotations is not None
    assert shown.annotations.read_only_hint
    assert await house.source.call_tool(caller(), wanting(a=1)) is None
    await house.source.call_tool(caller("mcp:s"), wanting(a=1))
    assert len(await house.events(EventType.MCP_FORWARDED)) == 1
