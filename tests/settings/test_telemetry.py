"""The collector of the configuration: encrypted, with its secrets referred to."""

from pathlib import Path

import pytest

from macroslow.errors import ConfigurationError
from macroslow.secretstore.reference import parse_reference
from macroslow.settings import Settings, load
from macroslow.settings.telemetry import MAX_HEADERS


def loaded(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "macroslow.toml"
    file.write_text(f"[telemetry]\n{text}\n")
    return load(file, {})


def test_without_a_section_there_is_no_collector() -> None:
    assert Settings().telemetry.endpoint is None
    assert not Settings().telemetry.traceparent_to_providers


@pytest.mark.parametrize(
    "endpoint",
    ["https://otlp.example:4318", "http://127.0.0.1:4318", "http://[::1]:4318", "http://localhost"],
)
def test_a_collector_is_encrypted_or_on_this_machine(tmp_path: Path, endpoint: str) -> None:
    assert loaded(tmp_path, f'endpoint = "{endpoint}/"').telemetry.endpoint == endpoint


@pytest.mark.parametrize(
    "text",
    [
        'endpoint = "http://otlp.example:4318"',
        'endpoint = "https://user:pw@otlp.example"',
        'endpoint = "https://otlp.example/?key=1"',
        'endpoint = "otlp.example:4318"',
        'endpoint = "ftp://otlp.example"',
        'endpoint = "https://otlp.example"\nsample_ratio = 1.5',
        'endpoint = "https://otlp.example"\nsample_ratio = nan',
        'endpoint = "https://otlp.example"\nheaders = { x-key = "hunter2 in clear" }',
        'endpoint = "https://otlp.example"\nheaders = { content-type = "env:A" }',
        'endpoint = "https://otlp.example"\nheaders = { "x: y\\r\\nz" = "env:A" }',
        'headers = { x-key = "env:A" }',
        'endpoint = "https://otlp.example"\nheaders = { '
        + ", ".join(f'h{number} = "env:A"' for number in range(MAX_HEADERS + 1))
        + " }",
    ],
)
def test_what_cannot_be_meant_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        loaded(tmp_path, text)
    assert "hunter2 in clear" not in repr(refused.value.problems)


def test_plain_http_elsewhere_is_the_operators_word(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'endpoint = "http://collector:4318"\nplain_http = true')
    assert settings.telemetry.endpoint == "http://collector:4318"


def test_headers_are_secrets_that_a_server_needs(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        'endpoint = "https://otlp.example"\nheaders = { authorization = "env:OTLP", x-org = "file:org" }',
    )
    wanted = {one.setting: one.reference for one in settings.secrets()}
    assert wanted == {
        "telemetry.headers.authorization": parse_reference("env:OTLP"),
        "telemetry.headers.x-org": parse_reference("file:org"),
    }
    shown = settings.model_dump(mode="json")["telemetry"]["headers"]
    assert shown == {"authorization": "env:OTLP", "x-org": "file:org"}
