"""The operator's commands on a state folder of their own: texts, JSON, exit codes, nothing left behind."""

import json
import sqlite3
from pathlib import Path

import pytest

from macroslow.adapters.statefolder import hold, prepare
from macroslow.authn.api_keys import checksum
from macroslow.bootstrap import commands
from macroslow.bootstrap.state import opening as state
from macroslow.cli.audit._entry_lines import line_of
from macroslow.cli.console.columns import columns, usd

CONFIGURATION = '[sandbox]\nbackend = "none"\n'
DOCUMENT = """---
maml_version: "2.0.0"
id: urn:uuid:11111111-2222-4333-8444-555555555555
type: workflow
origin: agent://tester
permissions:
  execute: ["gateway://local"{more}]
---

## Intent

Test.

## Context

None.
"""


@pytest.fixture
def at_home(macroslow, tmp_path: Path):
    """Run commands where a configuration and a state folder with one key are."""
    (tmp_path / "macroslow.toml").write_text(CONFIGURATION)
    made = macroslow("keys", "create", "ann", "--budget", "2.50", "--note", "laptop", "--json")
    macroslow.key = json.loads(made.stdout)
    return macroslow


def data(ran) -> dict:
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    return json.loads(line)


LOOKS = [
    ["keys", "list"], ["keys", "show", "x"], ["keys", "revoke", "x"], ["usage"], ["audit", "verify"],
    ["audit", "tail"], ["audit", "show", "0"], ["audit", "prove", "0"], ["audit", "checkpoint"],
    ["audit", "key"], ["signers", "list"], ["signers", "revoke", "x"], ["jwt", "list"],
    ["jwt", "revoke", "x"],
]  # fmt: skip
BEGINNINGS = [["keys", "create", "x"], ["signers", "trust", "x.pub", "--origin", "agent://x"]]


