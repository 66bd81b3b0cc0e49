"""Secrets from the environment, `.env` and files."""

from pathlib import Path

import pytest

from macroslow.adapters.dotenv import EnvironmentSource, FileSource, exposure, read_dotenv
from macroslow.errors import ConfigurationError
from macroslow.secretstore.reference import Reference, Scheme

KEY = "sk-4f9a77c1b2d3"
OTHER = "sk-other-4f9a77c1"
CLIENT = "msk_4f9a77c1b2d3"


async def from_environment(environ: dict[str, str], dotenv: Path | None) -> str:
    return (await EnvironmentSource(environ, dotenv).read(Reference(Scheme.ENV, "K"))).reveal()


async def test_the_environment_comes_before_dotenv(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"K={KEY}\n")
    assert await from_environment({"K": OTHER}, dotenv) == OTHER
    assert await from_environment({}, dotenv) == KEY
    assert await from_environment({"K": ""}, dotenv) == KEY


async def test_a_client_key_in_the_shell_does_not_hide_the_providers_key(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"K={KEY}\n")
    assert await from_environment({"K": CLIENT}, dotenv) == KEY
    assert await from_environment({"K": CLIENT}, None) == CLIENT, "the rules refuse it, and say why"


async def test_an_appended_line_counts_without_a_restart(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"K={OTHER}\n")
    source = EnvironmentSource({}, dotenv)
    reference = Reference(Scheme.ENV, "K")
    assert (await source.read(reference)).reveal() == OTHER
    with dotenv.open("a") as file:
        file.write(f"K={KEY}\n")
    assert (await source.read(reference)).reveal() == KEY


@pytest.mark.parametrize("exists", [True, False])
async def test_a_variable_that_is_set_nowhere_is_refused_with_the_repair(tmp_path, exists):
    if exists:
        (tmp_path / ".env").write_text("OTHER=1\nK=\n")
    with pytest.raises(
        ConfigurationError, match=r"env:K is set neither in the environment nor in \.env"
    ) as caught:
        await from_environment({"K": ""}, tmp_path / ".env")
    assert str(tmp_path / ".env") in caught.value.fix


def test_a_dotenv_that_is_absent_is_empty(tmp_path):
    assert read_dotenv(tmp_path / ".env") == ()


@pytest.mark.parametrize("content", [b"A=\xff", b"A=" + b"x" * 300_000])
def test_a_dotenv_that_is_no_text_or_too_large_is_refused(tmp_path, content):
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigurationError):
        read_dotenv(tmp_path / ".env")


def test_a_dotenv_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigurationError, match="Is a directory"):
        read_dotenv(tmp_path / ".env")


@pytest.mark.parametrize("content", [KEY, KEY + "\n", KEY + "\r\n"])
async def test_a_file_gives_its_text_without_the_last_line_end(tmp_path, content):
    (tmp_path / "key").write_bytes(content.encode())
    secret = await FileSource(tmp_path).read(Reference(Scheme.FILE, "key"))
    assert secret.reveal() == KEY


async def test_a_file_may_be_named_absolutely(tmp_path):
    (tmp_path / "key").write_text(KEY)
    secret = await FileSource(Path("/nowhere")).read(Reference(Scheme.FILE, str(tmp_path / "key")))
    assert secret.reveal() == KEY


@pytest.mark.parametrize("content", [None, b"\xff", b"x" * 100_000])
async def test_a_file_that_gives_no_secret_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"key (cannot be read|is not UTF-8|is larger)"):
        await FileSource(tmp_path).read(Reference(Scheme.FILE, "key"))


@pytest.mark.parametrize(
    ("mode", "who"),
    [
        (0o600, ""),
        (0o400, ""),
        (0o640, "its group"),
        (0o644, "every user"),
        (0o602, "every user"),
        (0o620, "its group"),
    ],
)
def test_it_is_told_who_else_reaches_a_file(tmp_path, mode, who):
    path = tmp_path / "key"
    path.touch()
    path.chmod(mode)
    assert exposure(path).startswith(who)
    assert bool(exposure(path)) == bool(who)


def test_a_file_that_is_absent_is_open_to_nobody(tmp_path):
    assert exposure(tmp_path / "key") == ""
