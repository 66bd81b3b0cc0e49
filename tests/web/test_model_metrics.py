"""Calls of models under OpenTelemetry's names: the words, the buckets, and a bound on the labels."""

from types import SimpleNamespace
from typing import Any

import pytest
from tests.web.test_metrics import samples

from macroslow.metering.ledger import CallOutcome, Usage
from macroslow.services.calls.gen_ai import Peer
from macroslow.services.calls.paid_call import Settlement
from macroslow.services.spending.read_figures import Figures
from macroslow.web.metrics import Metrics
from macroslow.web.model_metrics import DURATION_BOUNDS_S, MAX_MODELS, MAX_NOTED, TOKEN_BOUNDS

GOOD = Settlement(CallOutcome.OK, Usage(9, 5, 70), 200)
PEERS = {"azure": Peer("azure.ai.openai", "x.openai.azure.com", 443)}


def report(
    ended: Settlement = GOOD,
    *,
    model: str = "gpt-4o",
    operation: str = "chat.completions",
    first_ns: int | None = None,
    **under_way: Any,
) -> Any:
    call = SimpleNamespace(
        target=SimpleNamespace(model=SimpleNamespace(provider="azure", name=model)),
        order=SimpleNamespace(operation=SimpleNamespace(name=operation)),
    )
    facts = {"attempts": 1, "waited_ns": 0, "repeated": (), **under_way}
    return SimpleNamespace(
        under_way=SimpleNamespace(call=call, **facts),
        ended=ended,
        duration_ns=1_500_000_000,
        first_ns=first_ns,
    )


async def counted(*reports: Any) -> dict[Any, float]:
    metrics = Metrics(peers=PEERS)
    for one in reports:
        metrics.model_call(one)
    return samples(await metrics.text(Figures()))


def of(found: dict[Any, float], name: str, **labels: str) -> float:
    """The sum of the samples that have these labels, as a query adds them up."""
    return sum(
        value
        for (name_, has), value in found.items()
        if name_ == name and labels.items() <= dict(has).items()
    )


async def test_the_buckets_are_those_of_the_conventions() -> None:
    assert TOKEN_BOUNDS == (
        1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
    )  # fmt: skip
    assert tuple(round(0.01 * 2**power, 2) for power in range(14)) == DURATION_BOUNDS_S


async def test_a_call_has_the_attributes_of_the_conventions() -> None:
    found = await counted(report(first_ns=250_000_000, waited_ns=2_000_000_000))
    call = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "azure.ai.openai",
        "gen_ai_request_model": "gpt-4o",
        "server_address": "x.openai.azure.com",
        "server_port": "443",
    }
    count, total = "gen_ai_client_token_usage_count", "gen_ai_client_token_usage_sum"
    assert of(found, count, **call, gen_ai_token_type="input") == 1
    assert of(found, total, **call, gen_ai_token_type="input") == 9
    assert of(found, total, **call, gen_ai_token_type="output") == 5
    duration = "gen_ai_client_operation_duration_seconds"
    assert of(found, f"{duration}_sum", **call, error_type="") == 1.5
    assert of(found, f"{duration}_bucket", **call, le="1.28") == 0
    assert of(found, f"{duration}_bucket", **call, le="2.56") == 1
    assert of(found, "gen_ai_client_operation_time_to_first_chunk_seconds_sum", **call) == 0.25
    assert of(found, "macroslow_queue_seconds_sum", provider="azure", model="gpt-4o") == 2
    assert of(found, "macroslow_model_outcomes_total", operation="chat.completions", outcome="ok") == 1


async def test_the_three_chat_apis_are_one_operation_there_and_three_here() -> None:
    found = await counted(*(report(operation=one) for one in ("chat.completions", "responses", "messages")))
    assert of(found, "gen_ai_client_operation_duration_seconds_count", gen_ai_operation_name="chat") == 3
    assert of(found, "macroslow_model_outcomes_total", operation="responses") == 1


async def test_embeddings_have_no_output_and_their_own_name() -> None:
    found = await counted(report(Settlement(CallOutcome.OK, Usage(9, 0, 1), 200), operation="embeddings"))
    name = "gen_ai_client_token_usage_count"
    assert of(found, name, gen_ai_operation_name="embeddings", gen_ai_token_type="input") == 1
    assert of(found, name, gen_ai_token_type="output") == 0