@pytest.mark.parametrize("arguments", LOOKS, ids=" ".join)
def test_where_no_gateway_is_nothing_is_decided_and_nothing_made(macroslow, tmp_path, arguments) -> None:
    ran = macroslow(*arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no gateway's state" in ran.stderr
    assert "fix:" in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("environ", [{}, {"PORT": "8000", "LOG_LEVEL": "debug", "ENVIRONMENT": "x"}])
@pytest.mark.parametrize("arguments", BEGINNINGS, ids=" ".join)
def test_where_nothing_is_configured_nothing_begins(macroslow, tmp_path, arguments, environ) -> None:
    """A key of no gateway would be one that opens nothing, and looks like any other."""
    macroslow("signers", "new", "x")
    ran = macroslow(*arguments, environ=environ)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no gateway's state" in ran.stderr
    assert not (tmp_path / ".macroslow").exists()


def test_the_first_key_begins_the_state_of_what_a_file_or_variables_configure(macroslow, tmp_path) -> None:
    for name in ("file", "variables"):
        (tmp_path / name).mkdir()
    (tmp_path / "file" / "macroslow.toml").write_text("")
    assert macroslow("keys", "create", "ann", at=tmp_path / "file").returncode == 0
    environ = {"MACROSLOW__STATE__FOLDER": "kept"}
    assert macroslow("keys", "create", "ann", environ=environ, at=tmp_path / "variables").returncode == 0
    assert (tmp_path / "variables" / "kept").is_dir()


# keys


def test_a_new_key_alone_is_on_stdout_and_what_to_know_on_stderr(at_home) -> None:
    ran = at_home("keys", "create", "bob")
    assert ran.stdout.startswith("msk_")
    assert ran.stdout.count("\n") == 1
    assert "not shown again" in ran.stderr


def test_export_prints_what_a_shell_takes(at_home) -> None:
    lines = at_home("keys", "create", "bob", "--export").stdout.splitlines()
    assert lines[0] == "export OPENAI_BASE_URL=http://127.0.0.1:8000/v1"
    assert lines[1].startswith("export OPENAI_API_KEY=msk_")


def test_scopes_and_grants_are_those_that_were_asked_for(at_home) -> None:
    made = data(
        at_home("keys", "create", "bob", "--scope", "mcp:connect", "--scope", "inference:chat",
                "--grant", "api://openai", "--rpm", "5", "--json")
    )  # fmt: skip
    assert made["scopes"] == ["inference:chat", "mcp:connect"]
    assert made["grants"] == ["api://openai"]
    assert made["requests_per_minute"] == 5


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["bob", "--budget", "nan"], 2, "nan"),
        (["bob", "--budget", "-1"], 2, "-1"),
        (["bob", "--budget", "1.0000001"], 2, "steps of $0.000001"),
        (["bob", "--budget", "two"], 2, "2.50"),
        (["bob", "--scope", "all"], 2, "documents:execute"),
        (["bob", "--grant", "everything"], 2, "--grant: 'everything' is no URI"),
        (["bob", "--grant", "api://%2e"], 2, "percent escape"),
        (["bob", "--grant", "api://a/../b"], 2, "dot segment"),
        (["b\nob"], 2, "PRINCIPAL: 1 to 128"),
        (["bob", "--rpm", "0"], 2, "--rpm"),
        (["bob", "--budget", "1e20"], 2, "'1e20' is more than $9007199254.740991"),
        (["bob", "--note", "\x1b[2J"], 2, "--note:"),
        (["bob", "--expires", "soon"], 2, "30d"),
        (["bob", "--expires", "9999-01-01"], 2, "after the year 2261"),
        (["bob", "--expires", "999999d"], 2, "after the year 2261"),
        (["bob", "--expires", "2020-01-01"], 2, "2020-01-01 00:00 UTC has passed"),
        (["bob", "--address", "10.0.0.1/8"], 2, "did you mean 10.0.0.0/8, or 10.0.0.1 alone?"),
        (["bob", "--concurrent", "0"], 2, "--concurrent"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(at_home, arguments, code, told) -> None:
    ran = at_home("keys", "create", *arguments)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert told in ran.stderr
    assert len(data(at_home("keys", "list", "--json"))["keys"]) == 1


def test_keys_are_listed_shown_and_revoked(at_home) -> None:
    key_id = at_home.key["id"]
    assert at_home("keys", "list").stdout.splitlines()[1].split() == [
        key_id, "ann", "in", "force", "$0.00", "$2.50", "never", "never", "laptop"
    ]  # fmt: skip
    shown = at_home("keys", "show", key_id).stdout
    assert "\nbudget             $2.50\n" in shown
    assert "None" not in shown
    assert "_" not in shown
    assert at_home.key["key"] not in shown
    revoked = at_home("keys", "revoke", key_id, "--reason", "lost")
    assert (revoked.returncode, "is revoked since" in revoked.stdout) == (0, True)
    left = at_home("keys", "list")
    assert (left.stdout, key_id in left.stderr) == ("There is no key in force.\n", False)
    assert "keys list --all" in left.stderr
    assert f"{key_id}  ann        revoked" in at_home("keys", "list", "--all").stdout
    for verb in ("show", "revoke"):
        ran = at_home("keys", verb, "nobody")
        assert (ran.returncode, "macroslow keys list" in ran.stderr) == (1, True)


def test_a_rotated_key_is_printed_alone_and_its_id_stays(at_home) -> None:
    key_id = at_home.key["id"]
    ran = at_home("keys", "rotate", key_id, "--overlap", "90m")
    assert ran.stdout.startswith(f"msk_{key_id}_")
    assert ran.stdout.count("\n") == 1
    assert "works until" in ran.stderr
    assert at_home("keys", "rotate", key_id).returncode == 1
    lines = at_home("keys", "rotate", key_id, "--overlap", "0s", "--export").stdout.splitlines()
    assert lines[1].startswith(f"export OPENAI_API_KEY=msk_{key_id}_")
    made = data(at_home("keys", "rotate", key_id, "--json"))
    assert (made["id"], made["generation"], made["overlap_until"] is None) == (key_id, 4, False)
    assert at_home("keys", "rotate", key_id, "--overlap", "soon").returncode == 2


def test_a_scanner_knows_a_key_offline(macroslow, tmp_path: Path) -> None:
    key = "msk_000000000001_0000000000000000000000000000000000000000000"
    key += checksum(key)
    found = macroslow("keys", "check", "-", given=key + "\n")
    assert (found.returncode, "000000000001" in found.stdout, key in found.stdout) == (0, True, False)
    for text in ("", key[:-1], key[:-1] + "!", f" {key}", key * 2, "sk-x", "msk_" + "é" * 5000):
        refused = macroslow("keys", "check", "-", "--json", given=text)
        assert (refused.returncode, json.loads(refused.stdout)) == (1, {"key": False, "id": None})
    typed = macroslow("keys", "check", key)
    assert (typed.returncode, key in typed.stderr, "from stdin" in typed.stderr) == (2, False, True)
    assert list(tmp_path.iterdir()) == []


def test_in_an_emergency_every_key_is_revoked(at_home) -> None:
    at_home("keys", "create", "bob")
    asked = at_home("emergency", "revoke-all", "--reason", "leak")
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    assert at_home("emergency", "revoke-all", "--yes").returncode == 2
    assert (
        len(data(at_home("emergency", "revoke-all", "--reason", "leak", "--yes", "--json"))["revoked"]) == 2
    )
    assert {key["state"] for key in data(at_home("keys", "list", "--json"))["keys"]} == {"revoked"}
    assert "0 keys" in at_home("emergency", "revoke-all", "--reason", "leak", "--yes").stdout


# usage


def test_usage_shows_what_a_key_may_still_spend(at_home) -> None:
    lines = at_home("usage").stdout.splitlines()
    assert " ".join(lines[0].split()) == "KEY PRINCIPAL CALLS TOKENS IN TOKENS OUT SPENT HELD LEFT"
    assert lines[1].split()[:2] == [at_home.key["id"], "ann"]
    assert lines[1].endswith("$2.500000")
    assert len(lines[0]) == len(lines[1])
    assert lines[-1] == "$0.000000 in all"
    assert at_home("usage", "--by", "model").stdout == "Nothing was spent yet.\n"
    assert data(at_home("usage", "--by", "day", "--json")) == {"by": "day", "rows": []}
    assert at_home("usage", "--by", "week").returncode == 2


# audit


def test_a_line_of_the_log_says_first_what_is_looked_for_and_ends_with_ids() -> None:
    fields = {"answer_sha256": "a" * 64, "attempts": 1, "key_id": "k", "model": "m", "outcome": "ok",
              "principal": "ann", "tag": "", "usd_micros": 7, "scopes": []}  # fmt: skip
    entry = {"index": 3, "time": "2026-01-31T12:00:00+00:00", "type": "chat-completed", "fields": fields}
    assert line_of(entry) == (
        "     3  2026-01-31 12:00:00  chat-completed     principal=ann model=m outcome=ok usd_micros=7 "
        "attempts=1 answer_sha256=aaaaaaaaaaaaaaaa… key_id=k"
    )


def test_a_command_line_that_makes_no_sense_is_told_as_every_error(macroslow) -> None:
    bad = ["keys", "set"], ["usage", "--by", "team", "--budgets"], ["tokens", "count", "--x"], ["no"]
    for arguments in bad:
        ran = macroslow(*arguments)
        lines = ran.stderr.splitlines()
        assert (ran.returncode, ran.stdout, len(lines)) == (2, "", 3)
        begins = ("macroslow: ", "  usage: macroslow ", "  fix: macroslow ")
        assert all(line.startswith(begin) for line, begin in zip(lines, begins, strict=True))


def test_the_log_is_read_proved_and_verified(at_home, tmp_path: Path) -> None:
    (line,) = at_home("audit", "tail").stdout.splitlines()
    assert "key-created" in line
    assert "principal=ann" in line
    assert "null" not in line
    assert data(at_home("audit", "tail", "--json"))["size"] == 1
    assert json.loads(at_home("audit", "show", "0").stdout)["type"] == "key-created"
    (tmp_path / "receipt.json").write_text(at_home("audit", "prove", "0").stdout)
    (tmp_path / "log.pub").write_text(at_home("audit", "key").stdout)
    proved = at_home("receipt", "verify", "receipt.json", "--key", "log.pub")
    assert proved.returncode == 0, proved.stderr
    assert "PROVED: a client key was created, by ann" in proved.stdout
    (tmp_path / "kept").write_text(at_home("audit", "checkpoint").stdout)
    at_home("keys", "create", "bob")
    ran = at_home("audit", "verify", "--since", "kept", "--key", "log.pub")
    assert ran.returncode == 0, ran.stderr
    assert "SOUND: 2 entries" in ran.stdout
    assert "extends    your checkpoint of 1 entry" in ran.stdout
    found = data(at_home("audit", "verify", "--since", "kept", "--json"))
    assert (found["entries"], found["signed"], found["since"]) == (2, 2, 1)
    ran = at_home("audit", "show", "7")
    assert (ran.returncode, "no entry 7" in ran.stderr) == (1, True)


def test_an_altered_checkpoint_is_a_verdict_and_no_file_is_none(at_home, tmp_path: Path) -> None:
    note = at_home("audit", "checkpoint").stdout
    lines = note.splitlines(keepends=True)
    (tmp_path / "kept").write_text("".join([lines[0], "7\n", *lines[2:]]))
    assert at_home("audit", "verify", "--since", "kept").returncode == 1
    assert at_home("audit", "verify", "--since", "nowhere").returncode == 2


def test_a_wrong_file_beside_the_log_is_no_verdict_about_the_log_and_named(at_home, tmp_path: Path) -> None:
    (tmp_path / "log.pub").write_text(at_home("audit", "key").stdout)
    (tmp_path / "kept").write_text(at_home("audit", "checkpoint").stdout)
    (tmp_path / "bad").write_bytes(b"\xff\x00")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("log.pub", "bad", "empty"):
        ran = at_home("audit", "verify", "--since", name)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert f"{name} is no checkpoint: " in ran.stderr
        assert "`macroslow audit checkpoint`" in ran.stderr
    for name in ("kept", "bad", "empty"):
        ran = at_home("audit", "verify", "--key", name)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert f"{name}: this is not the public key of a log: " in ran.stderr
        assert "`macroslow audit key`" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "abc"], "'abc' is not a number of 0 or more"),
        (["prove", "1.5"], "'1.5' is not a number of 0 or more"),
        (["tail", "-n", "1001"], "'1001' is not a number from 0 to 1000"),
    ],
)
def test_what_is_no_number_of_an_entry_is_said_in_plain_words(at_home, arguments, told) -> None:
    ran = at_home("audit", *arguments)
    assert (ran.returncode, told in ran.stderr) == (2, True)


