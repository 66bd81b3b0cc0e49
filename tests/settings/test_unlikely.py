"""Settings that a start takes, and that read like a slip."""

from pathlib import Path

import pytest

from macroslow.settings import load
from macroslow.settings.unlikely import unlikely


def told(folder: Path, text: str) -> list[str]:
    file = folder / "macroslow.toml"
    file.write_text(text, encoding="utf-8")
    return [*unlikely(load(file, {}))]


@pytest.mark.parametrize(
    "name", ["prod", "PROD", "prd", "live", "prod-eu", "live_2", "producton", "porduction", " production"]
)
def test_an_environment_that_nearly_is_production_is_told_of(tmp_path: Path, name: str) -> None:
    (line,) = told(tmp_path, f'[gateway]\nenvironment = "{name}"\n')
    assert line.startswith(f'{tmp_path / "macroslow.toml"}:2: gateway.environment: is not "production"')
    assert 'did you mean "production"?' in line


@pytest.mark.parametrize(
    "name", ["production", "Production", "development", "preproduction", "non-prod", "staging", "product", ""]
)
def test_every_other_environment_is_what_it_says(tmp_path: Path, name: str) -> None:
    assert told(tmp_path, f'[gateway]\nenvironment = "{name}"\n') == []


@pytest.mark.parametrize(
    ("provider", "is_told"),
    [
        ('base_url = "https://api.openai.com"', True),
        ('base_url = "https://api.openai.com/"', True),
        ('base_url = "https://api.openai.com/v1"', False),
        ('base_url = "https://x.example/openai"', False),
        ('kind = "anthropic"\nbase_url = "https://api.anthropic.com"', False),
    ],
)
def test_an_api_of_openais_kind_without_a_path_is_told_of_with_the_one_it_mostly_has(
    tmp_path: Path, provider: str, is_told: bool
) -> None:
    lines = told(tmp_path, f"[providers.a]\n{provider}\n")
    assert bool(lines) is is_told
    if lines:
        assert "providers.a.base_url: has no path" in lines[0]
        assert lines[0].endswith('fix: base_url = "https://api.openai.com/v1"')
