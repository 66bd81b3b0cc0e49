"""OpenAI's SDK for Python, unmodified: every API that it has here, its exceptions, its headers."""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest
from tests.e2e.conftest import Site

ASKED = [{"role": "user", "content": "Answer with exactly: forty-two"}]
PARAMETERS = {"type": "object", "properties": {"at": {"type": "string"}}}
LOOK = {"type": "function", "name": "look", "description": "Looks.", "parameters": PARAMETERS}
LOOK_IN_CHAT = {"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}
CALL = 'Call the tool look with {"at": "the sky"}'
EMBEDDER = "text-embedding-3-small"


def sdk(gateway: Site, key: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=gateway.url + "/v1", **{"max_retries": 0} | options)


@pytest.fixture
def client(gateway: Site, key: str) -> Iterator[openai.OpenAI]:
    with sdk(gateway, key) as made:
        yield made


def test_a_chat_tells_its_cost_and_the_request(client):
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=ASKED, max_tokens=20)
    answer = raw.parse()
    assert answer.choices[0].message.content == "forty-two"
    assert answer.usage.total_tokens > 0
    assert float(raw.headers["x-macroslow-cost-usd"]) > 0
    assert raw.headers["x-macroslow-emulator"] == "true"
    assert raw.request_id == raw.headers["x-request-id"] == answer._request_id


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_streamed_chat_has_a_usage_chunk_only_if_it_was_asked_for(client, wants_usage):
    more = {"stream_options": {"include_usage": True}} if wants_usage else {}
    chunks = [*client.chat.completions.create(model="gpt-4o", messages=ASKED, stream=True, **more)]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "forty-two"
    assert bool(chunks[-1].usage) is wants_usage
    assert all(chunk.choices for chunk in chunks) is not wants_usage


async def test_a_chat_streams_asynchronously(gateway, key):
    async with openai.AsyncOpenAI(api_key=key, base_url=gateway.url + "/v1", max_retries=0) as client:
        stream = await client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)
        said = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(said) == "forty-two"


def test_a_chat_calls_a_tool_and_takes_its_result(client):
    messages: list[Any] = [{"role": "user", "content": CALL}]
    first = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[LOOK_IN_CHAT])
    (called,) = first.choices[0].message.tool_calls
    assert json.loads(called.function.arguments) == {"at": "the sky"}
    messages += [
        first.choices[0].message,
        {"role": "tool", "tool_call_id": called.id, "content": "blue"},
    ]
    second = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[LOOK_IN_CHAT])
    assert second.choices[0].finish_reason == "stop"


def test_a_response_tells_its_cost(client):
    raw = client.responses.with_raw_response.create(
        model="gpt-4o-mini", input="Answer with exactly: forty-two"
    )
    assert raw.parse().output_text == "forty-two"
    assert float(raw.headers["x-macroslow-cost-usd"]) > 0


def test_a_streamed_response_ends_with_the_whole(client):
    with client.responses.stream(model="o3", input="Answer with exactly: forty-two") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert final.output_text == "forty-two"
    assert final.usage.output_tokens > 0


@pytest.mark.parametrize("streams", [False, True])
def test_a_response_goes_on_from_the_one_before_and_its_tool(client, streams):
    def respond(**members: Any) -> Any:
        if not streams:
            return client.responses.create(model="gpt-4o-mini", tools=[LOOK], **members)
        with client.responses.stream(model="gpt-4o-mini", tools=[LOOK], **members) as stream:
            stream.until_done()
            return stream.get_final_response()

    first = respond(input=CALL)
    (called,) = first.output
    assert (called.name, json.loads(called.arguments)) == ("look", {"at": "the sky"})
    result = {"type": "function_call_output", "call_id": called.call_id, "output": "blue"}
    second = respond(input=[result], previous_response_id=first.id)
    assert second.output_text.startswith("Emulated answer")
    third = respond(input="Answer with exactly: done", previous_response_id=second.id)
    assert third.output_text == "done"
    assert third.usage.input_tokens > second.usage.input_tokens > first.usage.input_tokens


