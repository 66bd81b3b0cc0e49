"""`macroslow usage` and `keys set` as an operator meets them: amounts, tables, CSV, verdicts."""

import csv
import io
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ports import held_port

from macroslow.cli import reconcile as reconcile_command
from macroslow.cli import usage as usage_command


@pytest.fixture
def at_home(macroslow, tmp_path: Path):
    (tmp_path / "macroslow.toml").write_text('[sandbox]\nbackend = "none"\n')
    made = macroslow(
        "keys", "create", "ann", "--budget", "2.50", "--team", "lab", "--budget-day", "1", "--json"
    )
    macroslow.key = json.loads(made.stdout)
    return macroslow


# keys


def test_a_key_has_a_team_and_budgets_by_day_and_month(at_home) -> None:
    assert (at_home.key["team"], at_home.key["day_usd_micros"], at_home.key["month_usd_micros"]) == (
        "lab",
        1_000_000,
        None,
    )
    assert "lab" in at_home("keys", "list").stdout
    shown = at_home("keys", "show", at_home.key["id"]).stdout
    assert re.search(r"^budget by day +\$1.00$", shown, re.MULTILINE)
    assert re.search(r"^budget by month +no bound$", shown, re.MULTILINE)


def test_a_new_keys_budgets_are_told_and_that_it_has_none(at_home) -> None:
    told = at_home("keys", "create", "bob", "--budget-day", "1", "--budget-month", "20", "--export").stderr
    assert "for bob, $1.00 a day, $20.00 a month. It is not shown again.\n" in told
    unlimited = at_home("keys", "create", "carl").stderr
    assert "for carl, NO budget: it may spend without limit." in unlimited
    assert "fix: macroslow keys set " in unlimited
    rows = [line.split() for line in at_home("keys", "list").stdout.splitlines()]
    assert rows[0][-9:] == ["SPENT", "BUDGET", "A", "DAY", "A", "MONTH", "EXPIRES", "LAST", "USED"]
    assert {tuple(row[-5:-2]) for row in rows[1:]} == {
        ("$2.50", "$1.00", "-"), ("-", "$1.00", "$20.00"), ("-", "-", "-")
    }  # fmt: skip


def test_a_budget_by_day_that_comes_later_says_from_when_it_counts(at_home) -> None:
    key_id = at_home.key["id"]
    assert "is not counted in that" in at_home("keys", "set", key_id, "--budget-month", "9").stderr
    assert at_home("keys", "set", key_id, "--budget-month", "none", "--rpm", "9").stderr == ""


