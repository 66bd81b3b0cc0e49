"""`macroslow config` as a person meets it."""

import json
import tomllib

import pytest

GOOD = """[gateway]
name = "edge"

[providers.openai]
base_url = "https://api.openai.com/v1"
key = "env:OPENAI_API_KEY"
"""
KEY = "sk-canary-4f9a77c1b2d3"
HOOK = "whsec_Zk1LQ0tQ0mJt5mWb9k2l1s3o8Jq7XyVv"


@pytest.fixture
def good(tmp_path):
    (tmp_path / "macroslow.toml").write_text(GOOD)
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"LOG_LEVEL=debug\nOPENAI_API_KEY={KEY}\n")
    dotenv.chmod(0o600)
    return tmp_path


def test_show_says_where_each_value_comes_from_and_shows_no_secret(macroslow, good):
    ran = macroslow("config", "show", environ={"PORT": "9000", "MACROSLOW__SERVER__SHUTDOWN_GRACE_S": "7"})
    lines = {line.partition("  # ")[0].strip(): line.partition("  # ")[2] for line in ran.stdout.splitlines()}
    assert ran.returncode == 0
    assert lines['name = "edge"'] == "macroslow.toml:2"
    assert lines['key = "env:OPENAI_API_KEY"'] == "macroslow.toml:6"
    assert lines['log_level = "debug"'] == ".env:1"
    assert lines['listen = "127.0.0.1:9000"'] == "environment PORT"
    assert lines["shutdown_grace_s = 7.0"] == "environment MACROSLOW__SERVER__SHUTDOWN_GRACE_S"
    assert lines["max_body_bytes = 8388608"] == "default"
    assert KEY not in ran.stdout + ran.stderr


def test_what_is_shown_reads_back_as_the_same_settings(macroslow, good, tmp_path):
    first = macroslow("config", "show")
    tomllib.loads(first.stdout)
    (tmp_path / "again.toml").write_text(first.stdout)
    shown = [macroslow("config", "show", "--json", *extra) for extra in ([], ["--config", "again.toml"])]
    first_settings, again_settings = [json.loads(ran.stdout)["settings"] for ran in shown]
    assert again_settings == first_settings


def test_show_as_json_is_one_object_on_one_line(macroslow, good):
    ran = macroslow("config", "show", "--json")
    assert ran.stdout.count("\n") == 1
    shown = json.loads(ran.stdout)
    assert shown["settings"]["providers"]["openai"]["key"] == "env:OPENAI_API_KEY"
    assert shown["origins"]["gateway.name"] == "macroslow.toml:2"
    assert KEY not in ran.stdout


def test_check_of_a_good_configuration_says_so(macroslow, good):
    ran = macroslow("config", "check")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("macroslow.toml: good (1 provider, 0 outside APIs, 1 secret found")


def test_check_warns_of_an_issuer_whose_tokens_can_do_nothing(macroslow, good):
    issuer = '\n[auth.issuers.main]\npreset = "auth0"\ndomain = "acme.auth0.com"\naudiences = ["a"]\n'
    (good / "macroslow.toml").write_text(GOOD + issuer)
    ran = macroslow("config", "check")
    assert (ran.returncode, "1 issuer" in ran.stdout) == (0, True)
    assert ran.stderr.startswith(
        "warning: macroslow.toml:8: auth.issuers.main: none of its tokens has a scope"
    )


def test_check_warns_of_what_a_start_notes(macroslow, tmp_path):
    (tmp_path / "macroslow.toml").write_text(
        '[gateway]\nenvironment = "prod"\n[server]\nlisten = "0.0.0.0:8000"\n'
    )
    ran = macroslow("config", "check")
    assert ran.returncode == 0
    for told in ("plain HTTP, and not for this machine alone", "no provider is configured"):
        assert f"warning: {told}" in ran.stderr
    assert 'fix: did you mean "production"?' in ran.stderr


