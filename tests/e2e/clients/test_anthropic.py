"""Anthropic's SDK for Python, unmodified: messages, counting, models, its exceptions, its headers."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from tests.e2e.conftest import Site

MODEL = "claude-sonnet-5-5"
ASKED: list[Any] = [{"role": "user", "content": "Answer with exactly: forty-two"}]
LOOK: Any = {
    "name": "look",
    "description": "Looks.",
    "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}},
}
CALL = 'Call the tool look with {"at": "the sky"}'


def sdk(gateway: Site, key: str, **options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=key, base_url=gateway.url, **{"max_retries": 0} | options)


@pytest.fixture
def client(gateway: Site, key: str) -> Iterator[anthropic.Anthropic]:
    with sdk(gateway, key) as made:
        yield made


def test_a_message_tells_its_cost_and_the_request(client):
    raw = client.messages.with_raw_response.create(model=MODEL, messages=ASKED, max_tokens=20)
    answer = raw.parse()
    assert [block.text for block in answer.content] == ["forty-two"]
    assert float(raw.headers["x-macroslow-cost-usd"]) > 0
    assert raw.headers["x-request-id"]


def test_a_bearer_is_a_key_too(gateway, key):
    with anthropic.Anthropic(auth_token=key, api_key=None, base_url=gateway.url, max_retries=0) as client:
        assert client.messages.create(model=MODEL, messages=ASKED, max_tokens=20).stop_reason == "end_turn"


def test_a_streamed_message_ends_with_the_whole(client):
    with client.messages.stream(model="claude-opus-4-8", messages=ASKED, max_tokens=20) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert said == final.content[0].text == "forty-two"
    assert final.usage.output_tokens > 0


async def test_a_message_streams_asynchronously_with_betas_and_a_cache(gateway, key):
    system: Any = [{"type": "text", "text": "Be exact.", "cache_control": {"type": "ephemeral"}}]
    async with (
        anthropic.AsyncAnthropic(api_key=key, base_url=gateway.url, max_retries=0) as client,
        client.beta.messages.stream(
            model=MODEL,
            messages=ASKED,
            system=system,
            max_tokens=2000,
            thinking={"type": "enabled", "budget_tokens": 1024},
            betas=["interleaved-thinking-2025-05-14"],
        ) as stream,
    ):
        assert (await stream.get_final_message()).content[-1].text == "forty-two"


@pytest.mark.parametrize("streams", [False, True])
def test_a_tool_is_called_and_its_result_taken(client, streams):
    def message(messages: list[Any]) -> Any:
        given: dict[str, Any] = {"model": MODEL, "messages": messages, "max_tokens": 100, "tools": [LOOK]}
        if not streams:
            return client.messages.create(**given)
        with client.messages.stream(**given) as stream:
            return stream.get_final_message()

    messages: list[Any] = [{"role": "user", "content": CALL}]
    first = message(messages)
    (called,) = first.content
    assert (first.stop_reason, called.name, called.input) == ("tool_use", "look", {"at": "the sky"})
    result = {"type": "tool_result", "tool_use_id": called.id, "content": "blue"}
    second = message(
        [*messages, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    )
    assert second.stop_reason == "end_turn"


def test_tokens_are_counted_as_they_will_be_billed(client):
    given: Any = {"model": MODEL, "messages": ASKED, "system": "Be exact."}
    counted = client.messages.count_tokens(**given).input_tokens
    assert client.messages.create(**given, max_tokens=20).usage.input_tokens == counted


def test_the_models_that_answer_messages_are_listed(client):
    listed = [model.id for model in client.models.list()]
    assert {MODEL, "claude-opus-4-8"} <= {*listed}
    assert all(name.startswith("claude-") for name in listed)


def test_one_model_is_told_as_in_the_list_and_an_unknown_one_as_anthropic_does(client, gateway):
    page = client.models.list(limit=1)
    assert (page.has_more, page.first_id, page.last_id) == (False, page.data[0].id, page.data[-1].id)
    told = client.models.retrieve(MODEL)
    assert told in page.data
    assert (told.id, told.type, told.display_name, told.created_at.year) == (MODEL, "model", MODEL, 1970)
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.models.retrieve("gpt-4o")
    assert unknown.value.body["type"] == "error"
    assert unknown.value.body["error"]["type"] == "not_found_error"
    with sdk(gateway, "msk_wrong") as stranger, pytest.raises(anthropic.AuthenticationError) as refused:
        stranger.models.list()
    assert refused.value.body["error"]["type"] == "authentication_error"
    with pytest.raises(anthropic.APIStatusError) as other:
        client.get("/v1/usage?from=never", cast_to=object)
    assert (other.value.body["type"], other.value.status_code) == ("error", 400)


def test_every_refusal_is_its_own_exception(gateway, key):
    cases: list[tuple[str, dict[str, Any], type[anthropic.APIStatusError], int, str]] = [
        ("msk_wrong", {}, anthropic.AuthenticationError, 401, "unauthorized"),
        (
            gateway.client("reader", scopes=["runs:read"]),
            {},
            anthropic.PermissionDeniedError,
            403,
            "missing-scope",
        ),
        (key, {"model": "claude-99"}, anthropic.NotFoundError, 404, "model-not-found"),
        (key, {"extra_body": {"unheard_of": 1}}, anthropic.BadRequestError, 400, "invalid-model-request"),
        (
            key,
            {"extra_headers": {"anthropic-beta": "fast-mode-2026-02-01"}},
            anthropic.BadRequestError,
            400,
            "",
        ),
        (gateway.client("poor", budget_usd_micros=0), {}, anthropic.APIStatusError, 402, "budget-exhausted"),
    ]
    for used, more, exception, status, code in cases:
        with sdk(gateway, used) as client, pytest.raises(exception) as caught:
            client.messages.create(**{"model": MODEL, "messages": ASKED, "max_tokens": 20} | more)
        assert caught.value.status_code == status
        assert caught.value.body["error"]["code"] == code or not code
        assert caught.value.body["request_id"]


def test_a_rate_that_is_used_up_says_when_to_come_again(gateway):
    with sdk(gateway, gateway.client("hurried", requests_per_minute=1)) as client:
        client.models.list()
        with pytest.raises(anthropic.RateLimitError) as caught:
            client.messages.count_tokens(model=MODEL, messages=ASKED)
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60


def test_a_repeated_key_gets_the_same_answer_and_pays_once(client):
    def ask(content: str) -> Any:
        messages: list[Any] = [{"role": "user", "content": content}]
        headers = {"Idempotency-Key": "order-8"}
        return client.messages.with_raw_response.create(
            model=MODEL, messages=messages, max_tokens=20, extra_headers=headers
        )

    first, again = ask("Hello"), ask("Hello")
    assert first.parse() == again.parse()
    assert again.headers["idempotency-replayed"] == "true"
    with pytest.raises(anthropic.UnprocessableEntityError):
        ask("Something else")
