"""`macroslow import litellm`: shown first, written once, and an agent goes on with its key."""

import hashlib
import json
import tomllib
from pathlib import Path

import pytest

from macroslow.bootstrap.models.catalogue import complete_catalogue
from macroslow.settings import load

CONFIG = """model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
  - model_name: 'odd"name]'
    litellm_params:
      model: openai/gpt-4o-mini
      api_key: sk-canary-in-clear
general_settings:
  master_key: sk-canary-master
"""
TOKEN = hashlib.sha256(b"sk-agent-7").hexdigest()
NARROW = hashlib.sha256(b"sk-agent-8").hexdigest()
KEYS = f"token,key_alias,models,max_budget\n{TOKEN},agent-7,{{}},5\n{NARROW},agent-8,{{gpt-4o}},\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "keys.csv").write_text(KEYS)
    return tmp_path


def test_without_write_nothing_is_made_and_all_is_shown(macroslow, files: Path) -> None:
    ran = macroslow("import", "litellm", "config.yaml", "--keys", "keys.csv")
    assert sorted(path.name for path in files.iterdir()) == ["config.yaml", "keys.csv"]
    settings = tomllib.loads(ran.stdout)
    assert [(one["models"], one["key"]) for one in settings["providers"].values()] == [
        (["gpt-4o"], "env:OPENAI_API_KEY"),
        (["gpt-4o-mini"], "env:OPENAI_API_KEY_2"),
    ]
    assert settings["models"] == {'odd"name]': {"alias_of": "gpt-4o-mini"}}
    assert "# config.yaml:2" in ran.stdout
    assert 'config.yaml:9: odd"name].api_key: the key stands in the file itself' in ran.stderr
    assert "config.yaml:11: general_settings.master_key: never carried" in ran.stderr
    assert "key 1 (agent-7): would be taken" in ran.stderr
    assert "key 2 (agent-8): refused; is restricted by models" in ran.stderr
    assert "budgets of teams and users stand in other tables" in ran.stderr
    assert '[[budgets]] with for = "principal", name = "agent-7", period = "month" and usd' in ran.stderr
    assert ran.stderr.endswith("\nNothing was written, and no key taken: --write DIR does that.\n")
    assert "canary" not in ran.stdout + ran.stderr
    assert TOKEN not in ran.stdout + ran.stderr
    assert ran.returncode == 1


def test_what_is_written_is_a_configuration_and_the_keys_are_its_gateways(macroslow, files: Path) -> None:
    ran = macroslow("import", "litellm", "config.yaml", "--keys", "keys.csv", "--write", "new", "--json")
    told = json.loads(ran.stdout)
    assert [key["outcome"] for key in told["keys"]] == ["adopted", "refused"]
    assert (files / "new" / "macroslow.toml").read_text() == told["macroslow_toml"]
    assert told["wrote"] == ["macroslow.toml", ".gitignore", ".env.template"]
    template = (files / "new" / ".env.template").read_text().splitlines()
    assert [line for line in template if not line.startswith("#")] == [
        "OPENAI_API_KEY=your_api_key_here", "OPENAI_API_KEY_2=your_api_key_here"
    ]  # fmt: skip
    listed = macroslow("keys", "list", at=files / "new").stdout
    assert listed.splitlines()[1].startswith("legacy")
    assert "replace it with a key of our own" in listed
    again = macroslow("import", "litellm", "config.yaml", "--write", "new")
    assert (again.returncode, "is there already and is not changed" in again.stderr) == (2, True)
    keys = macroslow("import", "litellm", "--keys", "keys.csv", "--write", "new", "--without-restrictions")
    assert (keys.returncode, "key 1 (agent-7): known" in keys.stderr) == (0, True)
    assert "key 2 (agent-8): adopted; models is no longer in force" in keys.stderr
    for path in files.joinpath("new").rglob("*"):
        if path.is_file():
            assert b"canary" not in path.read_bytes()
            assert TOKEN.encode() not in path.read_bytes()


def test_what_was_written_and_what_comes_next_is_told(macroslow, files: Path) -> None:
    (files / "new").mkdir()
    (files / "new" / ".gitignore").write_text(".env\n")
    ran = macroslow("import", "litellm", "config.yaml", "--write", "new")
    assert "Nothing was written" not in ran.stderr
    assert ran.stdout == (
        "wrote  new/macroslow.toml\nwrote  new/.env.template\n"
        "kept   new/.gitignore (it was there already)\n\nNext:\n  cd new\n"
        "  cp .env.template .env && chmod 600 .env   # and write the keys into it\n"
        "  macroslow config check && macroslow serve\n"
    )
    assert (files / "new" / ".gitignore").read_text() == ".env\n"


UNPRICED = """model_list:
  - model_name: azure-4
    litellm_params:
      model: azure/my-gpt4-deployment
      api_base: https://x.openai.azure.com
      api_key: os.environ/AZURE
  - model_name: gpt-4o-mini
    litellm_params:
      model: azure/gpt-4o-mini
      api_base: https://x.openai.azure.com
      api_key: os.environ/AZURE
    model_info:
      input_cost_per_token: 0.0000002
      output_cost_per_token: 0.0000008
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/CLAUDE
"""