def test_check_tells_all_problems_of_the_file_at_once_and_exits_78(process, good):
    (good / "macroslow.toml").write_text(GOOD.replace("base_url", "bas_url") + "[server]\nlisten = 8000\n")
    ran = process("config", "check")
    assert ran.returncode == 78
    assert ran.stdout.splitlines() == [
        "macroslow.toml:4: providers.openai.base_url: is not set, and has no default",
        "    fix: add base_url = …",
        "macroslow.toml:5: providers.openai.bas_url: there is no such setting",
        '    fix: did you mean "base_url"?',
        "macroslow.toml:8: server.listen: should be a valid string",
        "    fix: write it in quotes",
    ]


def test_where_settings_are_wrong_the_last_line_says_that_no_secret_was_looked_for(macroslow, good):
    (good / ".env").write_text("")
    missing = macroslow("config", "check").stderr
    assert missing == "1 problem: `macroslow serve` would not start\n"
    (good / "macroslow.toml").write_text(GOOD + "[server]\nlisten = 8000\n")
    hidden = macroslow("config", "check").stderr
    assert hidden == f"{missing.strip()}; secrets were not looked for: mend that first\n"


@pytest.mark.parametrize(
    "content",
    ["", "OPENAI_API_KEY=\n", "OPENAI_API_KEY=your_api_key_here\n", "OPENAI_API_KEY=msk_4f9a77c1b2d3\n"],
)
def test_a_secret_that_is_missing_empty_a_placeholder_or_ours_is_a_problem_with_its_place(
    macroslow, good, content
):
    (good / ".env").write_text(content)
    ran = macroslow("config", "check", "--json")
    assert ran.returncode == 78
    (problem,) = json.loads(ran.stdout)["problems"]
    assert (problem["file"], problem["line"], problem["field"]) == (
        "macroslow.toml",
        6,
        "providers.openai.key",
    )
    assert "env:OPENAI_API_KEY" in problem["message"]


def test_check_warns_of_a_dotenv_that_others_read_and_of_a_name_set_twice(macroslow, good):
    (good / ".env").write_text(f"OPENAI_API_KEY=x-old-key\nOPENAI_API_KEY={KEY}\n")
    (good / ".env").chmod(0o644)
    ran = macroslow("config", "check")
    assert ran.returncode == 0
    assert ".env: every user of this machine can read it (fix: chmod 600 .env)" in ran.stderr
    assert ".env: OPENAI_API_KEY is set 2 times, and the last line counts" in ran.stderr


def test_a_configuration_that_is_not_there_is_told_with_what_makes_one(macroslow):
    ran = macroslow("config", "show", "--config", "none.toml")
    assert ran.returncode == 78
    assert "none.toml cannot be read: No such file or directory" in ran.stderr
    assert "fix: macroslow init" in ran.stderr


def test_the_schema_is_json(macroslow):
    assert json.loads(macroslow("config", "schema").stdout)["title"] == "Settings"


GOVERNED = """
[gateway]
mode = "observe"

[[providers.openai.keys]]
key = "env:OPENAI_API_KEY"

[providers.openai.keys.limits]
rpm = 3

[providers.openai]
base_url = "https://api.openai.com/v1"
usage_key = "env:ADMIN"

[[budgets]]
for = "team"
period = "day"
usd = 2.5

[[alerts.webhooks]]
url = "https://hooks.example/x"
secret = "env:HOOK"
"""


def test_lists_of_tables_are_shown_as_they_are_written_and_read_back(macroslow, good, tmp_path):
    (good / "macroslow.toml").write_text(GOVERNED)
    shown = macroslow("config", "show").stdout
    assert "[[budgets]]" in shown
    lines = {line.partition("  # ")[0].strip(): line.partition("  # ")[2] for line in shown.splitlines()}
    assert lines['for = "team"'] == "macroslow.toml:16"
    assert lines["rpm = 3"] == "macroslow.toml:9"
    (tmp_path / "again.toml").write_text(shown)
    first, again = (
        json.loads(macroslow("config", "show", "--json", *extra).stdout)
        for extra in ([], ["--config", "again.toml"])
    )
    assert again["settings"] == first["settings"]
    assert first["origins"]["budgets[0].usd"] == "macroslow.toml:18"


