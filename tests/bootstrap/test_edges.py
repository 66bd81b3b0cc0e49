"""What the edges say of themselves when they open."""

import logging
from pathlib import Path

import pytest

from macroslow.bootstrap.edges import PLAIN_HTTP, warn_of_exposure
from macroslow.settings import load


@pytest.mark.parametrize(
    ("server", "warned"),
    [
        ('listen = "0.0.0.0:8000"', True),
        ('listen = "127.0.0.1:8000"', False),
        ('listen = "0.0.0.0:8000"\ntrusted_proxies = ["10.0.0.0/8"]', False),
    ],
    ids=["every address", "this machine", "behind a proxy"],
)
def test_plain_http_beyond_this_machine_is_a_warning_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, server: str, warned: bool
) -> None:
    file = tmp_path / "macroslow.toml"
    file.write_text(f"[server]\n{server}\n")
    warn_of_exposure(load(file, {}))
    said = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert said == ([(logging.WARNING, PLAIN_HTTP)] if warned else [])