def test_what_one_key_was_answered_another_cannot_go_on_from(gateway, client):
    first = client.responses.create(model="gpt-4o-mini", input="My number is 7.")
    for stranger, previous in ((gateway.client("eve"), first.id), (gateway.client("bob"), "resp_unheard_of")):
        with sdk(gateway, stranger) as other, pytest.raises(openai.NotFoundError) as caught:
            other.responses.create(model="gpt-4o-mini", input="And?", previous_response_id=previous)
        assert caught.value.code == "not-found"
    assert client.responses.create(model="gpt-4o-mini", input="And?", previous_response_id=first.id)


def test_embeddings_are_the_same_as_numbers_and_as_base64(client):
    texts = ["the sky", "blue"]
    numbers = client.embeddings.create(model=EMBEDDER, input=texts, encoding_format="float")
    packed = client.embeddings.create(model=EMBEDDER, input=texts, encoding_format="base64")
    usual = client.embeddings.create(model=EMBEDDER, input=texts, dimensions=8)
    assert [len(one.embedding) for one in usual.data] == [8, 8]
    for one, other in zip(numbers.data, packed.data, strict=True):
        raw = base64.b64decode(other.embedding)
        assert [*struct.unpack(f"<{len(raw) // 4}f", raw)] == pytest.approx(one.embedding)


def test_the_models_that_are_served_are_listed(client):
    assert {"gpt-4o", "gpt-4o-mini", EMBEDDER, "claude-opus-4-8"} <= {
        model.id for model in client.models.list()
    }


APIS: dict[str, Callable[..., Any]] = {
    "chat": lambda client, **more: client.chat.completions.create(
        **{"model": "gpt-4o-mini", "messages": ASKED} | more
    ),
    "responses": lambda client, **more: client.responses.create(
        **{"model": "gpt-4o-mini", "input": "x"} | more
    ),
    "embeddings": lambda client, **more: client.embeddings.create(**{"model": EMBEDDER, "input": "x"} | more),
}


@pytest.mark.parametrize("api", APIS)
def test_every_refusal_is_its_own_exception(gateway, key, api):
    cases: list[tuple[str, dict[str, Any], type[openai.APIStatusError], int, str]] = [
        ("msk_wrong", {}, openai.AuthenticationError, 401, "unauthorized"),
        (
            gateway.client("reader", scopes=["runs:read"]),
            {},
            openai.PermissionDeniedError,
            403,
            "missing-scope",
        ),
        (key, {"model": "gpt-99"}, openai.NotFoundError, 404, "model-not-found"),
        (key, {"extra_body": {"unheard_of": 1}}, openai.BadRequestError, 400, "invalid-model-request"),
        (gateway.client("poor", budget_usd_micros=0), {}, openai.APIStatusError, 402, "budget-exhausted"),
    ]
    for used, more, exception, status, code in cases:
        with sdk(gateway, used) as client, pytest.raises(exception) as caught:
            APIS[api](client, **more)
        assert (caught.value.status_code, caught.value.code) == (status, code)
        assert caught.value.request_id


def test_an_empty_budget_is_not_asked_again(gateway):
    sent: list[httpx2.Request] = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]})
    poor = gateway.client("poor", budget_usd_micros=2)
    with (
        sdk(gateway, poor, max_retries=2, http_client=http) as client,
        pytest.raises(openai.APIStatusError, match="Budget"),
    ):
        client.responses.create(model="gpt-4o-mini", input="x")
    assert len(sent) == 1


def test_a_rate_that_is_used_up_says_when_to_come_again(gateway):
    with sdk(gateway, gateway.client("hurried", requests_per_minute=1)) as client:
        client.models.list()
        with pytest.raises(openai.RateLimitError) as caught:
            client.models.list()
    assert caught.value.code == "rate-limited"
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("streams", [False, True])
def test_a_repeated_key_gets_the_same_answer_and_pays_once(client, streams):
    def ask(content: str = "Answer with 5 words") -> tuple[bytes, bool]:
        """The bytes of the answer, and whether it is a repetition."""
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": content}],
            stream=streams,
            extra_headers={"Idempotency-Key": f"order-7-{streams}"},
        )
        return raw.http_response.read(), raw.headers.get("idempotency-replayed") == "true"

    (first, repeated), (again, repeated_again) = ask(), ask()
    assert first == again
    assert (repeated, repeated_again) == (False, True)
    with pytest.raises(openai.UnprocessableEntityError):
        ask("something else")
