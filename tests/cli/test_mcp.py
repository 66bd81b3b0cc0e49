"""`macroslow mcp pins`: what an operator is shown, and that an approval names it."""

from typing import Any

import pytest
from click.testing import CliRunner

from macroslow.cli import mcp as module
from macroslow.cli.mcp import mcp
from macroslow.errors import UpstreamUnavailableError

ITEM: dict[str, Any] = {
    "kind": "tool",
    "name": "add",
    "state": "changed",
    "fault": "",
    "sha256": "aa",
    "renamed_from": "",
    "beside": ["other: Add"],
    "hidden_characters": 2,
    "suspicions": ["speaks of the system prompt: 'system prompt'"],
    "before": ["{", '  "description": "Adds."', "}"],
    "now": ["{", '  "description": "Adds.\\u200b"', "}"],
}


class Verbs:
    """The gateway's side of the commands."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.items = [ITEM]
        self.servers: list[dict[str, Any]] = []

    def __call__(self, _: object, verb: str, **arguments: Any) -> dict[str, Any]:
        self.asked.append((verb, arguments))
        match verb:
            case "mcp.diff":
                items = self.items if self.waiting else []
                return {"server": "s", "digest": "d1", "waiting": self.waiting, "items": items}
            case "mcp.approve":
                return {"name": "s", "digest": arguments["digest"], "approved": self.waiting}
            case _:
                return {"servers": self.servers}


@pytest.fixture
def verbs(monkeypatch: pytest.MonkeyPatch) -> Verbs:
    made = Verbs(1)
    monkeypatch.setattr(module, "ask", made)
    monkeypatch.setattr(module, "at_terminal", lambda: True)
    return made


def run(*arguments: str, typed: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(mcp, ["pins", *arguments], input=typed, standalone_mode=False)
    return done.return_value or 0, done.output


def test_a_diff_shows_everything_that_should_give_pause(verbs: Verbs) -> None:
    code, shown = run("diff", "s")
    assert code == 1
    for part in ("== tool add: changed", "other: Add", "2 hidden", "a guess", "-  ", "+  ", "\\u200b"):
        assert part in shown
    assert shown.splitlines()[-1] == "d1"


def test_where_nothing_waits_a_diff_is_good(verbs: Verbs) -> None:
    verbs.waiting = 0
    assert run("diff", "s") == (0, "Nothing of s waits for approval.\n")


@pytest.mark.parametrize(("typed", "approved"), [("y\n", True), ("n\n", False), ("", False)])
def test_who_is_asked_must_agree_to_what_was_shown(verbs: Verbs, typed: str, approved: bool) -> None:
    code, shown = run("approve", "s", typed=typed)
    assert "== tool add: changed" in shown
    assert (code, "Nothing was approved." in shown) == ((0, False) if approved else (1, True))
    assert (verbs.asked[-1] == ("mcp.approve", {"server": "s", "digest": "d1", "tools": []})) is approved


def test_an_approval_by_digest_asks_nobody(verbs: Verbs) -> None:
    run("approve", "s", "--digest", "d2", "--tool", "add")
    assert verbs.asked == [("mcp.approve", {"server": "s", "digest": "d2", "tools": ["add"]})]


def test_without_a_digest_json_approves_nothing(verbs: Verbs) -> None:
    run("approve", "s", "--json")
    assert verbs.asked == []


def test_without_a_terminal_nobody_is_asked(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "at_terminal", lambda: False)
    run("approve", "s", typed="y\n")
    assert verbs.asked == []


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        (0, "What s offers is approved already.\n"),
        (1, "1 item of s is approved.\n"),
        (2, "2 items of s are approved.\n"),
    ],
)
def test_an_approval_says_how_much_it_was(verbs: Verbs, waiting: int, said: str) -> None:
    verbs.waiting = waiting
    assert run("approve", "s", "--digest", "d2") == (0, said)


def test_a_server_that_cannot_be_shown_comes_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> dict[str, Any]:
        raise UpstreamUnavailableError("the server s did not answer", upstream="s", retry_after_s=None)

    monkeypatch.setattr(module, "ask", fails)
    done = CliRunner().invoke(mcp, ["pins", "diff", "s"], standalone_mode=False)
    assert isinstance(done.exception, UpstreamUnavailableError)
    assert "is it running?" in done.exception.fix


def test_without_servers_a_list_says_so(verbs: Verbs) -> None:
    assert run("list") == (0, "No MCP server is configured.\n")


FORGED = "\x1b[2J\nall is approved\u202e"


def test_what_a_server_says_of_its_trouble_stays_within_its_line(verbs: Verbs) -> None:
    counts = dict.fromkeys(("offered", "new", "changed", "gone", "unfit"), 0)
    verbs.servers = [{"name": "s", "where": FORGED, "scope": "mcp:s", "trouble": FORGED, **counts}]
    _, shown = run("list")
    assert not {"\x1b", "\u202e"} & set(shown)
    *lines, fix = shown.splitlines()
    assert len(lines) == 3
    assert fix.startswith("  fix: is it running?")


def test_what_is_shown_of_an_item_stays_within_its_lines(verbs: Verbs) -> None:
    words = {"name": FORGED, "fault": FORGED, "renamed_from": FORGED}
    verbs.items = [{**ITEM, **words, "beside": [FORGED], "suspicions": [FORGED]}]
    _, shown = run("diff", "s")
    assert not {"\x1b", "\u202e"} & set(shown)
    assert not any(line.startswith("all is approved") for line in shown.splitlines())
