"""The log's commands on a state folder of its own: searches, reports, erasure, and how far they are."""

import contextlib
import json
import os
import pty
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from macroslow.cli.audit import entries as audit_entries
from macroslow.cli.audit import search as audit_search
from macroslow.cli.audit._entry_lines import line_of, print_entries
from macroslow.cli.console import progress as _progress
from macroslow.cli.console.columns import columns
from macroslow.cli.console.progress import on_terminal
from macroslow.cli.console.typed import Past

MORE = "more to look through: 1 entry shown; go on with --start 1, or -n all\n"
CONFIGURATION = '[sandbox]\nbackend = "none"\n'


@pytest.fixture
def at_home(macroslow, tmp_path: Path):
    """Run commands where a gateway has two keys, ann's and bob's."""
    (tmp_path / "macroslow.toml").write_text(CONFIGURATION)
    macroslow.ann, macroslow.bob = (
        json.loads(macroslow("keys", "create", name, "--json").stdout)["id"] for name in ("ann", "bob")
    )
    return macroslow


def data(ran) -> dict:
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    return json.loads(line)


def entries(ran) -> list[int]:
    return [entry["index"] for entry in data(ran)["entries"]]


# Searches


def test_entries_are_found_by_person_type_text_and_time(at_home) -> None:
    assert entries(at_home("audit", "search", "--json")) == [0, 1]
    assert entries(at_home("audit", "search", "--subject", "bob", "--json")) == [1]
    assert entries(at_home("audit", "search", "--principal", "ann", "--json")) == [0]
    assert entries(at_home("audit", "search", "--text", "ANN key-created", "--json")) == [0]
    assert entries(at_home("audit", "search", "--text", "ann bob", "--json")) == []
    assert entries(
        at_home("audit", "search", "--type", "key-revoked", "--type", "key-created", "--json")
    ) == [0, 1]
    assert entries(at_home("audit", "search", "--from", "1h", "--json")) == [0, 1]
    assert entries(at_home("audit", "search", "--to", "1h", "--json")) == []
    assert entries(at_home("audit", "search", "--from", "2020-01-01", "--to", "2021-01-01", "--json")) == []
    shown = at_home("audit", "search", "--subject", "bob").stdout
    assert shown.splitlines()[0].startswith("     1  ")
    assert "principal=bob" in shown


def test_a_search_that_finds_nothing_says_where_it_looked(at_home) -> None:
    ran = at_home("audit", "search", "--subject", "eve")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "nothing found in entries 0 to 1\n")
    ran = at_home("audit", "search", "--subject", "eve", "--start", "1")
    assert ran.stderr == "nothing found in entry 1\n"
    beyond = at_home("audit", "search", "--start", "9999")
    assert beyond.stderr == "nothing found: the log has 2 entries, none from 9999 on\n"


def test_more_than_was_asked_for_is_said_with_where_to_go_on(at_home) -> None:
    ran = at_home("audit", "search", "-n", "1")
    assert (len(ran.stdout.splitlines()), ran.stderr) == (1, MORE)
    ran = at_home("audit", "search", "-n", "1", "--json")
    assert (data(ran)["next"], ran.stderr) == (1, MORE)
    rest = data(at_home("audit", "search", "-n", "1", "--start", "1", "--json"))
    assert ([entry["index"] for entry in rest["entries"]], rest["next"]) == ([1], None)


