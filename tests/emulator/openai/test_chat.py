"""The official SDK against a running emulator: it must not notice, whatever happens."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from tests.emulator.asking import KEY
from tests.machine import SetClock

from macroslow.emulator import AcceptedKeys, Emulator, Latency, Limits, create_emulator, parse_faults, running

Served = tuple[Emulator, str]
MODEL = "gpt-4o-mini"
HELLO = [{"role": "user", "content": "Hello there"}]


def sdk(base_url: str, key: str = KEY) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0)


@pytest.fixture
async def client(served: Served) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk(served[1]) as client:
        yield client


def exactly(text: str) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": "Be exact."},
        {"role": "user", "content": f"Answer with exactly: {text}"},
    ]


async def test_a_plain_answer_is_what_was_asked_for(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model=MODEL, messages=exactly("blue sky"))
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert (answer.model, answer.system_fingerprint) == (MODEL, "fp_emulator00")
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == (
        "assistant",
        "blue sky",
        "stop",
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2
    # Cookbook: 3 a message, 1 a role, 3 for the reply; "Be exact." 3, "Answer with exactly: blue sky" 6.
    assert answer.usage.prompt_tokens == 2 * 4 + 3 + 3 + 6
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 2


async def test_a_stream_has_a_role_its_words_a_reason_and_the_usage_if_asked_for(
    client: openai.AsyncOpenAI,
) -> None:
    stream = await client.chat.completions.create(
        model=MODEL, messages=exactly("one two three"), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    first, *words, last, usage = chunks
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert [chunk.choices[0].delta.content for chunk in words] == ["one", " two", " three"]
    assert all(chunk.choices[0].finish_reason is None for chunk in (first, *words))
    assert (last.choices[0].delta.content, last.choices[0].finish_reason) == (None, "stop")
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens == 3
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_a_stream_without_usage_says_the_same_as_the_plain_answer(client: openai.AsyncOpenAI) -> None:
    plain = await client.chat.completions.create(model=MODEL, messages=HELLO, n=2)
    texts = {0: "", 1: ""}
    async for chunk in await client.chat.completions.create(model=MODEL, messages=HELLO, n=2, stream=True):
        assert chunk.usage is None
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert [texts[choice.index] for choice in plain.choices] == [c.message.content for c in plain.choices]
    assert len(plain.choices) == 2


async def test_the_maximum_is_kept_and_confessed(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Answer with 500 words"}], max_completion_tokens=20
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 20


async def test_models_are_listed_and_found(client: openai.AsyncOpenAI) -> None:
    models = [model async for model in client.models.list()]
    assert MODEL in {model.id for model in models}
    model = await client.models.retrieve(MODEL)
    assert (model.id, model.object) == (MODEL, "model")
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("gpt-none")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("key", ["sk-wrong-0123456789abcdef", "sk-emulator-", "msk_x", "x"])
async def test_a_wrong_key_is_an_authentication_error_that_does_not_quote_it_whole(
    served: Served, key: str
) -> None:
    async with sdk(served[1], key) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert "Incorrect API key provided" in str(caught.value)
    assert key not in str(caught.value.response.text)


async def test_an_unknown_model_is_not_found(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="gpt-none", messages=HELLO)
    assert (caught.value.code, caught.value.type) == ("model_not_found", "invalid_request_error")


async def test_a_bad_request_names_its_member(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model=MODEL, messages=HELLO, temperature=3)
    assert (caught.value.param, caught.value.code) == ("temperature", "decimal_above_max_value")


async def test_more_than_the_context_is_a_bad_request(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "a " * 128_000}]
        )
    assert caught.value.code == "context_length_exceeded"


async def test_the_limit_is_a_rate_limit_error_at_exactly_its_edge() -> None:
    clock = SetClock()
    app = create_emulator(Limits(requests=3, tokens=10_000), clock=clock)
    async with running(app) as base_url, sdk(base_url) as client:
        for left in (2, 1, 0):
            raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
            assert raw.headers["x-ratelimit-limit-requests"] == "3"
            assert raw.headers["x-ratelimit-remaining-requests"] == str(left)
            assert raw.headers["x-ratelimit-reset-requests"] == {2: "20s", 1: "40s", 0: "1m0s"}[left]
        clock.time_ns += 20 * 10**9 - 1
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HELLO)
        assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")
        assert caught.value.response.headers["retry-after-ms"] == "1"
        assert caught.value.response.headers["retry-after"] == "1"
        clock.time_ns += 1
        await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert app.statistics.limited == {"requests": 1}


async def test_a_client_that_retries_gets_through_after_one_wait() -> None:
    """The SDK reads retry-after-ms, waits that long, and passes."""
    app = create_emulator(Limits(tokens=6_000))  # 100 a second
    async with running(app) as base_url, sdk(base_url) as client:
        words = [{"role": "user", "content": "Answer with 9000 words"}]
        await client.chat.completions.create(model=MODEL, messages=words, max_tokens=5_950)
        patient = client.with_options(max_retries=1)
        await patient.chat.completions.create(model=MODEL, messages=exactly("short " * 40))
    assert app.statistics.limited == {"tokens": 1}


async def test_of_many_calls_at_once_exactly_as_many_pass_as_the_limit_says() -> None:
    app = create_emulator(Limits(requests=20), clock=SetClock(), latency=Latency(first_s=0.01))
    async with running(app) as base_url, sdk(base_url) as client:
        calls = [client.chat.completions.create(model=MODEL, messages=HELLO) for _ in range(50)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, openai.RateLimitError)]
    assert (len(refused), len(outcomes)) == (30, 50)
    assert app.statistics.report(0)["statuses"] == {"200": 20, "429": 30}


async def test_every_answer_carries_the_mark_and_the_headers_of_the_service(served: Served) -> None:
    async with sdk(served[1]) as client:
        raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
        assert raw.headers["x-macroslow-emulator"] == "1"
        assert raw.headers["openai-version"] == "2020-10-01"
        assert raw.headers["openai-processing-ms"].isdecimal()
        assert raw.headers["x-request-id"].startswith("req_")
        assert "server" not in raw.headers
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="gpt-none", messages=HELLO)
        assert caught.value.response.headers["x-macroslow-emulator"] == "1"
        assert caught.value.request_id != raw.headers["x-request-id"]


async def test_faults_come_on_time_and_are_the_sdks_own_errors() -> None:
    app = create_emulator(faults=parse_faults("status=503@2,cut=0.5@3"))
    async with running(app) as base_url, sdk(base_url) as client:
        await client.chat.completions.create(model=MODEL, messages=HELLO)
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model=MODEL, messages=HELLO)
        with pytest.raises(openai.APIConnectionError):
            await client.chat.completions.create(model=MODEL, messages=HELLO)


async def test_a_cut_stream_ends_in_an_error_and_its_part_is_billed() -> None:
    app = create_emulator(faults=parse_faults("cut=0.5@1"))
    seen = []
    async with running(app) as base_url, sdk(base_url) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=exactly("a b c d e f"), stream=True
        )
        with pytest.raises(openai.APIConnectionError):  # noqa: PT012 (what came before it matters)
            async for chunk in stream:
                seen.append(chunk.choices[0].delta.content)  # noqa: PERF401
    assert seen == ["", "a", " b", " c"]
    assert app.statistics.report(0)["output_tokens"] == 3


async def test_a_client_that_hangs_up_pays_for_what_was_written() -> None:
    app = create_emulator(latency=Latency(per_token_s=0.01))
    async with running(app) as base_url, sdk(base_url) as client:
        words = [{"role": "user", "content": "Answer with 9000 words"}]
        stream = await client.chat.completions.create(model=MODEL, messages=words, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()
    report = app.statistics.report(0)
    assert report["hang_ups"] == 1
    assert 0 < report["output_tokens"] < 1_000


async def test_just_the_given_keys_are_accepted() -> None:
    mine = "sk-mine-0123456789abcdef"
    async with running(create_emulator(keys=AcceptedKeys.only([mine]))) as base_url:
        async with sdk(base_url, mine) as client:
            await client.models.retrieve(MODEL)
        async with sdk(base_url, KEY) as client:
            with pytest.raises(openai.AuthenticationError):
                await client.models.retrieve(MODEL)
