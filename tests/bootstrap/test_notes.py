"""What the operator is told of his configuration when it starts."""

from pathlib import Path

import pytest

from macroslow.bootstrap.models.catalogue import complete_catalogue
from macroslow.bootstrap.notes import PLAIN_HTTP, notes_on, warnings_on
from macroslow.settings import Settings, load

PROVIDER = '[providers.a]\nbase_url = "http://127.0.0.1:1/v1"\n'


def notes(configured: Settings) -> list[str]:
    return [*notes_on(configured, complete_catalogue(configured))]


def settings(folder: Path, text: str) -> Settings:
    (folder / "macroslow.toml").write_text(text)
    return load(folder / "macroslow.toml", {})


@pytest.mark.parametrize(
    ("server", "exposed"),
    [
        ('listen = "0.0.0.0:8000"', True),
        ('listen = "127.0.0.1:8000"', False),
        ('listen = "0.0.0.0:8000"\ntrusted_proxies = ["10.0.0.0/8"]', False),
        ('listen = "0.0.0.0:8000"\ntls = {certificate = "chain.pem", key = "key.pem"}', False),
    ],
    ids=["every address", "this machine", "behind a proxy", "encrypted"],
)
def test_plain_http_beyond_this_machine_is_told(tmp_path: Path, server: str, exposed: bool) -> None:
    configured = settings(tmp_path, f"[server]\n{server}\n")
    assert configured.is_exposed == exposed
    assert (PLAIN_HTTP in notes(configured)) == exposed
    assert (PLAIN_HTTP in warnings_on(configured, complete_catalogue(configured))) == exposed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no provider is configured"),
        (PROVIDER + '[gateway]\nmode = "observe"\n', "NO budget refuses"),
        (PROVIDER + '[administration]\nlisten = "127.0.0.1:8001"\n', "administration on 127.0.0.1:8001"),
    ],
    ids=["no provider", "observe", "administration"],
)
def test_what_is_out_of_the_ordinary_is_told_and_only_that(tmp_path: Path, text: str, told: str) -> None:
    state, one = notes(settings(tmp_path, text))
    assert state == f"state {tmp_path / '.macroslow'}, documents' signatures optional"
    assert told in one
    assert len(notes(settings(tmp_path, PROVIDER))) == 1