def test_a_large_result_comes_in_pages(at_home, monkeypatch) -> None:
    monkeypatch.setattr(audit_search, "PAGE", 1)
    assert entries(at_home("audit", "search", "--json")) == [0, 1]
    assert len(at_home("audit", "search").stdout.splitlines()) == 2
    assert entries(at_home("audit", "search", "-n", "1", "--json")) == [0]
    ran = at_home("audit", "search", "-n", "all", "--json")
    assert (entries(ran), data(ran)["next"], ran.stderr) == ([0, 1], None, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--type", "key-create"], "did you mean key-created"),
        (["--from", "yesterday"], "'yesterday' is neither how long ago, such as 2h or 7d, nor a date"),
        (["--to", "2026-13-01"], "'2026-13-01' is neither"),
        (["--from", "1h", "--to", "2h"], "the time ends before it begins"),
        (["-n", "0"], "'0' is not a number of 1 or more"),
        (["-n", "most"], "'most' is not a number"),
        (["--subject", ""], "the subject is empty"),
        (["--request", " "], "the request is empty"),
        (["--text", ""], "the text is empty"),
        (["--start", "-1"], "'-1' is not a number of 0 or more"),
        (["--text", "x" * 1001], "--text"),
    ],
)
def test_a_search_that_makes_no_sense_is_told_so(at_home, arguments: list[str], told: str) -> None:
    ran = at_home("audit", "search", *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert told in ran.stderr


def test_moments_are_of_utc_and_spans_go_back_from_now() -> None:
    convert = Past().convert
    assert convert("2026-01-31", None, None) == 1_769_817_600 * 10**9
    assert convert("2026-01-31T12:00:00", None, None) == (1_769_817_600 + 12 * 3600) * 10**9
    assert convert("2026-01-31T12:00:00+02:00", None, None) == (1_769_817_600 + 10 * 3600) * 10**9
    assert convert("1970-01-01", None, None) == 0
    assert convert("999999d", None, None) == 0  # before 1970
    earlier, later = convert("2h", None, None), convert("1h", None, None)
    assert 0 <= later - earlier - 3600 * 10**9 < 60 * 10**9
    assert convert(5, None, None) == 5


def test_an_entry_that_is_not_there_is_not_there_for_every_command(at_home) -> None:
    shown, proved = (at_home("audit", command, "99999") for command in ("show", "prove"))
    assert (shown.returncode, proved.returncode) == (1, 1)
    assert shown.stderr == proved.stderr
    assert "the log has no entry 99999\n  fix: entries are counted from 0" in shown.stderr


# Reports


def test_a_report_says_what_is_there_and_ends_with_its_checkpoint(at_home, tmp_path: Path) -> None:
    ran = at_home("audit", "report", "--subject", "ann")
    assert ran.returncode == 0, ran.stderr
    assert "about them 1 entry\n" in ran.stdout
    assert "key-created" in ran.stdout
    _, _, note = ran.stdout.partition("makes this report again\n\n")
    (tmp_path / "kept").write_text(note.rstrip("\n") + "\n")
    assert at_home("audit", "verify", "--since", "kept").returncode == 0
    at_home("keys", "revoke", at_home.ann)
    again = at_home("audit", "report", "--subject", "ann", "--until", "kept")
    assert again.stdout == ran.stdout
    assert "about them 2 entries\n" in at_home("audit", "report", "--subject", "ann").stdout
    after = data(at_home("audit", "report", "--subject", "ann", "--since", "kept", "--json"))
    assert (list(after["by_type"]), after["after"]["size"], after["looked_at"]) == (["key-revoked"], 2, 1)


def test_a_receipt_that_was_kept_is_as_good_as_a_checkpoint(at_home, tmp_path: Path) -> None:
    (tmp_path / "receipt").write_text(at_home("audit", "prove", "1").stdout)
    (tmp_path / "answer").write_text(f'{{"output": 1.5, "receipt": {(tmp_path / "receipt").read_text()}}}')
    for kept in ("receipt", "answer"):  # a receipt holds a checkpoint, and who has an answer has a receipt
        for option in ("--since", "--from"):
            ran = at_home("audit", "verify", option, kept)
            assert (ran.returncode, "extends    your checkpoint of 2 entries" in ran.stdout) == (0, True)
        assert at_home("audit", "report", "--subject", "ann", "--until", kept).returncode == 0
    (tmp_path / "neither").write_text('{"receipt": {"proof": "x"}}')
    ran = at_home("audit", "verify", "--since", "neither")
    assert (ran.returncode, "neither is no checkpoint" in ran.stderr) == (2, True)


def test_a_verdict_is_data_too_and_names_both_keys_of_a_log_that_was_given_another(
    at_home, tmp_path: Path
) -> None:
    sound = data(at_home("audit", "verify", "--json"))
    assert (sound["sound"], sound["signed_by"]) == (True, sound["key_fingerprint"])
    (tmp_path / "old.pub").write_text(at_home("audit", "key").stdout)
    assert at_home("audit", "rotate-key", "--reason", "a test").returncode == 0
    (tmp_path / "new.pub").write_text(at_home("audit", "key").stdout)
    old = data(at_home("audit", "verify", "--key", "old.pub", "--json"))
    new = data(at_home("audit", "verify", "--key", "new.pub", "--json"))
    assert (old["sound"], old["signed_by"]) == (True, new["key_fingerprint"])
    assert new["signed_by"] == new["key_fingerprint"] != old["key_fingerprint"]
    shown = at_home("audit", "verify", "--key", "old.pub").stdout
    assert f"  signed by  {new['key_fingerprint']}, to which that key hands over\n" in shown
    assert "signed by" not in at_home("audit", "verify", "--key", "new.pub").stdout


def test_a_key_that_did_not_sign_says_what_may_have_happened(at_home, macroslow, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "macroslow.toml").write_text(CONFIGURATION)
    macroslow("keys", "create", "ann", at=other)
    (tmp_path / "foreign.pub").write_text(macroslow("audit", "key", at=other).stdout)
    at_home("audit", "checkpoint")
    for command in (("verify",), ("report", "--subject", "ann")):
        refused = at_home("audit", *command, "--key", "foreign.pub")
        assert refused.returncode == 1
        assert "fix: was the log's key changed?" in refused.stderr
    unsound = json.loads(at_home("audit", "verify", "--key", "foreign.pub", "--json").stdout)
    assert (unsound["sound"], "signed by another key" in unsound["detail"]) == (False, True)


def test_a_report_of_nobody_says_that_all_was_read(at_home) -> None:
    ran = at_home("audit", "report", "--subject", "eve", "--json")
    found = json.loads(ran.stdout)
    assert (found["entries"], found["looked_at"], found["opened"], found["up_to"]["size"]) == (0, 2, 2, 2)
    assert (ran.returncode, found["known"]) == (1, False)


def test_a_name_that_was_mistyped_is_no_absence(at_home) -> None:
    ran = at_home("audit", "report", "--subject", "Anm")
    assert ran.returncode == 1
    assert "No such subject is known here" in ran.stdout
    assert ran.stderr == "macroslow: no such subject is known here: 'Anm'\n  fix: did you mean ann?\n"
    assert "did you mean" not in ran.stdout  # it is filed, or handed out: no place for others' names
    assert "near" not in json.loads(at_home("audit", "report", "--subject", "Anm", "--json").stdout)
    for empty in ("", "  "):
        ran = at_home("audit", "report", "--subject", empty)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "the subject is empty" in ran.stderr


def test_who_is_known_but_not_in_the_range_is_no_mistake(at_home) -> None:
    ran = at_home("audit", "report", "--subject", "ann", "--to", "1h")
    assert ran.returncode == 0, ran.stderr
    assert "about them 0 entries\n" in ran.stdout
    assert "No such subject" not in ran.stdout


def test_a_pseudonym_tells_what_was_erased_while_something_is_held(at_home) -> None:
    at_home("keys", "revoke", at_home.ann)
    pseudonym = data(at_home("audit", "erase", "--subject", "ann", "--yes", "--json"))["pseudonym"]
    named = data(at_home("audit", "report", "--subject", "ann", "--json"))
    ran = at_home("audit", "report", "--subject", pseudonym, "--json")
    meant = data(ran)
    assert (meant.pop("held_as"), meant.pop("subject")) == ("ann", pseudonym)
    assert (named.pop("held_as"), named.pop("subject")) == (None, "ann")
    assert meant["mentioned"] == 1
    assert {**meant, "up_to": None, "checkpoint": None} == {**named, "up_to": None, "checkpoint": None}
    told = at_home("audit", "report", "--subject", pseudonym).stdout
    assert "While something is held its entries still bear the name ann." in told
    assert entries(at_home("audit", "search", "--subject", pseudonym, "--json")) == entries(
        at_home("audit", "search", "--subject", "ann", "--json")
    )


def test_a_report_against_a_foreign_key_or_checkpoint_is_none(at_home, macroslow, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "macroslow.toml").write_text(CONFIGURATION)
    macroslow("keys", "create", "ann", at=other)
    (tmp_path / "foreign").write_text(macroslow("audit", "checkpoint", at=other).stdout)
    (tmp_path / "foreign.pub").write_text(macroslow("audit", "key", at=other).stdout)
    for option, name in (("--since", "foreign"), ("--until", "foreign"), ("--key", "foreign.pub")):
        ran = at_home("audit", "report", "--subject", "ann", option, name)
        assert (ran.returncode, ran.stdout) == (1, ""), option
    ran = at_home("audit", "report", "--subject", "ann", "--until", "foreign.pub")
    assert (ran.returncode, "give --until what" in ran.stderr) == (2, True)


# Erasure


def test_a_person_is_erased_once_their_keys_have_ended(at_home, tmp_path: Path) -> None:
    (tmp_path / "before").write_text(at_home("audit", "checkpoint").stdout)
    (tmp_path / "log.pub").write_text(at_home("audit", "key").stdout)
    (tmp_path / "receipt.json").write_text(at_home("audit", "prove", "0").stdout)
    refused = at_home("audit", "erase", "--subject", "ann", "--yes")
    assert refused.returncode == 1
    assert f"fix: macroslow keys revoke {at_home.ann}" in refused.stderr
    at_home("keys", "revoke", at_home.ann)
    ran = at_home("audit", "erase", "--subject", "ann", "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "ann is erased: entry 3 says what went." in ran.stdout
    assert "held       2 entries: key-created 1, key-revoked 1, until " in ran.stdout
    assert "pseudonym  erased-" in ran.stdout
    assert at_home.ann not in at_home("keys", "list", "--all").stdout
    verified = at_home("receipt", "verify", "receipt.json", "--key", "log.pub")
    assert verified.returncode == 0, verified.stderr
    again = at_home("audit", "erase", "--subject", "ann", "--yes")
    assert (again.returncode, "was erased already, as entry 3 says" in again.stderr) == (1, True)


def test_what_is_held_by_nobody_is_gone_with_the_name_and_old_receipts_stand(at_home, tmp_path: Path) -> None:
    (tmp_path / "macroslow.toml").write_text(
        CONFIGURATION + "[log.hold_days]\nsecurity = 0\nadministration = 0\n"
    )
    (tmp_path / "log.pub").write_text(at_home("audit", "key").stdout)
    (tmp_path / "kept").write_text(at_home("audit", "checkpoint").stdout)
    (tmp_path / "receipt.json").write_text(at_home("audit", "prove", "0").stdout)
    at_home("keys", "revoke", at_home.ann)
    erased = data(at_home("audit", "erase", "--subject", "ann", "--yes", "--reason", "ticket 7", "--json"))
    assert (erased["entries"], erased["held"], erased["reason"]) == (2, {}, "ticket 7")
    tail = at_home("audit", "tail", "--json").stdout
    assert "ann" not in tail.replace("example", "")
    assert at_home("audit", "tail").stdout.count("(erased, see entry 3)") == 2
    proved = at_home("audit", "prove", "0")
    assert (proved.returncode, proved.stdout) == (2, "")
    assert "entry 0 was erased, as entry 3 says" in proved.stderr
    assert at_home("receipt", "verify", "receipt.json", "--key", "log.pub").returncode == 0
    verified = at_home("audit", "verify", "--since", "kept", "--key", "log.pub")
    assert verified.returncode == 0, verified.stderr
    assert "erased     2 entries, as entry 3 says" in verified.stdout
    report = at_home("audit", "report", "--subject", erased["pseudonym"]).stdout
    assert "erased     2 entries about them" in report
    assert "ticket 7" in report
    assert at_home("audit", "erase", "--subject", "ann", "--yes").returncode == 1
    for secret in (b"ann",):
        for file in (tmp_path / ".macroslow").glob("*.sqlite*"):
            assert secret not in file.read_bytes().replace(b"channel", b""), file


def test_nobody_is_erased_without_having_been_asked_for(at_home) -> None:
    at_home("keys", "revoke", at_home.ann)
    ran = at_home("audit", "erase", "--subject", "ann")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "ann would be erased" in ran.stderr
    assert "--yes" in ran.stderr
    assert entries(at_home("audit", "search", "--type", "subject-erased", "--json")) == []


@pytest.mark.parametrize(
    ("subject", "code", "told"),
    [("eve", 1, "holds nothing of 'eve'"), ("operator", 2, "no person"), ("", 2, "nobody is named")],
)
def test_who_cannot_be_erased_is_said(at_home, subject: str, code: int, told: str) -> None:
    for arguments in (["--yes"], []):
        ran = at_home("audit", "erase", "--subject", subject, *arguments)
        assert (ran.returncode, told in ran.stderr) == (code, True), ran.stderr


# Verdicts


def test_a_verdict_goes_on_from_a_checkpoint_that_was_kept(at_home, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text(at_home("audit", "checkpoint").stdout)
    at_home("keys", "create", "carol")
    found = data(at_home("audit", "verify", "--from", "kept", "--json"))
    assert (found["entries"], found["start"], found["since"]) == (3, 2, 2)
    ran = at_home("audit", "verify", "--from", "kept")
    assert "SOUND: 1 entry after the first 2, root" in ran.stdout
    ran = at_home("audit", "verify", "--from", "kept", "--since", "kept")
    assert (ran.returncode, ran.stdout) == (2, "")


# Progress


def all_of(terminal: int) -> str:
    """What was written to the other side, which is closed."""
    shown = b""
    with contextlib.suppress(OSError), os.fdopen(terminal, "rb", buffering=0) as reading:
        while more := reading.read(4096):
            shown += more
    return shown.decode()


def test_progress_is_one_line_that_is_gone_in_the_end_and_nothing_where_nobody_looks(
    monkeypatch, capsys
) -> None:
    monkeypatch.setattr(_progress, "EVERY_NS", 0)
    with on_terminal() as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        with on_terminal() as progress:
            progress(12_345, 1_000_000)
            progress(1_000_000, 1_000_000)
    shown = all_of(ours)
    assert shown.startswith("\r12,345 of 1,000,000 (1 %)\r1,000,000 of 1,000,000 (100 %)\r")
    rest = shown.split("(100 %)")[1]
    assert set(rest) == {"\r", " "}
    assert rest.endswith("\r")


def test_what_is_done_at_once_shows_no_progress(monkeypatch) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setattr(_progress, "EVERY_NS", 3600 * 10**9)
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        with on_terminal() as progress:
            progress(1, 2)
        terminal.write("x")
    assert all_of(ours) == "x"


def test_an_entry_that_was_erased_is_shown_as_one_with_who_says_so() -> None:
    entry = {"index": 7, "time": "2026-01-31T12:00:00+00:00", "type": "chat-completed", "fields": None}
    assert line_of({**entry, "erased_by": 40}).endswith("chat-completed     (erased, see entry 40)")
    assert line_of({**entry, "erased_by": None}).endswith("(unreadable: the key to it is gone)")


@pytest.mark.parametrize("at_terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("name", ["tag", "\x1b[2J\u202e\n"])
def test_what_a_client_wrote_begins_no_line_and_turns_none(
    name: str, monkeypatch, capsys, *, at_terminal: bool
) -> None:
    hostile = "\x1b]0;owned\x07\n     9 x\r\u2028\u2029\x85\x9b2J\u202eevil\u2066\u200f\u061c\ud800"
    entry = {"index": 7, "time": "2026-01-31T12:00:00+00:00", "type": "chat-completed",
             "fields": {name: hostile}}  # fmt: skip
    monkeypatch.setattr(sys.stdout, "isatty", lambda: at_terminal)
    print_entries([entry], wide=True)
    shown = capsys.readouterr().out
    assert "\\x1b]0;owned\\x07\\n     9 x\\r\\u2028\\u2029\\u0085\\u009b2J\\u202eevil\\u2066\\u200f" in shown
    assert shown.endswith("\\u061c\\ud800\n")
    assert len(shown.splitlines()) == 1


def test_tables_have_a_line_a_row_whatever_stands_in_a_cell(capsys) -> None:
    columns([{"tag": "a\nb\u202e", "n": 1}, {"tag": ["x\x1b[2J"], "n": 2}], {"tag": "tag", "n": "n"})
    assert capsys.readouterr().out.splitlines() == [
        "tag         n",
        "a\\nb\\u202e  1",
        "x\\x1b[2J    2",
    ]


def test_an_entry_that_is_shown_whole_turns_no_text_and_is_still_json(monkeypatch, capsys) -> None:
    entry = {"index": 7, "fields": {"tag": "a\u202e\x9b\x7f\u2028b\nü"}}
    monkeypatch.setattr(audit_entries, "ask", lambda *_, **__: entry)
    ran = CliRunner().invoke(audit_entries.show, ["7"])
    assert json.loads(ran.output) == entry
    assert r"a\u202e\u009b\u007f\u2028b\nü" in ran.output
