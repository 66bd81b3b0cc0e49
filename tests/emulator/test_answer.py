"""What is answered: steered by the message, the same each time, and never longer than allowed."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.asking import Ask, Reply, call, chat_body
from tests.machine import SetClock

from macroslow.adapters import packaged
from macroslow.emulator import Charge, Limits, create_emulator
from macroslow.emulator.answer import prefix_within


def content(reply: Reply) -> str:
    assert reply.status == 200, reply.body
    return str(reply.json()["choices"][0]["message"]["content"])


async def test_an_exact_answer_may_have_lines_and_any_script(ask: Ask) -> None:
    assert content(await ask("Please. Answer with exactly: Grüße,\n世界 🌍 ")) == "Grüße,\n世界 🌍"


async def test_the_last_user_message_steers(ask: Ask) -> None:
    messages = [
        {"role": "user", "content": "Answer with exactly: first"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Answer with exactly:"}, {"type": "text", "text": "last"}],
        },
        {"role": "assistant", "content": "Answer with exactly: mine"},
    ]
    assert content(await ask(messages=messages)) == "last"


async def test_any_other_message_is_summed_up(ask: Ask) -> None:
    assert content(await ask("Why is the sky blue?")) == "Emulated answer to 5 words: Why is the sky blue?"
    long = content(await ask("word " * 40))
    assert long.startswith("Emulated answer to 40 words: word")
    assert long.endswith("…")
    assert content(await ask("")) == "Emulated answer to no words."


async def test_the_same_request_gets_the_same_answer_under_another_id(clock: SetClock, ask: Ask) -> None:
    first, second = await ask("Hi"), await ask("Hi")
    assert content(first) == content(second)
    assert first.json()["created"] == clock.time_ns // 10**9
    assert first.json()["id"] != second.json()["id"]


async def test_a_stop_sequence_ends_the_answer_before_it(ask: Ask) -> None:
    reply = await ask("Answer with exactly: one, two; three", stop=[";", ", t"])
    assert content(reply) == "one"
    assert reply.json()["choices"][0]["finish_reason"] == "stop"


async def test_a_json_answer_is_json(ask: Ask) -> None:
    reply = await ask('In json. Answer with exactly: a "b"', response_format={"type": "json_object"})
    assert content(reply) == '{"answer":"a \\"b\\""}'


async def test_every_choice_is_counted(ask: Ask) -> None:
    reply = await ask("Answer with exactly: a b c", n=3)
    assert len(reply.json()["choices"]) == 3
    assert reply.json()["usage"]["completion_tokens"] == 9


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=300) | st.text(" \n", max_size=2_000), most=st.integers(1, 60))
def test_a_cut_answer_fits_and_is_a_beginning(text: str, most: int) -> None:
    counter = packaged.counters()["o200k_base"]
    kept = prefix_within(text, most, counter.text)
    assert text.startswith(kept)
    assert counter.text(kept) <= most
    if kept != text:
        assert counter.text(text[: len(kept) + 1]) > most


@pytest.mark.parametrize(
    ("charge", "members", "taken"),
    [
        (Charge.USED, {"max_tokens": 500}, lambda usage: usage["total_tokens"]),
        (Charge.MAX_TOKENS, {"max_tokens": 500}, lambda usage: usage["prompt_tokens"] + 500),
        (Charge.MAX_TOKENS, {"max_tokens": 500, "n": 2}, lambda usage: usage["prompt_tokens"] + 1000),
        (Charge.MAX_TOKENS, {}, lambda usage: usage["total_tokens"]),
    ],
)
async def test_the_token_bucket_is_charged_as_chosen(
    charge: Charge, members: dict[str, int], taken: Callable[[dict[str, int]], int]
) -> None:
    app = create_emulator(Limits(tokens=10_000, charge=charge), clock=SetClock())
    reply = await call(app, chat_body("Answer with exactly: a b c", **members))
    remaining = int(reply.headers["x-ratelimit-remaining-tokens"])
    assert 10_000 - remaining == taken(reply.json()["usage"])


async def test_limits_are_each_models_own_under_all_its_names() -> None:
    app = create_emulator(Limits(requests=1), clock=SetClock())
    assert (await call(app, chat_body(model="gpt-4o"))).status == 200
    assert (await call(app, chat_body(model="gpt-4o-mini"))).status == 200
    for name, model in packaged.catalogue().names():
        if model.name == "gpt-4o":
            assert (await call(app, chat_body(model=name))).status == 429


async def test_a_call_that_could_never_pass_is_called_too_large() -> None:
    app = create_emulator(Limits(tokens=5), clock=SetClock())
    reply = await call(app, chat_body())
    assert reply.status == 429
    assert reply.json()["error"]["message"].startswith("Request too large for gpt-4o-mini in organization")
    assert "retry-after" not in reply.headers


async def test_the_statistics_add_up_and_hold_no_key() -> None:
    app = create_emulator(Limits(requests=3), clock=SetClock())
    texts = ("a", "b c", "Answer with 90 words")
    usages = [(await call(app, chat_body(text))).json()["usage"] for text in texts]
    assert (await call(app, chat_body())).status == 429
    assert (await call(app, chat_body(), key="sk-nobody")).status == 401
    reply = await call(app, b"", method="GET", path="/emulator/stats", key=None)
    report = reply.json()
    assert reply.headers["x-macroslow-emulator"] == "1"
    assert report["requests"] == 5
    assert report["statuses"] == {"200": 3, "401": 1, "429": 1}
    assert {kind: count for kind, count in report["rate_limited"].items() if count} == {"requests": 1}
    assert report["input_tokens"] == sum(usage["prompt_tokens"] for usage in usages)
    assert report["output_tokens"] == sum(usage["completion_tokens"] for usage in usages)
    # gpt-4o-mini: 0.15 and 0.60 dollars a million tokens, each call rounded up to a millionth.
    cost = [-(-(15 * u["prompt_tokens"] + 60 * u["completion_tokens"]) // 100) for u in usages]
    assert report["usd_micros"] == report["models"]["gpt-4o-mini"]["usd_micros"] == sum(cost)
    assert len(report["keys_sha256"]) == 2
    assert b"sk-" not in reply.body
