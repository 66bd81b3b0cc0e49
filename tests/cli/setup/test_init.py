"""`macroslow init`: everything to start from, nothing overwritten, no secret where others read it."""

import json
import re
import stat

import pytest

from macroslow.adapters.dotenv import parse
from macroslow.settings import load

KEY = "sk-canary-4f9a77c1b2d3"
SEED_NAMES = {
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GOOGLE_API_KEY",
    "UNSPLASH_ACCESS_KEY",
    "UNSPLASH_SECRET_ACCESS_KEY",
    "PIXABAY_API_KEY",
    "ENVIRONMENT",
    "LOG_LEVEL",
    "PORT",
}


def test_two_commands_from_nothing_to_a_good_configuration(process, tmp_path):
    ran = process("init", "--provider-key", "-", given=KEY + "\n")
    assert ran.returncode == 0, ran.stderr
    assert re.search(
        r"export OPENAI_BASE_URL=http://127\.0\.0\.1:8000/v1\n +export OPENAI_API_KEY=msk_\S+\n", ran.stdout
    )
    assert KEY not in ran.stdout + ran.stderr
    assert process("config", "check").returncode == 0
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / ".macroslow").stat().st_mode) == 0o700
    holding = [
        path.name for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]
    assert holding == [".env"]
    assert {".env", ".macroslow/"} <= set((tmp_path / ".gitignore").read_text().splitlines())


def test_a_second_init_changes_nothing_and_makes_no_key(macroslow, tmp_path):
    macroslow("init", "--provider-key", "env:OPENAI_API_KEY")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    ran = macroslow("init", "--profile", "chimera", "--json")
    shown = json.loads(ran.stdout)
    assert ran.returncode == 0
    assert (shown["wrote"], len(shown["kept"]), shown["client"]) == ([], 5, {})
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_what_is_there_already_is_kept_and_a_gitignore_that_lets_secrets_through_is_told(macroslow, tmp_path):
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / ".env").write_text("MINE=1\n")
    shown = json.loads(macroslow("init", "--json").stdout)
    assert sorted(shown["kept"]) == [".env", ".gitignore"]
    assert (tmp_path / ".env").read_text() == "MINE=1\n"
    assert any("not ignored by Git yet" in note and ".env  .macroslow/" in note for note in shown["notes"])


def test_a_key_for_a_dotenv_that_exists_is_refused_before_anything_is_written(macroslow, tmp_path):
    (tmp_path / ".env").write_text("MINE=1\n")
    ran = macroslow("init", "--provider-key", "-", given=KEY)
    assert ran.returncode == 2
    assert ".env is there already" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize("option", [KEY, "vault:x", "env:", "changeme"])
def test_a_key_on_the_command_line_is_refused_without_being_repeated(macroslow, tmp_path, option):
    ran = macroslow("init", "--provider-key", option)
    assert ran.returncode == 2
    assert KEY not in ran.stdout + ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["changeme\n", "", "msk_4f9a77c1b2d3\n"])
def test_a_key_that_can_be_none_is_refused_before_anything_is_written(macroslow, tmp_path, given):
    assert macroslow("init", "--provider-key", "-", given=given).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_without_a_key_it_says_where_the_key_goes(macroslow, tmp_path):
    ran = macroslow("init", "sub/folder")
    assert ran.returncode == 0
    assert "write OPENAI_API_KEY=… into sub/folder/.env" in ran.stdout
    assert "cd sub/folder && macroslow config check" in ran.stdout
    assert macroslow("config", "check", at=tmp_path / "sub/folder").returncode == 78


def test_a_key_that_the_environment_has_is_used_from_there(macroslow, tmp_path):
    ran = macroslow("init", environ={"OPENAI_API_KEY": KEY})
    assert "key is missing" not in ran.stdout
    assert KEY not in (tmp_path / ".env").read_text()
    assert macroslow("config", "check", environ={"OPENAI_API_KEY": KEY}).returncode == 0


@pytest.mark.parametrize("profile", ["chimera", "glastonbury"])
def test_a_profile_that_cannot_start_yet_is_written_and_said(macroslow, tmp_path, profile):
    ran = macroslow("init", "--profile", profile, "--provider-key", "env:OPENAI_API_KEY")
    assert ran.returncode == 0
    assert "cannot start in this version" in ran.stdout
    assert f'profile = "{profile}"' in (tmp_path / "macroslow.toml").read_text()
    assert macroslow("config", "check").returncode == 78
    assert not (tmp_path / ".macroslow").exists()


def test_a_folder_that_cannot_be_written_is_told(macroslow, tmp_path):
    (tmp_path / "file").write_text("")
    ran = macroslow("init", "file/sub")
    assert ran.returncode == 2
    assert ran.stderr == "macroslow: [Errno 20] Not a directory: 'file/sub'\n"


def test_the_templates_name_what_the_seeds_name_and_the_commented_settings_are_real(macroslow, tmp_path):
    macroslow("init", "--provider-key", "env:OPENAI_API_KEY")
    assert {line.name for line in parse((tmp_path / ".env.template").read_text())} == SEED_NAMES
    uncommented = re.sub(r"(?m)^#(?=[A-Z])", "", (tmp_path / ".env").read_text())
    assert {line.name for line in parse(uncommented)} == SEED_NAMES
    text = (tmp_path / "macroslow.toml").read_text()
    (tmp_path / "all.toml").write_text(re.sub(r"(?m)^#(?=[a-z\[])", "", text))
    settings = load(tmp_path / "all.toml", {})
    plain = load(tmp_path / "macroslow.toml", {})
    assert set(settings.apis) == {"openweathermap"}
    assert set(settings.mcp.servers) == {"tickets", "notes"}
    assert settings.server.max_body_bytes == plain.server.max_body_bytes
    assert settings.log_origin == plain.log_origin
    assert settings.sandbox == plain.sandbox
