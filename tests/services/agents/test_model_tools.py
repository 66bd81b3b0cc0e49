"""Tools for models: paid calls with whatever a provider says in a shape that a model can read."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from tests.services.agents.asking import Use, using
from tests.services.house import ANN, House, open_house
from tests.services.model_fakes import DONE, ScriptedProvider, answer, chat_on, delta, usage_event

from macroslow.errors import (
    BadRequestError,
    BudgetExhaustedError,
    ModelNotFoundError,
    UpstreamError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from macroslow.inference.ports import ProviderAnswer

HELLO = {"role": "user", "content": "hi"}
ASK = {"model": "gpt-4o", "messages": [HELLO], "max_tokens": 10}


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(None)


@pytest.fixture
async def house(tmp_path: Path, provider: ScriptedProvider) -> AsyncIterator[House]:
    budgets = {ANN.account: 100_000}
    async with open_house(tmp_path, chat=lambda books: chat_on(books, provider), budgets=budgets) as opened:
        yield opened


@pytest.fixture
def use(house: House) -> Use:
    return using(house)


async def test_a_chat_is_answered_with_its_cost_and_its_entry(house: House, use: Use) -> None:
    said = await use("complete_chat", **ASK)
    assert said["choices"][0]["message"]["content"] == "hello world"
    assert said["usd_micros"] > 0
    [event] = await house.events()
    assert event["request_id"] == "r1"
    proved = await use("prove_entry", log_index=said["log_index"])
    assert proved["receipt"]["statement"]["details"]["usd_micros"] == said["usd_micros"]


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
    ids=range(11),
)
async def test_a_refusal_is_told_whatever_its_shape(use, provider, body: bytes, told: str) -> None:
    provider.script = lambda _: ProviderAnswer(400, {"content-type": "text/html"}, body)
    with pytest.raises(UpstreamRefusedError) as refused:
        await use("complete_chat", **ASK)
    assert refused.value.detail.endswith(told)
    assert (refused.value.status, len(refused.value.detail) <= 1000) == (400, True)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>"], ids=range(4))
async def test_an_answer_that_is_none_is_an_error_and_no_crash(use, provider, body: bytes) -> None:
    provider.script = lambda _: ProviderAnswer(200, {}, body)
    with pytest.raises(UpstreamError):
        await use("complete_chat", **ASK)


@pytest.mark.parametrize(
    "odd", [{}, {"choices": {}}, {"id": 7, "choices": [7]}, {"usd_micros": "free"}], ids=range(4)
)
async def test_an_odd_answer_goes_on_with_our_own_cost(use: Use, provider, odd: dict[str, object]) -> None:
    provider.script = lambda _: ProviderAnswer(200, {}, orjson.dumps(odd))
    said = await use("complete_chat", **ASK)
    assert said == {**odd, "usd_micros": said["usd_micros"], "log_index": said["log_index"]}


async def test_what_does_not_fit_the_budget_is_not_sent(use: Use, provider: ScriptedProvider) -> None:
    with pytest.raises(BudgetExhaustedError):
        await use("complete_chat", **{**ASK, "max_tokens": 4000, "model": "gpt-4"})
    assert provider.bodies == []


async def test_n14_a_caller_that_goes_away_stops_the_call_and_the_bill(house, use, provider) -> None:
    provider.hold = asyncio.Event()
    asking = asyncio.create_task(use("complete_chat", **ASK))
    while not provider.under_way:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert provider.under_way == 0
    await house.chat.close()
    account = await house.books.account(ANN.account)
    assert account.held_usd_micros == 0
    [event] = await house.events()
    assert event["request_id"] == "r1"


async def test_tokens_are_counted_and_nothing_is_sent(house: House, use: Use, provider) -> None:
    told = await use("count_tokens", model="gpt-4o", messages=[HELLO])
    assert (told["model"], told["exact"]) == ("gpt-4o", True)
    assert 0 < told["input_tokens"] < 20
    assert told["most_usd_micros"] > 0
    longer = await use("count_tokens", model="gpt-4o", messages=[{**HELLO, "content": "hi " * 1000}])
    assert longer["input_tokens"] > 1000
    assert longer["most_usd_micros"] > told["most_usd_micros"]
    assert provider.bodies == []
    assert (await house.books.head()).size == 0


@pytest.mark.parametrize("name", ["complete_chat", "count_tokens"])
async def test_a_model_that_is_not_served_is_named_as_such(use: Use, name: str) -> None:
    with pytest.raises(ModelNotFoundError) as refused:
        await use(name, model="no-such-model", messages=[HELLO])
    assert "list_models" in refused.value.fix
    assert "/v1/" not in refused.value.fix


@pytest.mark.parametrize("name", ["complete_chat", "count_tokens"])
async def test_half_of_a_surrogate_pair_is_no_text(use: Use, name: str) -> None:
    with pytest.raises(BadRequestError, match="half of a surrogate pair"):
        await use(name, model="gpt-4o", messages=[{**HELLO, "content": "\ud800"}])


async def test_the_models_are_listed_with_their_prices(use: Use) -> None:
    listed = {one["id"]: one for one in (await use("list_models"))["models"]}
    told = listed["gpt-4o"]
    assert (told["provider"], "chat.completions" in told["operations"]) == ("openai", True)
    assert 0 < told["input_usd_micros"] < told["output_usd_micros"]
    assert {one["provider"] for one in listed.values()} == {"openai"}  # the only one that is wired


# Streamed, for those who want to know how far it is.

WORDS = [f"word{number} " for number in range(40)]


class Heard:
    """Who hears of progress."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float | None, str]] = []

    async def __call__(self, done: float, total: float | None, words: str) -> None:
        self.steps.append((done, total, words))


