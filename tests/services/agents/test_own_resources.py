"""Resources over the protocol and a real house: one's own runs, and no path to anything else (N18, N20)."""

import json
from functools import partial

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from tests.mcp.fakes import ERAS, Site
from tests.services.agents.asking import Use
from tests.services.house import ANN, BOB, House, paper

from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.mcp.own_resources import OwnResources
from macroslow.services.agents.own_resources import AgentResources
from macroslow.services.calls.list_models import ListModels
from macroslow.services.proofs.read_tiles import ReadTiles
from macroslow.tlog.checkpoint import verify_checkpoint
from macroslow.tlog.tiles import CHECKPOINT

PAPER = paper("x").decode()
RUN = "macroslow://runs/{id}"


def site_of(house: House, *, log_is_public: bool = False) -> Site:
    quote = house.chat.quote
    checkpoint = partial(ReadTiles(house.books, house.checkpoints), CHECKPOINT)
    resources = AgentResources(
        house.runs, ListModels(quote.providers, quote.catalogue), checkpoint, "# MAML", log_is_public
    )
    site = Site(OwnResources(resources.readers, resources.run_ids))
    site.principal = ANN
    return site


@ERAS
async def test_resources_are_listed_by_scope(house: House, era: str) -> None:
    site = site_of(house)
    async with site.client(era) as client:
        assert {str(each.uri) for each in (await client.list_resources()).resources} == {
            "macroslow://runs",
            "macroslow://models",
            "macroslow://log/checkpoint",
            "macroslow://reference/maml",
        }
        templates = (await client.list_resource_templates()).resource_templates
        assert {each.uri_template for each in templates} == {RUN, f"{RUN}/document"}
    site.principal = Principal("eve", "key/eve", scopes=frozenset({scopes.MCP_CONNECT}))
    async with site.client(era) as client:
        [only] = (await client.list_resources()).resources
        assert str(only.uri) == "macroslow://reference/maml"
        assert (await client.list_resource_templates()).resource_templates == []
        for uri in ("macroslow://runs", "macroslow://models", "macroslow://log/checkpoint"):
            with pytest.raises(MCPError, match="unknown resource"):
                await client.read_resource(uri)


@ERAS
async def test_each_resource_is_read_by_its_owner(house: House, use: Use, era: str) -> None:
    run_id = (await use("run_document", document=PAPER))["run_id"]
    async with site_of(house).client(era) as client:

        async def read(uri: str) -> str:
            [contents] = (await client.read_resource(uri)).contents
            assert contents.uri == uri
            return contents.text

        assert json.loads(await read("macroslow://runs"))["runs"] == (await use("list_runs"))["runs"]
        run = json.loads(await read(f"macroslow://runs/{run_id}"))
        assert (run["state"], run["answer"]["result"]) == ("success", {"sum": 42})
        assert await read(f"macroslow://runs/{run_id}/document") == PAPER
        assert json.loads(await read("macroslow://models")) == await use("list_models")
        assert await read("macroslow://reference/maml") == "# MAML"
        signed = await read("macroslow://log/checkpoint")
        assert verify_checkpoint(signed.encode(), house.log_key).size == (await house.books.head()).size


@ERAS
async def test_n18_anothers_run_is_like_none(house: House, use: Use, era: str) -> None:
    run_id = (await use("run_document", document=PAPER))["run_id"]
    site = site_of(house)
    site.principal = BOB
    async with site.client(era) as client:
        told = set()
        for uri in (f"macroslow://runs/{run_id}", f"macroslow://runs/{'0' * 32}"):
            for end in ("", "/document"):
                with pytest.raises(MCPError) as refused:
                    await client.read_resource(uri + end)
                assert refused.value.error.code == types.INVALID_PARAMS
                told.add(refused.value.error.message)
        assert len(told) == 1
        assert json.loads((await client.read_resource("macroslow://runs")).contents[0].text) == {"runs": []}
        completed = await client.complete(
            types.ResourceTemplateReference(uri=RUN), {"name": "id", "value": ""}
        )
        assert completed.completion.values == []


@ERAS
@pytest.mark.parametrize(
    "uri",
    [
        "macroslow://runs/../log/checkpoint",
        "macroslow://runs/%2e%2e/log/checkpoint",
        "macroslow://runs/{id}",
        "macroslow://runs/ID\x00",
        "macroslow://runs/ID\n",
        "macroslow://runs/ID/",
        "macroslow://runs/ID/document/..",
        "macroslow://runs/ID/history",
        "macroslow://runs//etc/passwd",
        "macroslow:///etc/passwd",
        "macroslow://reference/../../docs/problems.md",
        "macroslow://reference/maml?x=1",
        "macroslow://reference/maml#x",
        "MACROSLOW://reference/maml",
        "macroslow://reference/maml\x00.md",
        " macroslow://reference/maml",
        "file:///etc/passwd",
        "/etc/passwd",
        "\\\\host\\share",
        "http://169.254.169.254/",
        "",
        "macroslow://runs/" + "a" * 100_000,
        "macroslow://runs/\u0660" + "0" * 31,
    ],
    ids=range(23),
)
async def test_n20_no_other_uri_leads_anywhere(house: House, use: Use, era: str, uri: str) -> None:
    run_id = (await use("run_document", document=PAPER))["run_id"]
    async with site_of(house).client(era) as client:
        with pytest.raises(MCPError, match="unknown resource: ") as refused:
            await client.read_resource(uri.replace("ID", run_id))
    assert refused.value.error.code == types.INVALID_PARAMS
    assert len(refused.value.error.message) < 250


@ERAS
async def test_ids_of_runs_are_completed(house: House, use: Use, era: str) -> None:
    ids = {(await use("run_document", document=PAPER))["run_id"] for _ in range(3)}
    async with site_of(house).client(era) as client:

        async def completed(uri: str, name: str, begun: str) -> list[str]:
            ref = types.ResourceTemplateReference(uri=uri)
            return (await client.complete(ref, {"name": name, "value": begun})).completion.values

        assert set(await completed(RUN, "id", "")) == ids
        assert set(await completed(f"{RUN}/document", "id", "")) == ids
        one = min(ids)
        assert await completed(RUN, "id", one) == [one]
        for uri, name, begun in (
            (RUN, "id", "zzz"),
            (RUN, "other", ""),
            ("macroslow://x/{id}", "id", ""),
            ("macroslow://runs", "id", ""),
        ):
            assert await completed(uri, name, begun) == []


async def test_a_public_log_is_everybodys_to_read(house: House) -> None:
    await house.note()
    site = site_of(house, log_is_public=True)
    site.principal = Principal("eve", "key/eve", scopes=frozenset({scopes.MCP_CONNECT}))
    async with site.client() as client:
        assert (await client.read_resource("macroslow://log/checkpoint")).contents[0].text
