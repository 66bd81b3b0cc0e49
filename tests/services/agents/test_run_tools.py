"""Tools for runs: one's own, and nobody else's (N18)."""

import asyncio
import re

import pytest
from tests.services.agents.asking import Use
from tests.services.house import ANN, BOB, House, paper

from macroslow.errors import ConflictError, NotFoundError

PAPER = paper("x").decode()
NOBODYS = "0" * 32


async def test_runs_are_listed_the_newest_first_and_as_many_as_are_asked_for(use: Use) -> None:
    ids = [(await use("run_document", document=PAPER))["run_id"] for _ in range(3)]
    listed = (await use("list_runs"))["runs"]
    assert sorted(run["run_id"] for run in listed) == sorted(ids)
    assert len((await use("list_runs", limit=2))["runs"]) == 2
    assert (await use("list_runs", BOB))["runs"] == []


async def test_a_run_has_a_state_and_then_a_result(house: House, use: Use) -> None:
    house.sandbox.hold = asyncio.Event()
    running = asyncio.create_task(use("run_document", document=PAPER))
    await house.sandbox.started.wait()
    [under_way] = (await use("list_runs"))["runs"]
    run_id = under_way["run_id"]
    assert (under_way["state"], under_way["finished_at"], under_way["finished_index"]) == (
        "running",
        None,
        None,
    )
    assert await use("get_run_result", run_id=run_id) == {
        "run_id": run_id,
        "state": "running",
        "answer": None,
    }
    house.sandbox.hold.set()
    answer = await running
    assert (await use("get_run", run_id=run_id))["state"] == "success"
    kept = (await use("get_run_result", run_id=run_id))["answer"]
    assert kept == {name: value for name, value in answer.items() if name != "receipt"}


async def test_a_run_is_stopped_once(house: House, use: Use) -> None:
    house.sandbox.hold = asyncio.Event()
    running = asyncio.create_task(use("run_document", document=PAPER))
    await house.sandbox.started.wait()
    [run] = (await use("list_runs"))["runs"]
    with pytest.raises(NotFoundError):
        await use("cancel_run", BOB, run_id=run["run_id"])
    assert await use("cancel_run", run_id=run["run_id"]) == {"run_id": run["run_id"], "cancelling": True}
    assert (await running)["status"] == "failed"
    with pytest.raises(ConflictError, match="the run has ended"):
        await use("cancel_run", run_id=run["run_id"])


@pytest.mark.parametrize("name", ["get_run", "get_run_result", "cancel_run"])
async def test_n18_anothers_run_is_like_none(use: Use, name: str) -> None:
    run_id = (await use("run_document", document=PAPER))["run_id"]
    told = []
    for principal, asked in ((BOB, run_id), (BOB, NOBODYS), (ANN, NOBODYS)):
        with pytest.raises(NotFoundError) as refused:
            await use(name, principal, run_id=asked)
        told.append((refused.value.detail, refused.value.fix))
    assert len(set(told)) == 1


async def test_n18_ids_are_of_128_random_bits(use: Use) -> None:
    ids = {(await use("run_document", document=PAPER))["run_id"] for _ in range(5)}
    assert len(ids) == 5
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)
