"""The tool for one's own spending: GET /v1/usage in its shape."""

from pathlib import Path

import pytest
from tests.services.agents.asking import Use, using
from tests.services.house import ANN, BOB, open_house

from macroslow.errors import BadRequestError

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}


async def test_usage_is_the_callers_own_and_what_is_left(tmp_path: Path) -> None:
    async with open_house(tmp_path, budgets={ANN.account: 1_000_000}) as house:
        use = using(house)
        said = await use("complete_chat", **ASK)
        mine, theirs = await use("usage"), await use("usage", BOB)
        assert mine == {**await house.usage.own(ANN), "principal": "ann"}
    assert mine["usd_micros"] == said["usd_micros"]
    assert [row["model"] for row in mine["by_model"]] == ["gpt-4o"]
    [budget] = mine["budgets"]
    assert budget["left_usd_micros"] == 1_000_000 - said["usd_micros"]
    assert (theirs["principal"], theirs["usd_micros"], theirs["by_model"]) == ("bob", 0, [])


async def test_days_bound_it(use: Use) -> None:
    await use("complete_chat", **ASK)
    told = await use("usage", **{"from": "2020-01-01", "to": "2020-01-31"})
    assert (told["from"], told["to"], told["usd_micros"]) == ("2020-01-01", "2020-01-31", 0)


@pytest.mark.parametrize(
    "span",
    [{"from": "yesterday"}, {"to": "2026-13-01"}, {"from": "2026-02-01", "to": "2026-01-01"}],
    ids=range(3),
)
async def test_what_is_no_span_is_refused(use: Use, span: dict[str, str]) -> None:
    with pytest.raises(BadRequestError):
        await use("usage", **span)
