"""The composed server as the official client sees it, in both eras."""

import asyncio

import mcp_types as types
import pytest
from mcp.client.client import Client
from mcp.server.subscriptions import SubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ToolsListChanged
from pydantic import ValidationError
from tests.mcp.fakes import ANN, ERAS, Site, Tools

from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.errors import BadRequestError, LogUnavailableError, MacroslowError, NotFoundError
from macroslow.mcp.listeners import MAX_STREAMS_OF_ONE
from macroslow.mcp.own_tools import OwnTools
from macroslow.mcp.source import Caller, Source

BOB = Principal("bob", "key/bob", scopes=frozenset({scopes.MCP_CONNECT}))


class Shelf(Source):
    """One of everything, under a name; `outcome` is what it does when it is asked."""

    def __init__(self, name: str, outcome: BaseException | None = None) -> None:
        self.name = name
        self.outcome = outcome
        self.bus: SubscriptionBus | None = None

    def join(self, bus: SubscriptionBus) -> None:
        self.bus = bus

    async def tools(self, principal):
        return [types.Tool(name=self.name, input_schema={"type": "object"})] if principal == ANN else []

    async def call_tool(self, caller, params):
        return self._answer(params.name, lambda text: types.CallToolResult(content=[text]))

    async def resources(self, principal):
        return [types.Resource(uri=f"x://{self.name}", name=self.name)]

    async def resource_templates(self, principal):
        return [types.ResourceTemplate(uri_template=f"x://{self.name}/{{id}}", name=self.name)]

    async def read_resource(self, caller, params):
        contents = types.TextResourceContents(uri=params.uri, text=self.name)
        return self._answer(
            params.uri.removeprefix("x://"), lambda _: types.ReadResourceResult(contents=[contents])
        )

    async def prompts(self, principal):
        return [types.Prompt(name=self.name)]

    async def get_prompt(self, caller, params):
        return self._answer(
            params.name,
            lambda text: types.GetPromptResult(messages=[types.PromptMessage(role="user", content=text)]),
        )

    async def complete(self, caller: Caller, params):
        return self._answer(params.ref.name, lambda text: types.Completion(values=[text.text]))

    def _answer(self, asked, make):
        if asked != self.name:
            return None
        if self.outcome is not None:
            raise self.outcome
        return make(types.TextContent(type="text", text=self.name))


@ERAS
async def test_a_server_offers_what_its_sources_offer_in_their_order(era: str) -> None:
    async with Site(Shelf("one"), Source(), Shelf("two")).client(era) as client:
        assert [each.name for each in (await client.list_tools()).tools] == ["one", "two"]
        assert [each.name for each in (await client.list_prompts()).prompts] == ["one", "two"]
        assert [each.name for each in (await client.list_resources()).resources] == ["one", "two"]
        listed = await client.list_resource_templates()
        assert [each.name for each in listed.resource_templates] == ["one", "two"]


@ERAS
async def test_the_source_that_knows_it_answers(era: str) -> None:
    async with Site(Shelf("one"), Source(), Shelf("two")).client(era) as client:
        for name in ("one", "two"):
            assert (await client.call_tool(name, {})).content[0].text == name
            assert (await client.read_resource(f"x://{name}")).contents[0].text == name
            assert (await client.get_prompt(name)).messages[0].content.text == name
            ref = types.PromptReference(name=name)
            assert (await client.complete(ref, {"name": "a", "value": ""})).completion.values == [name]


@ERAS
async def test_what_no_source_knows_is_unknown_and_told_in_bounded_length(era: str) -> None:
    name = "n" * 5000
    async with Site(Shelf("one")).client(era) as client:
        for asking, kind in (
            (client.call_tool(name, {}), "tool"),
            (client.read_resource(f"x://{name}"), "resource"),
            (client.get_prompt(name), "prompt"),
        ):
            with pytest.raises(MCPError, match=f"unknown {kind}: ") as refused:
                await asking
            assert refused.value.error.code == types.INVALID_PARAMS
            assert len(refused.value.error.message) < 250
        completed = await client.complete(types.PromptReference(name=name), {"name": "a", "value": ""})
        assert completed.completion.values == []


@ERAS
async def test_a_cursor_is_not_ours_since_lists_have_one_page(era: str) -> None:
    async with Site(Shelf("one")).client(era) as client:
        assert (await client.list_tools()).next_cursor is None
        for listing in (
            client.list_tools,
            client.list_prompts,
            client.list_resources,
            client.list_resource_templates,
        ):
            with pytest.raises(MCPError, match="unknown cursor") as refused:
                await listing(cursor="2")
            assert refused.value.error.code == types.INVALID_PARAMS


async def asked_of_all(client: Client, name: str) -> list[MCPError]:
    """The errors of everything but a tool that a source may be asked for."""
    errors = []
    for asking in (
        client.read_resource(f"x://{name}"),
        client.get_prompt(name),
        client.complete(types.PromptReference(name=name), {"name": "a", "value": ""}),
    ):
        with pytest.raises(MCPError) as refused:
            await asking
        errors.append(refused.value)
    return errors


