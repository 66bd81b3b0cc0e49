"""Providers' reports of usage and cost: the documented shapes, and nothing that only resembles them."""

import pytest

from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.inference.dialect import Dialect
from macroslow.services.spending.provider_reports import Query, Reported, Span, Tokens, report_of

SPAN = Span("2024-11-01", "2024-11-02")

# As the references print them: OpenAI "Usage" and "Costs", Anthropic "Usage and Cost".
OPENAI_USAGE = {
    "object": "bucket",
    "start_time": 1730419200,
    "end_time": 1730505600,
    "results": [
        {
            "object": "organization.usage.completions.result",
            "input_tokens": 5000,
            "output_tokens": 1000,
            "input_cached_tokens": 4000,
            "input_audio_tokens": 300,
            "output_audio_tokens": 200,
            "num_model_requests": 5,
            "project_id": "proj_abc",
            "user_id": "user-abc",
            "api_key_id": "key_abc",
            "model": "gpt-4o-mini-2024-07-18",
            "batch": False,
        }
    ],
}
OPENAI_COSTS = {
    "object": "bucket",
    "start_time": 1730419200,
    "end_time": 1730505600,
    "results": [
        {
            "object": "organization.costs.result",
            "amount": {"value": 0.06, "currency": "usd"},
            "line_item": None,
            "project_id": None,
        }
    ],
}
ANTHROPIC_USAGE = {
    "starting_at": "2024-11-01T00:00:00Z",
    "ending_at": "2024-11-02T00:00:00Z",
    "results": [
        {
            "uncached_input_tokens": 1500,
            "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
            "cache_read_input_tokens": 200,
            "output_tokens": 500,
            "server_tool_use": {"web_search_requests": 10},
            "api_key_id": None,
            "workspace_id": None,
            "model": "claude-sonnet-4-20250514",
            "service_tier": None,
            "context_window": None,
        }
    ],
}
ANTHROPIC_COSTS = {
    "starting_at": "2024-11-01T00:00:00Z",
    "ending_at": "2024-11-02T00:00:00Z",
    "results": [{"currency": "USD", "amount": "123.78912", "workspace_id": "wrkspc_1", "model": None}],
}
ANSWERS: dict[str, list[object]] = {
    "/organization/usage/completions": [OPENAI_USAGE],
    "/organization/usage/embeddings": [],
    "/organization/costs": [OPENAI_COSTS],
    "/organizations/usage_report/messages": [ANTHROPIC_USAGE],
    "/organizations/cost_report": [ANTHROPIC_COSTS],
}


class Given:
    """Gives the pages it was given, and keeps what it was asked."""

    def __init__(self, **changed: list[object]) -> None:
        self.asked: dict[str, Query] = {}
        self.answers = ANSWERS | changed

    async def get_pages(self, path: str, query: Query, *, deadline_s: float) -> list[object]:
        assert deadline_s > 0
        self.asked[path] = query
        return self.answers[path]


async def test_the_documented_report_of_openai_is_read() -> None:
    given = Given()
    assert await report_of(Dialect.OPENAI, given, SPAN) == Reported(
        {("2024-11-01", "gpt-4o-mini-2024-07-18"): Tokens(5000, 1000)}, {"2024-11-01": 60_000}
    )
    query = given.asked["/organization/usage/completions"]
    assert (query["start_time"], query["end_time"]) == (1730419200, 1730419200 + 2 * 86_400)
    assert query["group_by"] == ["model"]
    assert "project_ids" not in query


async def test_the_documented_report_of_anthropic_is_read() -> None:
    given = Given()
    assert await report_of(Dialect.ANTHROPIC, given, SPAN) == Reported(
        {("2024-11-01", "claude-sonnet-4-20250514"): Tokens(3200, 500)}, {"2024-11-01": 1_237_891}
    )
    query = given.asked["/organizations/usage_report/messages"]
    assert query["starting_at"] == "2024-11-01T00:00:00Z"
    assert query["ending_at"] == "2024-11-03T00:00:00Z"


