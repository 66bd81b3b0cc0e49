"""The looks at other servers go on whatever one of them does, and what it says reaches nobody as it is."""

import asyncio
import logging
from typing import Any

import pytest
from tests.services.upstreams.fake_server import ADD, SAY, FakeServer, Servers, caller, principal, wanting

from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.mcp.pins import Kind, Place, State
from macroslow.mcp.upstream import Found
from macroslow.services.upstreams import offers
from macroslow.services.upstreams.watch_servers import MAX_TOLD
from macroslow.tlog.event import EventType

ORDERS = "refused:\x1b[2J\nERROR forged\u200b\u202e <important>"
UNUSABLE = {"name": "t", "inputSchema": {"type": "object", "properties": {"a": {"pattern": "[\u200b]"}}}}


class Defective(FakeServer):
    """A look at it ends in a way that nobody foresaw."""

    async def discover(self) -> Found:
        raise RecursionError("secret words")


class LookedAt(FakeServer):
    """Tells when it was looked at for the second time; it says at once that something changed."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.again = asyncio.Event()

    async def discover(self) -> Found:
        self.looks += 1
        if self.looks > 1:
            self.again.set()
        return await super().discover()


async def test_a_defect_in_the_look_at_one_server_ends_the_look_at_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = LookedAt()
    house = Servers(bad=Defective(), good=good)
    watching = asyncio.create_task(house.watch.run())
    await asyncio.wait([watching, asyncio.create_task(good.again.wait())], return_when="FIRST_COMPLETED")
    assert not watching.done()
    watching.cancel()
    await asyncio.wait([watching])
    assert "RecursionError" in house.watched["bad"].trouble
    assert "RecursionError" in caplog.text
    assert "secret words" not in caplog.text


async def test_what_a_server_says_of_its_trouble_is_cleaned_for_operator_log_and_model(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = await Servers(s=FakeServer()).approved()
    house.ports["s"].tools = ({**ADD, "description": "Other."}, SAY)
    await house.watch.look(house.watched["s"])
    house.ports["s"].down = UpstreamRefusedError(ORDERS, upstream="s", status=1)
    with pytest.raises(UpstreamRefusedError) as refused:
        await house.verbs.diff("s")
    with pytest.raises(UpstreamUnavailableError) as told:
        await house.source.call_tool(caller("mcp:s"), wanting("s__add", a=1))
    with caplog.at_level(logging.WARNING):
        watching = asyncio.create_task(house.watch.run())
        while "cannot be looked at" not in caplog.text:
            await asyncio.sleep(0)
        watching.cancel()
        await asyncio.wait([watching])
    (listed,) = (await house.verbs.list())["servers"]  # type: ignore[index]
    for words in (refused.value.detail, str(refused.value), told.value.detail, listed["trouble"]):
        assert words == "refused:[2J ERROR forged <important>"
    assert ORDERS not in caplog.text
    assert "refused:[2J ERROR forged <important>" in caplog.text


async def test_a_schema_that_cleaning_breaks_is_unfit_and_the_rest_is_approved() -> None:
    house = await Servers(s=FakeServer(UNUSABLE, SAY)).approved()
    standings = {one.place.name: one.state for one in house.watched["s"].standings}
    assert standings == {"": State.APPROVED, "t": State.UNFIT, "say": State.APPROVED}
    assert Place(Kind.TOOL, "t") not in house.store.kept["s"]


async def test_a_pin_that_was_saved_and_cannot_be_offered_is_unfit_and_harms_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await Servers(s=FakeServer(ADD, SAY)).approved()
    again = Servers(s=FakeServer(ADD, SAY), approved=house.store.kept)
    usable = offers.BoundedSchema

    def choosy(schema: dict[str, Any]) -> offers.BoundedSchema:
        if "properties" in schema:
            raise offers.UnusableSchemaError("of a later version")
        return usable(schema)

    monkeypatch.setattr(offers, "BoundedSchema", choosy)
    await again.watch.look(again.watched["s"])
    assert [tool.name for tool in await again.source.tools(principal("mcp:s"))] == ["s__say"]
    assert {one.place.name: one.state for one in again.watched["s"].standings}["add"] is State.UNFIT


async def test_of_two_approvals_at_once_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    house = Servers(s=FakeServer())
    first = await house.verbs.diff("s", ["add"])
    second = await house.verbs.diff("s", ["say"])
    commit = house.books.commit

    async def slow(*changes: Any) -> Any:
        for _ in range(10):
            await asyncio.sleep(0)
        return await commit(*changes)

    monkeypatch.setattr(house.books, "commit", slow)
    await asyncio.gather(
        house.verbs.approve("s", first["digest"], ["add"]),  # type: ignore[index]
        house.verbs.approve("s", second["digest"], ["say"]),  # type: ignore[index]
    )
    assert {place.name for place in house.watched["s"].approved} == {"", "add", "say"}
    assert house.store.kept["s"] == house.watched["s"].approved


async def test_who_changes_again_and_again_is_told_of_a_few_times_and_then_when_the_hour_is_over() -> None:
    house = Servers(s=FakeServer())
    for n in range(MAX_TOLD + 5):
        house.ports["s"].tools = ({**SAY, "name": f"t{n}"},)
        await house.watch.look(house.watched["s"])
    assert len(house.outlet.sent) == len(await house.events(EventType.MCP_BLOCKED)) == MAX_TOLD
    house.clock.time_ns += 3600 * 10**9
    await house.watch.look(house.watched["s"])
    told = await house.events(EventType.MCP_BLOCKED)
    assert [item["name"] for item in told[-1]["items"]] == ["", f"t{MAX_TOLD + 4}"]