def test_what_is_written_serves_every_name_once_the_missing_prices_stand_there(macroslow, tmp_path: Path):
    (tmp_path / "config.yaml").write_text(UNPRICED)
    ran = macroslow("import", "litellm", "config.yaml", "--write", "new")
    assert ran.returncode == 0
    file = tmp_path / "new" / "macroslow.toml"
    environ = {"AZURE": "azure-canary-0a1b2c3d4e5f", "CLAUDE": "sk-ant-canary-0a1b2c3d4e5f"}
    assert macroslow("config", "check", at=file.parent, environ=environ).returncode == 0
    marked, taken = "[models.my-gpt4-deployment]", file.read_text()
    assert f"# {marked}  # config.yaml:2" in taken
    head, _, waiting = taken.partition("#\n# [models.my-gpt4-deployment]")
    waiting = f"# {marked}{waiting}".replace("input_usd =", "input_usd = 1").replace(
        "output_usd =", "output_usd = 2"
    )
    file.write_text(head + "\n".join(line.removeprefix("# ") for line in waiting.splitlines()))
    checked = macroslow("config", "check", at=file.parent, environ=environ)
    assert (checked.returncode, checked.stderr) == (0, "")
    catalogue = complete_catalogue(load(file, {}))
    for name, provider in (("azure-4", "azure"), ("my-gpt4-deployment", "azure"), ("claude", "anthropic")):
        assert catalogue.find(name).provider == provider
    mini = catalogue.find("gpt-4o-mini")
    assert (mini.prices.input_usd_micros, mini.counting) == (200_000, "exact")
    assert mini.images is not None


TWICE = """model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI
  - model_name: gpt-4o
    litellm_params:
      model: azure/my-gpt4o
      api_base: https://x.openai.azure.com
      api_key: os.environ/AZURE
"""


def priced(toml: str) -> str:
    """The file after what its end says was done: both prices written, and the marks taken away."""
    head, said, waiting = toml.partition("# marks away: then they are served.\n")
    waiting = waiting.replace("input_usd =", "input_usd = 1").replace("output_usd =", "output_usd = 2")
    return head + said + "\n".join(line.removeprefix("# ") for line in waiting.splitlines())


@pytest.mark.parametrize(("served_first", "has_table"), [("gpt-4o", False), ("gpt-4.1", True)])
def test_a_name_of_two_providers_stays_with_the_one_that_has_a_price_and_falls_back_on_the_other(
    macroslow, tmp_path: Path, served_first: str, has_table: bool
) -> None:
    (tmp_path / "config.yaml").write_text(TWICE.replace("openai/gpt-4o", f"openai/{served_first}"))
    ran = macroslow("import", "litellm", "config.yaml", "--write", "new")
    told = f"config.yaml:6: gpt-4o: no price of 'my-gpt4o' is known: '{served_first}' serves the name"
    assert told in ran.stderr
    file = tmp_path / "new" / "macroslow.toml"
    assert ("# # In [models.gpt-4o], which stands above" in file.read_text()) == has_table
    file.write_text(priced(file.read_text()))
    environ = {"AZURE": "azure-canary-0a1b2c3d4e5f", "OPENAI": "sk-canary-0a1b2c3d4e5f"}
    checked = macroslow("config", "check", at=file.parent, environ=environ)
    assert (checked.returncode, checked.stderr) == (0, "")
    if has_table:
        table = "[models.gpt-4o]\n"
        file.write_text(file.read_text().replace(table, f'{table}fallbacks = ["my-gpt4o"]\n', 1))
    chain = complete_catalogue(load(file, {})).chain("gpt-4o")
    assert [(one.name, one.provider) for one in chain] == [(served_first, "openai"), ("my-gpt4o", "azure")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: &x 1\nb: *x\n", "the alias *x is not read"),
        (b"a: 1\na: 2\n", "appears twice"),
        (b"a: !!python/none\n", "a YAML tag is not read"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"#" * (1024 * 1024 + 1), "is larger than"),
    ],
    ids=["alias", "twice", "tag", "bytes", "large"],
)
def test_a_file_with_surprises_is_not_read(macroslow, tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    ran = macroslow("import", "litellm", "config.yaml")
    assert (ran.returncode, ran.stdout, told in ran.stderr) == (2, "", True), ran.stderr


def test_a_file_of_a_hundred_mib_is_refused_before_it_is_read(macroslow, tmp_path: Path) -> None:
    for name, arguments in (("config.yaml", []), ("keys.csv", ["--keys"])):
        with (tmp_path / name).open("wb") as file:
            file.truncate(100 * 1024 * 1024)
        ran = macroslow("import", "litellm", *arguments, name)
        assert (ran.returncode, "is larger than" in ran.stderr) == (2, True)


def test_something_must_be_named(macroslow) -> None:
    assert macroslow("import", "litellm").returncode == 2
    assert macroslow("import", "litellm", "nowhere.yaml").returncode == 2