async def test_a_chat_tells_how_many_tokens_there_are_so_far(house: House, use: Use, provider) -> None:
    provider.script = lambda _: [*map(delta, WORDS), usage_event(), DONE]
    heard = Heard()
    said = await use("complete_chat", tell=heard, **ASK)
    assert said["choices"][0]["message"] == {"role": "assistant", "content": "".join(WORDS)}
    assert said["usage"]["completion_tokens"] == 5
    assert [(done, total) for done, total, _ in heard.steps] == [(16, 10), (32, 10)]
    assert provider.bodies[0]["stream"] is True
    [event] = await house.events()
    assert event["usd_micros"] == said["usd_micros"] > 0
    proved = await use("prove_entry", log_index=said["log_index"])
    assert proved["receipt"]["statement"]["details"]["request_id"] == "r1"


async def test_a_provider_that_does_not_stream_is_answered_all_the_same(use: Use, provider) -> None:
    heard = Heard()
    provider.script = lambda _: answer()
    said = await use("complete_chat", tell=heard, **ASK)
    assert said["choices"][0]["message"]["content"] == "hello world"
    provider.script = lambda _: ProviderAnswer(400, {}, b'{"error": "plain"}')
    with pytest.raises(UpstreamRefusedError, match="plain"):
        await use("complete_chat", tell=heard, **ASK)
    assert heard.steps == []


async def test_a_stream_that_breaks_off_is_an_error_and_charged(house: House, use: Use, provider) -> None:
    provider.script = lambda _: [delta("a "), UpstreamUnavailableError("gone", upstream="openai")]
    with pytest.raises(UpstreamUnavailableError, match="charged in full"):
        await use("complete_chat", tell=Heard(), **ASK)
    account = await house.books.account(ANN.account)
    assert (account.held_usd_micros, account.spent_usd_micros > 0) == (0, True)


async def test_n14_a_caller_that_leaves_a_stream_stops_it_and_pays_for_what_came(
    house, use, provider
) -> None:
    never = asyncio.Event()
    provider.script = lambda _: [*map(delta, WORDS), never]
    heard = Heard()
    asking = asyncio.create_task(use("complete_chat", tell=heard, **ASK))
    while len(heard.steps) < 2:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert provider.under_way == 0
    await house.chat.close()
    account = await house.books.account(ANN.account)
    assert (account.held_usd_micros, account.spent_usd_micros > 0) == (0, True)