# signers


def test_a_signer_from_making_to_revocation(at_home, tmp_path: Path) -> None:
    assert at_home("signers", "list").stdout == "No signer is trusted.\n"
    made = at_home("signers", "new", "ann")
    assert made.returncode == 0
    assert (tmp_path / "ann.key").stat().st_mode & 0o777 == 0o600
    again = at_home("signers", "new", "ann")
    assert (again.returncode, "exists; nothing was overwritten" in again.stderr) == (1, True)
    trusted = at_home("signers", "trust", "ann.pub", "--origin", "agent://ann")
    assert trusted.stdout.endswith("speaks for agent://ann\n")
    assert at_home("signers", "trust", "ann.pub", "--origin", "ann").returncode == 2
    assert at_home("signers", "trust", "ann.key", "--origin", "agent://ann").returncode == 2
    assert at_home("signers", "trust", "ann.pub").returncode == 2
    assert "trusted  agent://ann" in at_home("signers", "list").stdout
    assert at_home("signers", "revoke", "ann").returncode == 0
    assert at_home("signers", "revoke", "ann").returncode == 1
    assert "revoked" in at_home("signers", "list").stdout


def test_making_a_signing_key_needs_no_gateway(macroslow, tmp_path: Path) -> None:
    assert macroslow("signers", "new", "ann", "--json").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ann.key", "ann.pub"]


