"""Tools for agents: the use cases themselves, with whatever a provider says in a shape that they can read."""

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from tests.services.house import ANN, BOB, House, open_house, paper
from tests.services.model_fakes import ScriptedProvider, chat_on

from macroslow.errors import BadRequestError, InvalidDocumentError, UpstreamError, UpstreamRefusedError
from macroslow.inference.ports import ProviderAnswer
from macroslow.mcp.catalogue import TOOLS
from macroslow.tlog import receipt

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(None)


@pytest.fixture
async def house(tmp_path: Path, provider: ScriptedProvider) -> AsyncIterator[House]:
    async with open_house(tmp_path, chat=lambda books: chat_on(books, provider)) as opened:
        yield opened


def test_every_tool_of_the_catalogue_has_its_handler(house: House) -> None:
    assert set(house.tools.handlers) == {tool.name for tool in TOOLS}


async def test_a_document_is_run_as_by_execute(house: House) -> None:
    answer = await house.tools.run_document(ANN, {"document": paper("x").decode(), "inputs": {"a": 1}})
    assert answer["status"] == "success"
    receipt.verify(orjson.dumps(answer["receipt"]), house.log_key, answer=orjson.dumps(answer))


async def test_a_document_is_checked_as_by_validate(house: House) -> None:
    told = await house.tools.validate_document(ANN, {"document": paper("x").decode()})
    assert (told["valid"], told["origin"], len(told["blocks"])) == (True, "agent://tester", 1)
    assert (await house.books.head()).size == 0
    with pytest.raises(InvalidDocumentError):
        await house.tools.validate_document(ANN, {"document": "x"})


async def test_half_of_a_surrogate_pair_is_no_text(house: House) -> None:
    for tool in (house.tools.run_document, house.tools.validate_document):
        with pytest.raises(BadRequestError):
            await tool(ANN, {"document": "\ud800"})


async def test_a_chat_is_answered_with_its_cost(house: House) -> None:
    said = await house.tools.complete_chat(ANN, ASK)
    assert said["choices"][0]["message"]["content"] == "hello world"
    assert said["usd_micros"] > 0


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error": {"message": "no such thing"}}', "no such thing"),
        (b'{"error": "plain"}', "plain"),
        (b'{"message": "odd"}', "odd"),
        (b'{"error": {"message": "%s"}}' % (b"x" * 5000), "x" * 1000),
        (b'{"error": {"message": 5}}', "status 400"),
        (b'{"error": null}', "status 400"),
        (b"[]", "status 400"),
        (b"null", "status 400"),
        (b"", "status 400"),
        (b"<html>", "status 400"),
        (b"\xff", "status 400"),
    ],
)
async def test_a_refusal_is_told_whatever_its_shape(house, provider, body: bytes, told: str) -> None:
    provider.script = lambda _: ProviderAnswer(400, {"content-type": "text/html"}, body)
    with pytest.raises(UpstreamRefusedError) as refused:
        await house.tools.complete_chat(ANN, ASK)
    assert refused.value.detail.endswith(told)
    assert (refused.value.status, len(refused.value.detail) <= 1000) == (400, True)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>"])
async def test_an_answer_that_is_none_is_an_error_and_no_crash(house, provider, body: bytes) -> None:
    provider.script = lambda _: ProviderAnswer(200, {}, body)
    with pytest.raises(UpstreamError):
        await house.tools.complete_chat(ANN, ASK)


async def test_usage_is_the_callers_own(house: House) -> None:
    await house.tools.complete_chat(ANN, ASK)
    mine = await house.tools.usage(ANN, {"by": "model"})
    assert [row["calls"] for row in mine["rows"]] == [1]
    assert (await house.tools.usage(BOB, {"by": "model"}))["rows"] == []
    assert (await house.tools.usage(BOB, {}))["by"] == "key"
