"""Errors as answers: every class of the tree has its status, and only listed facts go out."""

import json

import pytest

from macroslow import errors
from macroslow.errors import MacroslowError, Problem
from macroslow.web.problems import FACTS, SHAPES, InternalError, Style, render, status_of, style_of


def tree(cls: type[MacroslowError]) -> list[type[MacroslowError]]:
    return [cls, *(below for sub in cls.__subclasses__() for below in tree(sub))]


CLASSES = [cls for cls in tree(MacroslowError) if cls.__module__ == "macroslow.errors"]
SAMPLES: dict[type[MacroslowError], MacroslowError] = {
    errors.InvalidModelRequestError: errors.InvalidModelRequestError("d", param="messages"),
    errors.ContextLengthError: errors.ContextLengthError("d", param="messages"),
    errors.TooLargeError: errors.TooLargeError("d", limit_bytes=7),
    errors.MethodNotAllowedError: errors.MethodNotAllowedError("d", allowed=("GET", "HEAD")),
    errors.MissingScopeError: errors.MissingScopeError("d", scope="runs:read"),
    errors.MissingRightError: errors.MissingRightError("d", uri="api://x"),
    errors.BudgetExhaustedError: errors.BudgetExhaustedError(
        "d", budget="key/x", limit_usd_micros=5, spent_usd_micros=3, held_usd_micros=1, needed_usd_micros=2
    ),
    errors.RateLimitedError: errors.RateLimitedError(
        "d", limit="requests", count=60, period_s=60, retry_after_s=1.2
    ),
    errors.OverloadedError: errors.OverloadedError("d", retry_after_s=0.0),
    errors.UpstreamError: errors.UpstreamError("d", upstream="u", reason="REASON"),
    errors.UpstreamUnavailableError: errors.UpstreamUnavailableError("d", upstream="u", reason="REASON"),
    errors.UpstreamRefusedError: errors.UpstreamRefusedError("d", upstream="u", status=401, reason="REASON"),
}


def sample(cls: type[MacroslowError]) -> MacroslowError:
    return SAMPLES.get(cls) or cls("d", reason="REASON")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_has_a_status_of_its_own_in_the_table(cls: type[MacroslowError]) -> None:
    assert cls in SHAPES


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("style", Style)
def test_every_class_renders_in_every_style_without_its_reason(
    cls: type[MacroslowError], style: Style
) -> None:
    error = sample(cls)
    response = render(error, "abc", style)
    assert isinstance(response.body, bytes)
    assert 400 <= response.status <= 599
    assert b"REASON" not in response.body
    body = json.loads(response.body)
    match style:
        case Style.OPENAI:
            assert set(body) == {"error"}
            assert {"message", "type", "param", "code"} <= set(body["error"])
        case Style.ANTHROPIC:
            assert set(body) == {"type", "error", "request_id"}
            assert (body["type"], body["request_id"]) == ("error", "abc")
            assert {"message", "type"} <= set(body["error"])
        case Style.JSON_RPC:
            assert (body["jsonrpc"], body["id"]) == ("2.0", None)
            assert body["error"]["data"]["request_id"] == "abc"
        case Style.PROBLEM:
            assert body["status"] == response.status
            assert body["type"].endswith(cls.code)
            assert {"title", "step", "detail", "fix", "docs", "request_id", "problems"} <= set(body)


def test_facts_name_attributes_that_exist() -> None:
    for cls, names in FACTS.items():
        for name in names:
            getattr(sample(cls), name)


def test_leaves_have_codes_of_their_own() -> None:
    leaves = [cls for cls in CLASSES if not cls.__subclasses__()]
    assert len({cls.code for cls in leaves}) == len(leaves)


def test_an_exhausted_budget_tells_its_numbers_and_is_not_retried() -> None:
    response = render(sample(errors.BudgetExhaustedError), "id", Style.OPENAI)
    assert response.status == 402
    assert (b"x-should-retry", b"false") in response.headers
    body = json.loads(response.body)["error"]  # type: ignore[arg-type]
    assert (body["limit_usd_micros"], body["spent_usd_micros"], body["needed_usd_micros"]) == (5, 3, 2)


def test_a_rate_limit_tells_when_to_come_back_rounded_up() -> None:
    response = render(sample(errors.RateLimitedError), "id", Style.PROBLEM)
    assert response.status == 429
    assert (b"retry-after", b"2") in response.headers
    assert json.loads(response.body)["count"] == 60  # type: ignore[arg-type]
    assert (b"retry-after", b"1") in render(sample(errors.OverloadedError), "id", Style.PROBLEM).headers


@pytest.mark.parametrize("style", [*Style])
def test_an_upstream_that_rests_tells_for_how_long_and_one_that_broke_off_does_not(style: Style) -> None:
    resting = errors.UpstreamUnavailableError("d", upstream="u", retry_after_s=3.2)
    assert (b"retry-after", b"4") in render(resting, "id", style).headers
    broken = errors.UpstreamUnavailableError("d", upstream="u")
    assert b"retry-after" not in dict(render(broken, "id", style).headers)


def test_a_refused_operator_key_upstream_is_a_bad_gateway_and_patience_is_passed_on() -> None:
    assert [
        status_of(errors.UpstreamRefusedError("d", upstream="u", status=status))
        for status in (401, 403, 429, 503)
    ] == [502, 502, 429, 503]


def test_problems_carry_line_field_and_fix() -> None:
    error = errors.InvalidDocumentError(
        "2 problems", [Problem("bad id", fix="urn:uuid:…", line=3, field="id")]
    )
    body = json.loads(render(error, "id", Style.PROBLEM).body)  # type: ignore[arg-type]
    assert body["problems"] == [{"line": 3, "field": "id", "message": "bad id", "fix": "urn:uuid:…"}]


@pytest.mark.parametrize("style", [Style.OPENAI, Style.ANTHROPIC])
def test_a_message_in_a_providers_words_names_the_field_of_each_problem_that_has_one(style: Style) -> None:
    problems = [Problem("not known here", field="by"), Problem("too much of it")]
    error = errors.BadRequestError("the query is not understood", problems)
    told = json.loads(render(error, "id", style).body)["error"]["message"]  # type: ignore[arg-type]
    assert told == "the query is not understood; by: not known here; too much of it"


def test_an_unforeseen_error_says_nothing_about_itself() -> None:
    assert json.loads(render(InternalError(), "id", Style.PROBLEM).body)["status"] == 500  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "style", "to_anthropic"),
    [
        (b"/v1/nope", Style.OPENAI, Style.ANTHROPIC),
        (b"/v1/models", Style.OPENAI, Style.ANTHROPIC),
        (b"/v1/models/x", Style.OPENAI, Style.ANTHROPIC),
        (b"/v1/usage", Style.OPENAI, Style.ANTHROPIC),
        (b"/v1/messages", Style.ANTHROPIC, Style.ANTHROPIC),
        (b"/v1/messages/count_tokens", Style.ANTHROPIC, Style.ANTHROPIC),
        (b"/mcp", Style.JSON_RPC, Style.JSON_RPC),
        (b"/execute", Style.PROBLEM, Style.PROBLEM),
        (b"", Style.PROBLEM, Style.PROBLEM),
    ],
)
def test_path_and_header_decide_the_style_even_where_no_route_is(
    path: bytes, style: Style, to_anthropic: Style
) -> None:
    assert style_of(path, [(b"accept", b"*/*")]) is style
    for version in (b"2023-06-01", b"", b"\xff"):
        assert style_of(path, [(b"accept", b"*/*"), (b"anthropic-version", version)]) is to_anthropic