def test_check_looks_for_the_keys_of_reports_and_webhooks_too(macroslow, good):
    (good / "macroslow.toml").write_text(GOVERNED)
    (problem,) = json.loads(macroslow("config", "check", "--json").stdout)["problems"]
    assert (problem["field"], problem["line"]) == ("alerts.webhooks[0].secret", 22)
    unread = macroslow("config", "check", environ={"HOOK": HOOK})  # no server reads it
    assert (unread.returncode, "2 secrets found" in unread.stdout) == (0, True)
    assert "warning: macroslow.toml:13: providers.openai.usage_key: env:ADMIN " in unread.stderr
    assert "only usage reconcile needs it" in unread.stderr
    assert macroslow("doctor", environ={"HOOK": HOOK}).stdout.splitlines()[-1] == "configuration is good"
    listed = macroslow("secrets", "check", environ={"HOOK": HOOK})
    assert (listed.returncode, "providers.openai.usage_key        REFUSED" in listed.stdout) == (1, True)
    found = macroslow("config", "check", environ={"ADMIN": KEY, "HOOK": HOOK})
    assert "3 secrets found" in found.stdout
    assert "1 budget, refuses nothing: mode observe" in found.stdout


@pytest.mark.parametrize("text", ["abc", "changeme", KEY, "whsec_abcd"])
def test_a_webhooks_secret_is_told_what_it_has_to_be(macroslow, good, text):
    (good / "macroslow.toml").write_text(GOVERNED)
    environ = {"ADMIN": KEY, "HOOK": text}
    (problem,) = json.loads(macroslow("config", "check", "--json", environ=environ).stdout)["problems"]
    assert (problem["field"], problem["line"]) == ("alerts.webhooks[0].secret", 22)
    assert problem["message"] == "env:HOOK is no webhook's secret: whsec_ and 24 to 64 bytes in base64"
    assert "openssl rand -base64 32" in problem["fix"]
    told = macroslow("secrets", "check", environ=environ)
    assert (told.returncode, "env:HOOK is no webhook's secret" in told.stdout) == (1, True)


MISTAKEN = """[providers.a]
base_url = "https://api.openai.com/v1"
models = ["gpt-9", "gpt-4o"]

[models.x]
alias_of = "y"

[models.y]
alias_of = "x"

[models."gpt-4.1"]
fallbacks = ["gpt-99"]

[server.tls]
certificate = "none.pem"
key = "none.key"
"""


def test_check_finds_all_that_stops_a_start_and_serve_says_it_with_the_same_places(
    macroslow, process, tmp_path
):
    (tmp_path / "macroslow.toml").write_text(MISTAKEN)
    checked = macroslow("config", "check")
    assert checked.returncode == 78
    places = [
        "macroslow.toml:6: models.x.alias_of: goes round in a circle",
        "macroslow.toml:9: models.y.alias_of: goes round in a circle",
        "macroslow.toml:12: models.\"gpt-4.1\".fallbacks: names 'gpt-99', which is no model",
        "macroslow.toml:14: server.tls: TLS cannot be served",
    ]
    assert all(place in checked.stdout for place in places), checked.stdout
    assert "4 problems" in checked.stderr
    (tmp_path / "macroslow.toml").write_text(MISTAKEN.partition("[server.tls]")[0])
    served = process("serve", "--listen", "127.0.0.1:0")
    assert served.returncode == 78
    assert all(place in served.stderr for place in places[:3]), served.stderr


def test_check_warns_of_a_listed_model_that_serves_nothing_and_says_what_it_did_not_try(macroslow, tmp_path):
    (tmp_path / "macroslow.toml").write_text(
        MISTAKEN.partition("[models.x]")[0] + '[state]\nrates = "env:RATES"\n'
    )
    ran = macroslow("config", "check", environ={"RATES": "redis://127.0.0.1:1/0"})
    assert ran.returncode == 0, ran.stdout
    assert 'warning: macroslow.toml:3: providers.a.models[0]: "gpt-9" serves nothing' in ran.stderr
    assert "rates not tried" in ran.stdout


def test_servers_are_counted_and_words_that_lead_nowhere_are_told(macroslow, tmp_path):
    (tmp_path / "macroslow.toml").write_text('[mcp.servers.notes]\ncommand = ["no-such-program"]\n')
    done = macroslow("config", "check")
    assert (done.returncode, "1 MCP server" in done.stdout) == (0, True)
    assert "warning: mcp.servers.notes.command: no-such-program is not in " in done.stderr
