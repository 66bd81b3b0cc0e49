"""The way to the collector, as the configuration says."""

import pytest

from macroslow.bootstrap.outside.session import Outward
from macroslow.bootstrap.watching.telemetry import peers, span_exporter
from macroslow.errors import ConfigurationError
from macroslow.secretstore.secret import Secret
from macroslow.services.calls.gen_ai import Peer
from macroslow.settings import Settings
from macroslow.settings.telemetry import Telemetry
from macroslow.settings.upstream import Provider


def configured(**telemetry: object) -> Settings:
    return Settings(
        telemetry=Telemetry.model_validate(telemetry),
        providers={"mine": Provider(base_url="https://api.mistral.ai/v1")},
    )


async def test_without_an_endpoint_there_is_no_way() -> None:
    assert span_exporter(Settings(), {}, Outward()) is None


async def test_with_one_there_is() -> None:
    settings = configured(endpoint="https://otlp.example", headers={"authorization": "env:A"})
    outward = Outward()
    found = span_exporter(settings, {"telemetry.headers.authorization": Secret("Bearer x")}, outward)
    await outward.close()
    assert found is not None
    assert found.counts == {"exported": 0, "rejected": 0, "dropped": 0}


@pytest.mark.parametrize("text", ["x\r\nhost: evil.example", "x\n", "naïve", "\0"])
async def test_a_secret_that_is_no_header_stops_the_start_and_is_not_shown(text: str) -> None:
    settings = configured(endpoint="https://otlp.example", headers={"authorization": "env:A"})
    with pytest.raises(ConfigurationError) as refused:
        span_exporter(settings, {"telemetry.headers.authorization": Secret(text)}, Outward())
    assert text not in repr(refused.value) + refused.value.detail


def test_providers_are_named_for_their_vendors() -> None:
    assert peers(configured()) == {"mine": Peer("mistral_ai", "api.mistral.ai", 443)}
