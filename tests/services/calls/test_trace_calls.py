"""Spans of real calls: what they say, whose child they are, and what they never say."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.services.model_fakes import (
    DONE,
    PRINCIPAL,
    RandomIds,
    ScriptedProvider,
    SlowBooks,
    answer,
    call_on,
    delta,
    request,
    usage_event,
)

from macroslow.adapters.system import SystemClock
from macroslow.errors import MacroslowError, UpstreamUnavailableError
from macroslow.inference import CHAT_COMPLETIONS
from macroslow.inference.ports import NotReached
from macroslow.inference.trace import Span, TraceParent
from macroslow.limits.admission import AccountQuota, Quota
from macroslow.services.calls.admission import Admission
from macroslow.services.calls.gen_ai import Peer
from macroslow.services.calls.settle_call import ModelStream
from macroslow.services.calls.trace_calls import TraceCalls

PARENT = TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
BROKE_OFF = UpstreamUnavailableError("it broke off", upstream="openai")
PEERS = {"openai": Peer("openai", "api.openai.com", 443)}


class Kept:
    """Where the spans go."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def put(self, span: Span) -> None:
        self.spans.append(span)


class Listening(ScriptedProvider):
    """It also keeps the headers that it got."""

    heads: list[Mapping[str, str]]

    def stream(self, path: str, body: bytes, *, headers: Mapping[str, str] = {}, deadline_s: float) -> Any:
        self.heads = [*getattr(self, "heads", []), headers]
        return super().stream(path, body, headers=headers, deadline_s=deadline_s)


async def ask(
    *scripted: object,
    parent: TraceParent | None = None,
    ratio: float = 1.0,
    traced: bool = False,
    body: bytes | None = None,
    hang_up: bool = False,
) -> tuple[list[Span], Listening]:
    """The spans of one request, and its provider, which answers with each of `scripted` in turn."""
    answers, kept, books = list(scripted), Kept(), SlowBooks()
    books.open_account(PRINCIPAL.account, 10_000_000)
    provider = Listening(books, lambda _: answers.pop(0))
    clock = SystemClock()
    lines = {("openai", "gpt-4o"): [AccountQuota("openai", Quota())]}
    call = call_on(
        books, {"openai": {"openai": provider}}, Admission(lines, clock, RandomIds()), RandomIds(), attempts=3
    )
    object.__setattr__(call.settle, "watchers", [TraceCalls(kept, clock, PEERS, ratio)])
    object.__setattr__(call.reach, "traced", traced)
    try:
        got = await call(
            PRINCIPAL,
            CHAT_COMPLETIONS,
            body or request(),
            request_id="r1",
            tag="private-tag",
            parent=parent,
        )
        if isinstance(got, ModelStream):
            if hang_up:
                await anext(got.chunks)
                await got.chunks.aclose()
            else:
                _ = [chunk async for chunk in got.chunks]
    except MacroslowError:
        pass
    await call.close()
    return kept.spans, provider


async def test_a_plain_call_is_one_span_with_the_attributes_of_the_conventions() -> None:
    (span,), _ = await ask(answer(content="a secret answer"), body=request(user="u"))
    attributes = dict(span.attributes)
    assert isinstance(attributes.pop("macroslow.queue.duration"), float)
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 5,
        "server.address": "api.openai.com",
        "server.port": 443,
        "macroslow.provider": "openai",
        "macroslow.request.id": "r1",
        "macroslow.key.id": "k1",
        "macroslow.outcome": "ok",
        "macroslow.cost.usd_micros": 73,
        "macroslow.attempts": 1,
        "macroslow.upstream.status": 200,
    }
    assert (span.name, span.error, span.parent_span_id) == ("chat gpt-4o", "", "")
    assert 0 <= span.end_ns - span.start_ns < 60 * 10**9


async def test_no_span_says_who_asked_what() -> None:
    body = request(messages=[{"role": "user", "content": "a secret prompt"}])
    spans, _ = await ask(answer(content="a secret answer"), body=body)
    said = repr(spans)
    assert "secret" not in said
    assert "private-tag" not in said
    assert PRINCIPAL.name not in said.replace("openai", "")


async def test_a_stream_tells_when_it_began() -> None:
    chunks = [delta("hello"), usage_event(), DONE]
    (span,), _ = await ask(chunks, body=request(stream=True))
    assert span.attributes["gen_ai.request.stream"] is True
    first = span.attributes["gen_ai.response.time_to_first_chunk"]
    assert isinstance(first, float)
    assert 0 <= first <= (span.end_ns - span.start_ns) / 1e9


@pytest.mark.parametrize(
    ("scripted", "error", "attempts"),
    [
        ([answer(400)], "400", 1),
        ([answer(502)], "502", 1),
        ([NotReached("refused"), answer()], "", 2),
    ],
    ids=["400", "502", "repeated"],
)
async def test_an_end_that_is_none_has_its_type(
    scripted: Sequence[object], error: str, attempts: int
) -> None:
    (span,), _ = await ask(*scripted)
    assert span.error == error
    assert span.attributes.get("error.type", "") == error
    assert span.attributes["macroslow.attempts"] == attempts


async def test_of_a_call_that_nobody_knows_the_end_of_there_is_a_cost_but_no_usage() -> None:
    (span,), _ = await ask([delta("hello"), BROKE_OFF], body=request(stream=True))
    assert span.error == "broken_off"
    assert span.attributes["macroslow.outcome"] == "unknown"
    assert "gen_ai.usage.input_tokens" not in span.attributes
    assert int(span.attributes["macroslow.cost.usd_micros"]) > 0


async def test_a_client_that_hangs_up_cancels_its_span() -> None:
    never = asyncio.Event()
    (span,), _ = await ask([delta("hello"), never], body=request(stream=True), hang_up=True)
    assert span.error == "cancelled"


async def test_a_span_is_the_child_of_its_clients() -> None:
    (span,), _ = await ask(answer(), parent=PARENT)
    assert (span.trace_id, span.parent_span_id) == (PARENT.trace_id, PARENT.span_id)
    assert span.span_id not in {PARENT.span_id, "0" * 16}


async def test_a_client_that_is_not_sampled_has_no_span_and_no_share_of_ours_counts() -> None:
    unsampled = TraceParent(PARENT.trace_id, PARENT.span_id, sampled=False)
    assert (await ask(answer(), parent=unsampled))[0] == []
    assert len((await ask(answer(), parent=PARENT, ratio=0.0))[0]) == 1


@pytest.mark.parametrize(("ratio", "spans"), [(0.0, 0), (1.0, 1)])
async def test_the_share_is_of_traces_that_begin_here(ratio: float, spans: int) -> None:
    assert len((await ask(answer(), ratio=ratio))[0]) == spans


async def test_providers_are_told_only_where_the_operator_says_so() -> None:
    _, quiet = await ask(answer(), parent=PARENT)
    assert quiet.heads == [{}]
    (span,), told = await ask(answer(), parent=PARENT, traced=True)
    assert told.heads == [{"traceparent": f"00-{PARENT.trace_id}-{span.span_id}-01"}]


async def test_calls_of_one_request_share_a_trace() -> None:
    spans = [(await ask(answer()))[0][0] for _ in range(2)]
    assert spans[0].trace_id == spans[1].trace_id
    assert spans[0].span_id != spans[1].span_id