@pytest.mark.parametrize(
    ("ended", "error"),
    [
        (Settlement(CallOutcome.OK, Usage(1, 1, 1), 200), ""),
        (Settlement(CallOutcome.REFUSED, Usage(0, 0, 0), 429), "429"),
        (Settlement(CallOutcome.REFUSED, Usage(0, 0, 0), 0), "unreachable"),
        (Settlement(CallOutcome.REFUSED, Usage(0, 0, 0), 302), "_OTHER"),
        (Settlement(CallOutcome.ABORTED, Usage(1, 0, 1), 200), "cancelled"),
        (Settlement(CallOutcome.UNKNOWN, Usage(1, 9, 1), 502), "502"),
        (Settlement(CallOutcome.UNKNOWN, Usage(1, 9, 1), 200), "broken_off"),
        (Settlement(CallOutcome.UNKNOWN, Usage(1, 9, 1), 0), "broken_off"),
    ],
    ids=str,
)
async def test_an_end_that_is_none_has_its_type_of_error(ended: Settlement, error: str) -> None:
    found = await counted(report(ended))
    assert of(found, "gen_ai_client_operation_duration_seconds_count", error_type=error) == 1


async def test_what_nobody_knows_is_no_number_of_tokens() -> None:
    found = await counted(report(Settlement(CallOutcome.UNKNOWN, Usage(9000, 4096, 7), 200)))
    assert of(found, "gen_ai_client_token_usage_count") == 0


async def test_every_answer_is_counted_and_those_that_were_not_the_last_twice() -> None:
    found = await counted(report(attempts=4, repeated=(429, 0, 503)))
    repeats, answers = "macroslow_repeats_total", "macroslow_upstream_answers_total"
    classes = ("2xx", "4xx", "5xx", "none")
    assert [of(found, repeats, provider="azure", status=one) for one in classes] == [0, 1, 1, 1]
    assert [of(found, answers, provider="azure", status=one) for one in classes] == [1, 1, 1, 1]


async def test_what_was_noted_is_bounded_and_nothing_of_it_is_lost_or_counted_twice() -> None:
    metrics = Metrics(peers=PEERS)
    calls = 2 * MAX_NOTED + 3
    for number in range(calls):
        refused = Settlement(CallOutcome.REFUSED, Usage(0, 0, 0), 400 + number % 2)
        metrics.model_call(report(GOOD if number % 3 else refused, model=f"m{number % 7}", first_ns=number))
    folded = [one for family in metrics.model_call.collect() for one in family.samples]
    assert sum(one.value for one in folded if one.name == "macroslow_model_outcomes_total") == 2 * MAX_NOTED
    good = calls - len(range(0, calls, 3))
    for _ in range(2):  # reading changes nothing
        found = samples(await metrics.text(Figures()))
        assert of(found, "gen_ai_client_operation_duration_seconds_count") == calls
        assert of(found, "gen_ai_client_operation_duration_seconds_sum") == 1.5 * calls
        assert of(found, "macroslow_queue_seconds_count") == calls
        assert of(found, "macroslow_model_outcomes_total") == calls
        assert of(found, "macroslow_upstream_answers_total") == calls
        assert of(found, "gen_ai_client_token_usage_count", gen_ai_token_type="output") == good
        assert of(found, "gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 9 * good
        firsts = "gen_ai_client_operation_time_to_first_chunk_seconds_sum"
        assert of(found, firsts) == pytest.approx(sum(range(calls)) / 1e9)
        assert of(found, "macroslow_upstream_answers_total", status="4xx") == calls - good


async def test_ten_thousand_models_are_a_bounded_number_of_lines() -> None:
    found = await counted(*(report(model=f"m{number}") for number in range(10_000)))
    assert of(found, "gen_ai_client_operation_duration_seconds_count") == 10_000
    others = of(found, "gen_ai_client_operation_duration_seconds_count", gen_ai_request_model="other")
    assert others == 10_000 - MAX_MODELS
    assert len(found) < 90 * (MAX_MODELS + 1)