def test_a_budget_is_raised_lowered_and_taken_away(at_home) -> None:
    key_id = at_home.key["id"]
    arguments = ["--budget", "7", "--budget-day", "none", "--rpm", "9", "--team", "", "--note", "new"]
    shown = at_home("keys", "set", key_id, *arguments, "--json")
    told = json.loads(shown.stdout)
    assert (told["budget_usd_micros"], told["day_usd_micros"]) == (7_000_000, None)
    assert (told["requests_per_minute"], told["team"], told["note"]) == (9, "", "new")
    assert (
        json.loads(at_home("keys", "set", key_id, "--rpm", "none", "--json").stdout)["requests_per_minute"]
        is None
    )
    tail = json.loads(at_home("audit", "tail", "--json").stdout)["entries"]
    assert [entry["type"] for entry in tail] == ["key-created", "key-changed", "key-changed"]
    assert tail[1]["fields"]["changed"]["budget_usd_micros"] == {"from": 2_500_000, "to": 7_000_000}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "Nothing to change"),
        (["--budget", "-1"], 2, "-1"),
        (["--budget", "None"], 2, "2.50"),
        (["--rpm", "0"], 2, "1 or more"),
        (["--weight", "0"], 2, "--weight"),
        (["--weight", "101"], 2, "weight"),
        (["--team", "a b"], 2, "team"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(at_home, arguments, code, told) -> None:
    ran = at_home("keys", "set", at_home.key["id"], *arguments)
    assert (ran.returncode, told in ran.stderr) == (code, True)
    assert len(json.loads(at_home("audit", "tail", "--json").stdout)["entries"]) == 1


def test_nobody_changes_a_key_that_is_not_there_or_revoked(at_home) -> None:
    assert at_home("keys", "set", "nobody", "--weight", "2").returncode == 1
    at_home("keys", "revoke", at_home.key["id"])
    ran = at_home("keys", "set", at_home.key["id"], "--weight", "2")
    assert (ran.returncode, "is revoked" in ran.stderr) == (1, True)


def test_new_keys_get_what_the_configuration_says(macroslow, tmp_path) -> None:
    (tmp_path / "macroslow.toml").write_text("[keys]\nbudget_day_usd = 3\nbudget_month_usd = 40.5\n")
    made = json.loads(macroslow("keys", "create", "bob", "--json").stdout)
    assert (made["day_usd_micros"], made["month_usd_micros"]) == (3_000_000, 40_500_000)


# reports


def test_budgets_are_shown_with_what_is_left(at_home) -> None:
    lines = at_home("usage", "--budgets").stdout.splitlines()
    assert lines[0].split() == ["BUDGET", "LIMIT", "SPENT", "HELD", "LEFT", "RESETS", "(UTC)"]
    assert lines[1].split() == [
        f"key/{at_home.key['id']}", "$2.500000", "$0.000000", "$0.000000", "$2.500000", "-"
    ]  # fmt: skip


def test_csv_has_a_header_exact_dollars_and_nothing_else(at_home) -> None:
    ran = at_home("usage", "--csv")
    (row,) = csv.DictReader(io.StringIO(ran.stdout))
    assert (row["key"], row["usd"], row["budget_usd"]) == (at_home.key["id"], "0.000000", "2.500000")
    assert ran.stdout.startswith("key,principal,calls,input_tokens,output_tokens,usd,held_usd,budget_usd")
    assert at_home("usage", "--budgets", "--csv").stdout.startswith("budget,limit_usd,spent_usd,")
    assert at_home("usage", "--by", "model", "--csv").stdout == ""
    for other in ("--json", "--watch"):
        assert at_home("usage", "--csv", other).returncode == 2


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_spreadsheet_runs_what_a_client_wrote_into_a_tag(text: str) -> None:
    assert str(usage_command._cell("key", text)).startswith("'")
    assert usage_command._cell("calls", -1) == -1


def test_days_bound_a_report_and_what_is_no_day_is_refused(at_home) -> None:
    assert at_home("usage", "--by", "team", "--from", "2026-01-01", "--to", "2026-01-31").returncode == 0
    for day in ("January", "2026-13-01"):
        ran = at_home("usage", "--from", day)
        assert (ran.returncode, f"'{day}' is not a day" in ran.stderr, "2026-01-31" in ran.stderr) == (
            2,
            True,
            True,
        )


# the provider's own count


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[str]:
    """An emulator as a process; its base URL."""
    command = [sys.executable, "-m", "macroslow", "emulator", "--listen", "127.0.0.1:0", "--limits", "none"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())):
            assert process.poll() is None
        yield f"{found[0]}/v1"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def around_the_gateway(base_url: str) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9}
    headers = {"authorization": "Bearer sk-emulator-1", "content-type": "application/json"}
    request = urllib.request.Request(f"{base_url}/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        answer.read()


def test_spending_around_the_gateway_is_a_verdict(at_home, provider: str, tmp_path: Path) -> None:
    (tmp_path / "macroslow.toml").write_text(
        f'[providers.openai]\nbase_url = "{provider}"\nemulator = true\nusage_key = "env:ADMIN"\n'
    )
    environ = {"ADMIN": "sk-emulator-admin-canary"}
    agrees = at_home("usage", "reconcile", environ=environ)
    assert (agrees.returncode, "AGREES  openai" in agrees.stdout) == (0, True), agrees.stderr
    assert "look again tomorrow" in agrees.stdout
    around_the_gateway(provider)
    more = at_home("usage", "reconcile", environ=environ)
    assert (more.returncode, "MORE THERE  openai" in more.stdout) == (1, True)
    assert re.search(r"^20\d\d-\d\d-\d\d +gpt-4o +\d+ +9$", more.stdout, re.MULTILINE), more.stdout
    told = json.loads(at_home("usage", "reconcile", "--json", environ=environ).stdout)
    assert told["providers"][0]["agrees"] is False
    assert told["providers"][0]["surpluses"][0]["model"] == "gpt-4o"
    past = ["--from", "2020-01-01", "--to", "2020-01-02"]
    assert at_home("usage", "reconcile", *past, environ=environ).returncode == 0
    undecided = at_home("usage", "reconcile", environ={"ADMIN": "sk-emulator-1"})
    assert (undecided.returncode, "CANNOT DECIDE  openai" in undecided.stdout) == (2, True)
    assert "did not accept env:ADMIN, which providers.openai.usage_key names" in undecided.stdout
    for ran in (agrees, more, undecided):
        assert "canary" not in ran.stdout + ran.stderr


def test_a_provider_that_counted_nothing_of_what_is_booked_is_no_agreement(
    at_home, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "macroslow.toml").write_text(
        f'[providers.openai]\nbase_url = "{provider}"\nemulator = true\nusage_key = "env:ADMIN"\n'
    )
    row = {"model": "gpt-4o", "calls": 1, "input_tokens": 9, "output_tokens": 5, "usd_micros": 1790}

    def booked(_settings: object, _verb: str, *, last_day: str, **_: str) -> dict[str, object]:
        return {"rows": [{"day": last_day, **row}]}

    monkeypatch.setattr(reconcile_command, "ask_with", booked)
    ask = ["usage", "reconcile", "--project", "foo"]
    ran = at_home(*ask, environ={"ADMIN": "sk-emulator-admin-canary"})
    assert ran.returncode == 2, ran.stderr
    assert "CANNOT DECIDE  openai: the provider counted nothing, though $0.001790 is booked: " in ran.stdout
    assert "--project foo of the account of providers.openai.usage_key" in ran.stdout
    assert "AGREES" not in ran.stdout
    told = json.loads(at_home(*ask, "--json", environ={"ADMIN": "sk-emulator-admin-canary"}).stdout)
    assert told["providers"][0]["agrees"] is None
    assert "counted nothing" in told["providers"][0]["error"]


def test_a_usage_api_that_is_not_there_is_told_with_its_address(at_home, tmp_path: Path) -> None:
    with held_port() as port:
        (tmp_path / "macroslow.toml").write_text(
            '[providers.p]\nbase_url = "http://127.0.0.1:9/v1"\nusage_key = "env:ADMIN"\n'
            f'usage_url = "http://127.0.0.1:{port}/v1"\n'
        )
        ran = at_home("usage", "reconcile", environ={"ADMIN": "sk-emulator-admin-canary"})
    where = f"http://127.0.0.1:{port}: connection refused; see usage_url of providers.p"
    assert (ran.returncode, where in ran.stdout) == (2, True), ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "No provider has a usage_key"),
        (["--provider", "x"], "There is no provider x: the configuration has p."),
        (["--provider", "p"], "Provider p has no usage_key: write a reference"),
        (["--from", "2026-13-01"], "'2026-13-01' is not a day fix: write for example 2026-01-31"),
        (["--to", "20260131"], "'20260131' is not a day"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "before the first"),
    ],
)
def test_what_cannot_be_compared_is_no_verdict(at_home, tmp_path: Path, arguments, told) -> None:
    (tmp_path / "macroslow.toml").write_text('[providers.p]\nbase_url = "http://127.0.0.1:9/v1"\n')
    ran = at_home("usage", "reconcile", *arguments)
    assert (ran.returncode, told in " ".join(ran.stderr.split())) == (2, True), ran.stderr
