"""The ledger against a provider's own reports over real sockets, with calls made around the gateway."""

from datetime import UTC, datetime

import aiohttp
import pytest

from macroslow.adapters.model_api import UsageAPI
from macroslow.emulator import create_emulator, running
from macroslow.errors import UpstreamError
from macroslow.inference.dialect import Dialect
from macroslow.metering.ledger import DailyUsage
from macroslow.secretstore.secret import Secret
from macroslow.services.spending.provider_reports import Span, report_of
from macroslow.services.spending.reconcile_usage import Reconciliation, reconcile

ADMIN = Secret("sk-emulator-admin-1")
ASKED = {"messages": [{"role": "user", "content": "Tell me of the sea."}], "max_tokens": 20}
KINDS = {
    "openai": ("/v1/chat/completions", "gpt-4o", {}),
    "anthropic": ("/v1/messages", "claude-haiku-4-5", {"anthropic-version": "2023-06-01"}),
}


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


async def call(url: str, kind: str) -> DailyUsage:
    """One call with the provider's key; what a ledger would book for it, but for the price."""
    path, model, headers = KINDS[kind]
    headers = headers | {"authorization": "Bearer sk-emulator-1", "x-api-key": "sk-emulator-1"}
    if kind == "openai":
        del headers["x-api-key"]
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}{path}", json={"model": model, **ASKED}, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        usage = (await answer.json())["usage"]
    counts = [usage.get(name, usage.get(other)) for name, other in NAMES]
    return DailyUsage(today(), model, 1, counts[0], counts[1], 10**9)


NAMES = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))


async def compare(url: str, kind: str, booked: list[DailyUsage], key: Secret = ADMIN) -> Reconciliation:
    api = UsageAPI("emulator", f"{url}/v1", key, dialect=Dialect(kind))
    try:
        reported = await report_of(Dialect(kind), api, Span(booked[0].day if booked else today(), today()))
    finally:
        await api.close()
    return reconcile(booked, reported, upstream_names={}, tolerance_per_mille=0)


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_that_are_booked_agree_and_one_around_the_gateway_is_found(kind: str) -> None:
    async with running(create_emulator()) as base_url:
        url = base_url.removesuffix("/v1")
        booked = [await call(url, kind) for _ in range(3)]
        assert (await compare(url, kind, booked)).agrees
        around = await call(url, kind)
        found = await compare(url, kind, booked)
    (surplus,) = found.surpluses
    assert surplus.model == KINDS[kind][1]
    assert surplus.reported.input_tokens - surplus.booked.input_tokens == around.input_tokens
    assert surplus.reported.output_tokens - surplus.booked.output_tokens == around.output_tokens
    assert [one.day for one in surplus.days] == [around.day]
    assert found.reported_usd_micros > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_that_is_no_administrators_decides_nothing(kind: str) -> None:
    async with running(create_emulator()) as base_url:
        url = base_url.removesuffix("/v1")
        with pytest.raises(UpstreamError):
            await compare(url, kind, [], Secret("sk-emulator-1"))