async def test_only_the_projects_that_were_named_are_asked_for() -> None:
    openai, anthropic = Given(), Given()
    await report_of(Dialect.OPENAI, openai, SPAN, ["p1", "p2"])
    for path in ("/organization/usage/completions", "/organization/costs"):
        assert openai.asked[path]["project_ids"] == ["p1", "p2"]
    assert (await report_of(Dialect.ANTHROPIC, anthropic, SPAN, ["wrkspc_1"])).usd_micros[
        "2024-11-01"
    ] == 1_237_891
    assert anthropic.asked["/organizations/usage_report/messages"]["workspace_ids[]"] == ["wrkspc_1"]
    assert (await report_of(Dialect.ANTHROPIC, anthropic, SPAN, ["other"])).usd_micros == {"2024-11-01": 0}


async def test_several_results_and_pages_of_a_day_are_added_up() -> None:
    twice = {**OPENAI_USAGE, "results": OPENAI_USAGE["results"] * 2}
    given = Given(**{"/organization/usage/completions": [twice, OPENAI_USAGE]})
    assert (await report_of(Dialect.OPENAI, given, SPAN)).tokens == {
        ("2024-11-01", "gpt-4o-mini-2024-07-18"): Tokens(15_000, 3000)
    }


async def test_a_provider_without_a_report_of_embeddings_has_none() -> None:
    class Bare(Given):
        status = 404

        async def get_pages(self, path: str, query: Query, *, deadline_s: float) -> list[object]:
            if path.endswith("/embeddings"):
                raise UpstreamRefusedError("no", upstream="x", status=self.status)
            return await super().get_pages(path, query, deadline_s=deadline_s)

    given = Bare()
    assert (await report_of(Dialect.OPENAI, given, SPAN)).usd_micros == {"2024-11-01": 60_000}
    given.status = 403
    with pytest.raises(UpstreamRefusedError):
        await report_of(Dialect.OPENAI, given, SPAN)


def usage_with(**members: object) -> list[object]:
    return [{**OPENAI_USAGE, "results": [{**OPENAI_USAGE["results"][0], **members}]}]  # type: ignore[index]


def costs_with(**members: object) -> list[object]:
    return [{**OPENAI_COSTS, "results": [{"amount": {"value": 1, "currency": "usd"}, **members}]}]


@pytest.mark.parametrize(
    "usage",
    [
        [None],
        [[]],
        [{}],
        [{"results": []}],
        [{"start_time": 1730419200}],
        [{"start_time": 1730419200, "results": None}],
        [{"start_time": 1730419200, "results": [1]}],
        [{"start_time": "1730419200", "results": []}],
        [{"start_time": 10**18, "results": []}],
        [{"start_time": True, "results": []}],
        usage_with(input_tokens=-1),
        usage_with(input_tokens="5"),
        usage_with(input_tokens=1.5),
        usage_with(output_tokens=None),
        usage_with(output_tokens=2**53),
    ],
    ids=lambda usage: repr(usage)[-60:],
)
async def test_what_is_not_the_documented_usage_is_no_report(usage: list[object]) -> None:
    with pytest.raises(UpstreamUnavailableError):
        await report_of(Dialect.OPENAI, Given(**{"/organization/usage/completions": usage}), SPAN)


@pytest.mark.parametrize(
    "amount",
    [None, 5, {}, {"value": 1}, {"value": 1, "currency": "eur"}, {"value": -1, "currency": "usd"},
     {"value": "NaN", "currency": "usd"}, {"value": "1e999", "currency": "usd"},
     {"value": [], "currency": "usd"}],
    ids=repr,
)  # fmt: skip
async def test_what_is_no_amount_of_dollars_is_no_report(amount: object) -> None:
    with pytest.raises(UpstreamUnavailableError):
        await report_of(Dialect.OPENAI, Given(**{"/organization/costs": costs_with(amount=amount)}), SPAN)


@pytest.mark.parametrize("starting_at", [None, 5, "", "yesterday", "2024-13-01T00:00:00Z"])
async def test_what_is_no_time_is_no_report(starting_at: object) -> None:
    given = Given(**{"/organizations/cost_report": [{**ANTHROPIC_COSTS, "starting_at": starting_at}]})
    with pytest.raises(UpstreamUnavailableError):
        await report_of(Dialect.ANTHROPIC, given, SPAN)
