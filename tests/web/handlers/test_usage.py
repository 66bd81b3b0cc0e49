"""GET /v1/usage: the caller's own spending, for the days that were asked for and nothing else."""

from types import SimpleNamespace

import orjson
import pytest

from macroslow.authn.principal import Principal
from macroslow.errors import BadRequestError
from macroslow.web.handlers.usage import own_usage
from macroslow.web.messages import Request, Response

ALICE = Principal("alice", "key/k1", "k1")


async def ask(query: bytes) -> tuple[Response, list[object]]:
    asked: list[object] = []

    async def own(principal: Principal, **days: str) -> dict[str, object]:
        asked.append((principal, days))
        return {"usd_micros": 7}

    request = Request("GET", "/v1/usage", query, (), {}, {}, "", b"", ALICE, "r")
    return await own_usage(SimpleNamespace(own_usage=own), request), asked  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "days"),
    [
        (b"", {}),
        (b"from=2026-01-01", {"first_day": "2026-01-01"}),
        (b"to=2026-01-31&from=2026-01-01", {"first_day": "2026-01-01", "last_day": "2026-01-31"}),
        (b"from=", {"first_day": ""}),
    ],
)
async def test_the_caller_gets_his_own_spending_of_the_days_he_names(query: bytes, days: dict) -> None:
    response, asked = await ask(query)
    assert (response.status, orjson.loads(response.body)) == (200, {"usd_micros": 7})  # type: ignore[arg-type]
    assert asked == [(ALICE, days)]


@pytest.mark.parametrize(
    "query",
    [
        b"principal=bob",
        b"from=1&from=2",
        b"from",
        b"&&",
        b"\xff=1",
        b"from=" + b"1" * 300,
        b"by=key",
        b"From=1",
    ],
)
async def test_a_query_that_is_not_understood_is_refused_and_nothing_is_asked(query: bytes) -> None:
    with pytest.raises(BadRequestError):
        await ask(query)