# run


def test_a_document_runs_without_a_configuration_and_leaves_nothing_behind(macroslow, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.maml.md").write_text(DOCUMENT.format(more=""))
    off = {"MACROSLOW__SANDBOX__BACKEND": "none"}
    ran = macroslow("run", "a.maml.md", environ=off, at=folder)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    assert ran.stderr.splitlines()[-1].startswith("success in ")
    answer = data(macroslow("run", "a.maml.md", "--json", environ=off, at=folder))
    assert answer["receipt"]["format"] == "macroslow-receipt v1"
    assert [path.name for path in folder.iterdir()] == ["a.maml.md"]
    assert list(temporary.iterdir()) == []


def test_what_a_document_may_not_is_refused_with_the_option_that_would_allow_it(macroslow, tmp_path) -> None:
    (tmp_path / "a.maml.md").write_text(DOCUMENT.format(more=', "api://openai"'))
    ran = macroslow("run", "a.maml.md", environ={"MACROSLOW__SANDBOX__BACKEND": "none"})
    assert (ran.returncode, "fix: allow it: --allow api://openai" in ran.stderr) == (1, True)


@pytest.mark.parametrize(
    ("name", "content", "code"), [("a.md", "no document", 1), ("nowhere.md", None, 2), ("a.md", "\x00", 1)]
)
def test_what_is_no_document_does_not_run(macroslow, tmp_path, name, content, code) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert macroslow("run", name, environ={"MACROSLOW__SANDBOX__BACKEND": "none"}).returncode == code


@pytest.mark.parametrize("inputs", ["[]", "{", "", "1"])
def test_inputs_are_a_json_object(macroslow, tmp_path, inputs: str) -> None:
    (tmp_path / "a.md").write_text(DOCUMENT.format(more=""))
    (tmp_path / "i.json").write_text(inputs)
    ran = macroslow("run", "a.md", "--inputs", "i.json")
    assert (ran.returncode, "i.json" in ran.stderr) == (2, True)


# state, and tables


def test_state_that_another_process_holds_is_78_and_says_whose(at_home, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(commands, "START_WAIT_S", 0)
    monkeypatch.setattr(state, "HOLD_WAIT_S", 0)
    with hold(prepare(tmp_path / ".macroslow")):
        ran = at_home("keys", "list")
    assert (ran.returncode, "is in use by process" in ran.stderr) == (78, True)
    assert "kill" not in ran.stderr  # it may be a server that is about to serve
    assert "wait until it serves" in ran.stderr


def test_amounts_are_exact_and_none_is_a_dash() -> None:
    assert [usd(value) for value in (0, 1, 1_234_567, 10**12, None)] == [
        "$0.000000",
        "$0.000001",
        "$1.234567",
        "$1000000.000000",
        "-",
    ]


def test_a_table_has_numbers_to_the_right_and_no_trailing_blanks(capsys) -> None:
    columns([{"a": "x", "n": 5}, {"a": None, "n": 123}, {"a": ["p", "q"], "n": 0}], {"a": "NAME", "n": "N"})
    assert capsys.readouterr().out == "NAME    N\nx       5\n-     123\np, q    0\n"


def test_a_log_whose_signatures_were_removed_is_not_called_sound(at_home, tmp_path: Path) -> None:
    at_home("keys", "create", "bob")
    (tmp_path / "log.pub").write_text(at_home("audit", "key").stdout)
    with sqlite3.connect(tmp_path / ".macroslow" / "books.sqlite") as books:
        books.execute("DELETE FROM checkpoints")
        books.execute("DELETE FROM entries WHERE n = 1")
    books.close()
    ran = at_home("audit", "verify", "--key", "log.pub")
    assert (ran.returncode, "2 entries were signed, 1 is here" in ran.stderr) == (1, True)
    assert "SOUND" not in ran.stdout
    with (tmp_path / "macroslow.toml").open("a") as file:
        file.write('[log]\nhigh_water = "off"\n')
    ran = at_home("audit", "verify", "--key", "log.pub")
    assert (ran.returncode, "cannot decide" in ran.stderr) == (2, True)
    assert "SOUND" not in ran.stdout


@pytest.mark.parametrize("pasted", ["sk-proj-Ab12Cd34Ef56", "msk_0123456789ab_x"])
def test_a_key_pasted_as_a_name_does_not_get_into_the_log(at_home, pasted: str) -> None:
    ran = at_home("keys", "create", pasted)
    assert ran.returncode == 2
    assert "looks like a key" in ran.stderr
    assert pasted not in at_home("audit", "tail").stdout
