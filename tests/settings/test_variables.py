"""Variables lie above the file, and say exactly what they set."""

import pytest

from macroslow.errors import ConfigurationError
from macroslow.settings import load

FILE = """
[server]
listen = "0.0.0.0:9000"
[providers.open-ai]
base_url = "https://api.openai.com/v1"
[models."gpt-4.1"]
input_usd = 1
output_usd = 1
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "macroslow.toml"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    ("name", "text", "read", "value"),
    [
        ("PORT", "8080", lambda s: s.server.listen, "0.0.0.0:8080"),
        ("LOG_LEVEL", "WARNING", lambda s: s.server.log_level, "warning"),
        ("ENVIRONMENT", "production", lambda s: s.gateway.environment, "production"),
        ("MACROSLOW__SERVER__LISTEN", "127.0.0.1:1", lambda s: s.server.listen, "127.0.0.1:1"),
        ("MACROSLOW__SERVER__MAX_BODY_BYTES", "2048", lambda s: s.server.max_body_bytes, 2048),
        ("MACROSLOW__GATEWAY__NAME", "edge", lambda s: s.gateway.name, "edge"),
        ("MACROSLOW__GATEWAY__NAME", '"7"', lambda s: s.gateway.name, "7"),
        ("MACROSLOW__SERVER__ALLOWED_HOSTS", '["a", "b"]', lambda s: s.server.allowed_hosts, ("a", "b")),
        ("MACROSLOW__LOG__PUBLIC", "false", lambda s: s.log.public, False),
        (
            "MACROSLOW__MODELS__GPT_4_1__INPUT_USD",
            "0.15",
            lambda s: str(s.models["gpt-4.1"].input_usd),
            "0.15",
        ),
        ("MACROSLOW__PROVIDERS__OPEN_AI__KEY", "env:K", lambda s: str(s.providers["open-ai"].key), "env:K"),
        ("MACROSLOW__PROVIDERS__OPEN_AI__LIMITS__RPM", "5", lambda s: s.providers["open-ai"].limits.rpm, 5),
    ],
)
def test_a_variable_sets_its_setting(file, name, text, read, value):
    settings = load(file, {name: text})
    assert read(settings) == value
    assert f"environment {name}" in {str(origin) for origin in settings.source.origins.values()}
    (file.parent / ".env").write_text(f"{name}='{text}'\n")
    again = load(file, {})
    assert again.model_dump() == settings.model_dump()
    assert f"{file.parent / '.env'}:1" in {str(origin) for origin in again.source.origins.values()}


def test_the_environment_lies_above_dotenv_and_the_exact_name_above_the_plain_one(file):
    (file.parent / ".env").write_text("PORT=1\nLOG_LEVEL=error\nPORT=2\n")
    assert load(file, {}).server.port == 2
    assert load(file, {"PORT": "3"}).server.port == 3
    assert load(file, {"PORT": ""}).server.port == 2, "an empty variable is one that is not set"
    settings = load(file, {"PORT": "3", "MACROSLOW__SERVER__LISTEN": "127.0.0.1:4", "LOG_LEVEL": "debug"})
    assert settings.server.port == 4
    assert settings.server.log_level == "debug"


def test_the_command_line_lies_above_all(file):
    settings = load(file, {"MACROSLOW__SERVER__LISTEN": "127.0.0.1:4"}, {"server.listen": "127.0.0.1:5"})
    assert settings.server.port == 5
    assert str(settings.source.origins["server", "listen"]) == "command line"


@pytest.mark.parametrize(
    ("name", "text", "field"),
    [
        ("PORT", "http", "PORT"),
        ("PORT", "65536", "PORT"),
        ("PORT", "-1", "PORT"),
        ("PORT", "８０", "PORT"),
        ("LOG_LEVEL", "loud", "server.log_level"),
        ("MACROSLOW__SERVER__LISTN", "x", "server.listn"),
        ("MACROSLOW__", "x", '""'),
        ("MACROSLOW__SERVER", "x", "server"),
        ("MACROSLOW__SERVER__LISTEN__X", "x", "server.listen"),
        ("MACROSLOW__NOWHERE__X", "x", "nowhere"),
        ("MACROSLOW__GATEWAY__NAME", "7", "gateway.name"),
        ("MACROSLOW__GATEWAY__NAME", "x = 1\ny = 2", "gateway.name"),
    ],
)
def test_a_variable_that_sets_nothing_or_nonsense_is_refused_by_name(file, name, text, field):
    with pytest.raises(ConfigurationError) as caught:
        load(file, {name: text})
    assert (f"environment {name}", field) in {(one.file, one.field) for one in caught.value.problems}


def test_other_variables_are_not_looked_at(file):
    load(
        file, {"OPENAI_API_KEY": "x", "macroslow__server__listen": "x", "MACROSLOW_X": "x", "PATH": "\udcff"}
    )