@ERAS
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("no such run", fix="list them"), types.INVALID_PARAMS),
        (BadRequestError("not so", fix="so"), types.INVALID_PARAMS),
        (LogUnavailableError("the log is full", fix="ask the operator"), types.INTERNAL_ERROR),
    ],
    ids=["not-found", "bad-request", "log"],
)
async def test_refusals_have_a_code_and_their_words(era: str, error: MacroslowError, code: int) -> None:
    site = Site(Shelf("one", error))
    async with site.client(era) as client:
        for refused in await asked_of_all(client, "one"):
            assert refused.error.code == code
            assert refused.error.message == f"{error.title}: {error.detail}\nfix: {error.fix}"
            assert refused.error.data == {"type": error.code}
        called = await client.call_tool("one", {})
        assert called.is_error
        assert called.content[0].text == f"{error.title}: {error.detail}\nfix: {error.fix}"
    assert site.reported == []


@ERAS
async def test_a_defect_tells_nothing_of_itself_but_is_reported(era: str) -> None:
    defect = ValueError("sk-secret in the text of an exception")
    site = Site(Shelf("one", defect))
    async with site.client(era) as client:
        refusals = await asked_of_all(client, "one")
        with pytest.raises(MCPError) as refused:
            await client.call_tool("one", {})
    for each in (*refusals, refused.value):
        assert "sk-secret" not in str(each.error)
        assert each.error.code == types.INTERNAL_ERROR
    methods = ["resources/read", "prompts/get one", "completion/complete", "tools/call one"]
    assert site.reported == [(method, defect) for method in methods]


Odd = types.Request[dict[str, object], str]


@ERAS
async def test_what_we_make_unfit_is_our_fault_and_what_came_unfit_is_not(era: str) -> None:
    with pytest.raises(ValidationError) as made:
        types.Tool(name=7)  # type: ignore[call-arg, arg-type]
    site = Site(Shelf("one", made.value))
    async with site.client(era) as client:
        for refused in await asked_of_all(client, "one"):
            assert refused.error.code == types.INTERNAL_ERROR
        assert {error for _, error in site.reported} == {made.value}
        site.reported.clear()
        with pytest.raises(MCPError) as refused:
            await client.session.send_request(
                Odd(method="tools/call", params={"name": 7}), types.CallToolResult
            )
    assert refused.value.error.code == types.INVALID_PARAMS
    assert site.reported == []


@ERAS
async def test_what_the_protocol_has_a_code_for_goes_on_as_it_is(era: str) -> None:
    own = MCPError(-32042, "in the protocol's words", {"a": 1})
    async with Site(Shelf("one", own)).client(era) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("one", {})
    assert (refused.value.error.code, refused.value.error.data) == (-32042, {"a": 1})


async def test_what_is_listed_may_be_kept_by_who_asked_and_by_nobody_else() -> None:
    """N21: lists differ by principal."""
    site = Site(Shelf("one"))
    async with site.client() as client:
        asked = [await client.list_tools(), await client.list_prompts(), await client.list_resources()]
        asked += [await client.list_resource_templates(), await client.read_resource("x://one")]
        assert {each.cache_scope for each in asked} == {"private"}
        assert all(each.ttl_ms >= 0 for each in asked)
        assert asked[-1].ttl_ms == 0
        assert len((await client.list_tools(cache_mode="bypass")).tools) == 1
        site.principal = BOB
        assert (await client.list_tools(cache_mode="bypass")).tools == []


async def test_who_listens_hears_of_changed_lists() -> None:
    shelf = Shelf("one")
    async with Site(shelf).client() as client, client.listen(tools_list_changed=True) as events:
        assert shelf.bus is not None
        await shelf.bus.publish(ToolsListChanged())
        assert await asyncio.wait_for(anext(aiter(events)), 5) == ToolsListChanged()


async def test_one_principal_cannot_use_up_all_streams() -> None:
    site = Site(Shelf("one"))
    async with site.client() as client, asyncio.timeout(20):
        stack = [client.listen(tools_list_changed=True) for _ in range(MAX_STREAMS_OF_ONE)]
        for each in stack:
            await each.__aenter__()
        with pytest.raises(MCPError, match="already listens on 16 streams"):
            await client.listen(tools_list_changed=True).__aenter__()
        site.principal = BOB
        async with client.listen(tools_list_changed=True):
            pass
        site.principal = ANN
        await stack.pop().__aexit__(None, None, None)
        async with client.listen(tools_list_changed=True):
            pass
        for each in stack:
            await each.__aexit__(None, None, None)


async def test_closing_ends_the_streams() -> None:
    site = Site(Shelf("one"))
    async with asyncio.timeout(10), site.client() as client, client.listen(tools_list_changed=True) as events:
        site.composed.close()
        assert [each async for each in events] == []


def test_a_server_says_which_scope_a_tool_of_ours_needs() -> None:
    composed = Site(Shelf("one"), OwnTools(Tools().handlers)).composed
    assert composed.scope_of("run_document") == scopes.DOCUMENTS_EXECUTE
    assert composed.scope_of("one") is composed.scope_of("nonsense") is None


async def test_the_server_speaks_of_itself_in_both_eras() -> None:
    site = Site(Shelf("one"))
    for era in ("auto", "legacy"):
        async with site.client(era) as client:
            told = client.server_info
            assert (told.name, told.title, told.version) == ("macroslow", "Macroslow", "1.2.3")
            assert client.instructions
