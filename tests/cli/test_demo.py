"""The demo: run for real once, ended half way, run without a sandbox; and every judge shown a world
in which it must say no."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from macroslow.cli.demo import act_key, act_money, act_proof, command, house
from macroslow.cli.demo.act_proof import Trial
from macroslow.cli.demo.checks import Check, Verdict, check, exit_code, not_run, summary
from macroslow.cli.demo.paper import Paper, usd
from macroslow.cli.demo.stage import Ran, set_up

MACROSLOW = (sys.executable, "-P", "-m", "macroslow")
HOSTILE = {  # what a caller may have set, none of which may take part
    "OPENAI_API_KEY": "sk-not-for-the-demo-0123456789",
    "OPENAI_BASE_URL": "http://192.0.2.1/v1",
    "HTTP_PROXY": "http://192.0.2.1:3128",
    "MACROSLOW__SERVER__LISTEN": "192.0.2.1:1",
    "MACROSLOW__NO__SUCH": "1",
    "PORT": "none",
}


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, **HOSTILE, "TMPDIR": str(folder), "COLUMNS": "80", **more}


def working_in(folder: Path) -> Iterator[str]:
    """Processes whose working folder is below `folder`, be it deleted."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(link.readlink()).startswith(str(folder)):
                yield link.parent.name
        except OSError:
            continue


def figure(text: str, pattern: str) -> int:
    found = re.search(pattern, text)
    assert found, pattern
    return int(found[1].replace(",", ""))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the real demo prints to a pipe, and the folder that it kept."""
    folder = tmp_path_factory.mktemp("demo")
    ran = subprocess.run(
        [*MACROSLOW, "demo", "--keep", "--require-all"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=environment(folder),
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    assert [*working_in(folder / "macroslow-demo-")] == []
    (kept,) = folder.glob("macroslow-demo-*")
    return ran.stdout, kept


@pytest.mark.timeout(400)
def test_the_real_demo_holds_and_its_figures_agree(shown: tuple[str, Path]) -> None:
    text, _ = shown
    claims = text.count("  ✓ ")
    assert f"{claims} of {claims} checks held" in text
    assert claims >= 20
    answered = figure(text, r"answered +(\d+)\n")
    refused = figure(text, r"refused by the budget, with 402 +(\d+),")
    assert answered + refused == act_money.AGENTS * act_money.CALLS_EACH
    assert figure(text, r"own bill +\S+ for (\d+) calls") == answered + 1
    assert "over budget                           $0.0000\n" in text
    assert '"code": "budget-exhausted"' in " ".join(text.split())
    assert len(text.splitlines()) < 75


@pytest.mark.timeout(400)
def test_a_pipe_gets_plain_lines_of_eighty_columns(shown: tuple[str, Path]) -> None:
    text, kept = shown
    assert "\x1b" not in text
    paths = (str(kept), str(Path(sys.executable).parent))  # as long as they are
    long = [line for line in text.splitlines() if len(line) > 80]
    assert [line for line in long if not any(path in line for path in paths)] == []


@pytest.mark.timeout(400)
def test_the_forgery_with_the_gateways_own_key_is_perfect_but_for_what_others_keep(
    shown: tuple[str, Path],
) -> None:
    _, kept = shown

    def verify(*options: str) -> int:
        audit = [*MACROSLOW, "audit", "verify", "--key", str(kept / "auditor" / "log.pub"), *options]
        return subprocess.run(
            audit,
            check=False,
            cwd=kept / "resigned",
            capture_output=True,
            env=environment(kept) | {"MACROSLOW__NO__SUCH": "", "MACROSLOW__SERVER__LISTEN": "", "PORT": ""},
        ).returncode

    assert verify() == 0
    assert verify("--since", str(kept / "auditor" / "checkpoint")) == 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("number", "moment"), [(signal.SIGINT, b"THE KEY"), (signal.SIGTERM, b"Offline")])
async def test_ended_half_way_it_leaves_no_process_and_no_folder(
    tmp_path: Path, number: int, moment: bytes
) -> None:
    demo = await asyncio.create_subprocess_exec(
        *MACROSLOW,
        "demo",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(tmp_path),
    )
    assert demo.stdout is not None
    while moment not in await asyncio.wait_for(demo.stdout.readline(), 120):
        pass
    while not [*working_in(tmp_path)]:
        await asyncio.sleep(0.01)
    demo.send_signal(number)
    _, errors = await asyncio.wait_for(demo.communicate(), 60)
    assert (demo.returncode, errors) == (130, b"interrupted\n")
    assert [*working_in(tmp_path)] == []
    assert [*tmp_path.iterdir()] == []


@pytest.mark.sweep
@pytest.mark.timeout(300)
async def test_without_a_sandbox_it_shows_the_rest_and_says_what_it_did_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = house.configuration
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(
        house, "configuration", lambda *given: configuration(*given) + '\n[sandbox]\nbackend = "none"\n'
    )
    async with set_up(keep=False) as stage:
        checks = await command._acts(stage, Paper(80, colour=False, symbols=True))
    verdicts = Counter(one.verdict for one in checks)
    assert (verdicts[Verdict.FAILED], verdicts[Verdict.NOT_RUN]) == (0, 6)
    assert verdicts[Verdict.HELD] >= 15
    assert (exit_code(checks, require_all=False), exit_code(checks, require_all=True)) == (0, 1)
    assert capsys.readouterr().out.count("not run: no sandbox works here") == 6
    assert [*tmp_path.iterdir()] == []


@pytest.mark.timeout(300)
def test_the_three_lines_for_ones_own_key_work(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "MACROSLOW"))}
    wrote = subprocess.run(
        [*MACROSLOW, "init", "--provider-key", "-"],
        input="sk-Zb3kQ0tV7nR2yL5wX8cM1dF4gH6jK9pS\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=bare,
        check=True,
    ).stdout
    exported = dict(re.findall(r"export (OPENAI_\w+)=(\S+)", wrote))
    assert exported["OPENAI_BASE_URL"] == "http://127.0.0.1:8000/v1"
    serve = [*MACROSLOW, "serve", "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen(serve, cwd=tmp_path, env=bare, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            request = urllib.request.Request(
                f"{url}/v1/models", headers={"authorization": f"Bearer {exported['OPENAI_API_KEY']}"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert json.load(answer)["data"]
        finally:
            server.terminate()


def failed(checks: list[Check]) -> list[str]:
    return [one.claim for one in checks if one.verdict is Verdict.FAILED]


KEY_SEEN = act_key.Seen(
    answer={
        "result": {
            "work": {"answer": "Yes.", "usage": 9, "problem": None},
            "search": {
                "key": 0,
                "decoy": 3,
                "key_places": [],
                "variables": 7,
                "processes": 2,
                "files": 300,
                "bytes": 1000,
                "closed": 1,
                "older": 5,
                "complete": True,
            },
            "metadata": {"refused": "Network is unreachable"},
            "capability": "run-0",
        }
    },
    problem="",
    unsigned_status=403,
    unsigned_detail="signed documents only",
    capability_status=401,
    provider_saw_key=True,
    sandbox="full",
)


def with_result(part: str, **changed: Any) -> act_key.Seen:
    assert KEY_SEEN.answer is not None
    result = KEY_SEEN.answer["result"]
    return replace(KEY_SEEN, answer={"result": {**result, part: {**result[part], **changed}}})


@pytest.mark.parametrize(
    ("seen", "claims"),
    [
        (KEY_SEEN, []),
        (with_result("search", key=1, key_places=["/proc/1/environ"]), [act_key.SEARCH]),
        (with_result("search", decoy=1), [act_key.CONTROL]),
        (with_result("work", answer=""), [act_key.WORK]),
        (with_result("metadata", refused=None), [act_key.METADATA]),
        (replace(KEY_SEEN, provider_saw_key=False), [act_key.SAME_KEY]),
        (replace(KEY_SEEN, capability_status=200), [act_key.CAPABILITY]),
        (replace(KEY_SEEN, capability_status=None), [act_key.CAPABILITY]),
        (replace(KEY_SEEN, unsigned_status=200), [act_key.UNSIGNED]),
        (replace(KEY_SEEN, unsigned_status=500), [act_key.UNSIGNED]),
        (replace(KEY_SEEN, answer=None, problem="503: no"), ["the document was run"]),
        (replace(KEY_SEEN, answer={"result": None, "error": "stopped"}), ["the document was run"]),
    ],
)
def test_the_first_act_fails_where_it_must(seen: act_key.Seen, claims: list[str]) -> None:
    assert failed(act_key.judge(seen)) == claims


def test_a_sandbox_without_the_sdk_is_said_and_not_counted_as_held() -> None:
    checks = act_key.judge(with_result("work", answer=None, problem="no module named openai"))
    assert [one.claim for one in checks if one.verdict is Verdict.NOT_RUN] == [act_key.WORK, act_key.SAME_KEY]
    assert failed(checks) == []


def test_a_search_that_ran_out_of_time_says_so() -> None:
    assert "time ended before" not in act_key.judge(KEY_SEEN)[1].found
    assert "time ended before" in act_key.judge(with_result("search", complete=False))[1].found


def test_the_place_of_a_found_key_is_shown() -> None:
    checks = act_key.judge(with_result("search", key=1, key_places=["/proc/1/environ"]))
    assert "1 times at /proc/1/environ" in checks[1].found


MONEY_SEEN = act_money.Seen(
    statuses=Counter({200: 198, 402: 202}),
    asked_tokens=200_000,
    refusal="{}",
    ledger_calls=199,
    ledger_usd_micros=988_026,
    held_usd_micros=0,
    provider_answered=199,
    provider_usd_micros=988_026,
    provider_statuses=Counter({200: 199}),
)


@pytest.mark.parametrize(
    ("changed", "claims"),
    [
        ({}, []),
        ({"statuses": Counter({200: 198, 402: 201, 500: 1})}, ["any other outcome"]),
        ({"statuses": Counter({200: 198, 402: 201, 0: 1})}, ["any other outcome"]),
        ({"statuses": Counter({200: 400})}, ["refused by the budget, with 402"]),
        ({"statuses": Counter({402: 400})}, ["answered"]),
        ({"provider_statuses": Counter({200: 199, 429: 1})}, ["refused by the provider, with 429"]),
        ({"ledger_usd_micros": 1_000_001, "provider_usd_micros": 1_000_001}, ["over budget"]),
        ({"held_usd_micros": 5_030}, ["still reserved at the end"]),
        ({"provider_usd_micros": 988_027}, ["the provider's own bill"]),
        ({"provider_answered": 200}, ["the provider's own bill"]),
        (
            {"ledger_usd_micros": 0, "provider_usd_micros": 0},
            ["spent, with act 1"],
        ),
    ],
)
def test_the_second_act_fails_where_it_must(changed: dict[str, Any], claims: list[str]) -> None:
    assert failed(act_money.judge(replace(MONEY_SEEN, **changed))) == claims


def trial(code: int, err: str, sign: str = "") -> Trial:
    return Trial("a claim", Ran(("audit", "verify"), code, "", f"macroslow: {err}\n"), "audit verify", sign)


@pytest.mark.parametrize(
    ("tried", "holds"),
    [
        (trial(0, ""), True),
        (trial(1, "the log was altered"), False),
        (trial(1, "an entry was altered", "was altered"), True),
        (trial(0, "SOUND", "was altered"), False),
        (trial(1, "no such key", "was altered"), False),  # refused, and not for the forgery
        (trial(2, "an entry was altered", "was altered"), False),  # could not decide
    ],
)
def test_the_third_act_wants_the_true_to_pass_and_the_forged_to_be_caught_for_its_forgery(
    tried: Trial, holds: bool
) -> None:
    assert (failed(act_proof.judge([tried])) == []) is holds


def test_a_check_that_fails_makes_exit_1_and_is_named() -> None:
    good, bad, skipped = check("a", True, ""), check("b", False, ""), not_run("c", "no")
    assert summary([good, bad, skipped]) == "1 of 3 checks held. 1 failed: b. 1 not run: c"
    assert [exit_code([good, skipped], require_all=every) for every in (False, True)] == [0, 1]
    assert exit_code([good, bad], require_all=False) == 1
    assert exit_code([], require_all=False) == 1


def test_one_flipped_bit_is_one_flipped_bit() -> None:
    before = b'{"status": "success"}'
    after = act_proof._other_byte(before, after=b'"status": "')
    assert sum((a ^ b).bit_count() for a, b in zip(before, after, strict=True)) == 1
    assert json.loads(after) == {"status": "stccess"}


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("symbols", [True, False])
def test_every_line_fits_the_terminal(width: int, symbols: bool, capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper(width, colour=False, symbols=symbols)
    paper.title(1, "A TITLE", "words " * 40)
    paper.check(check("a claim", True, "figures " * 20, said="said … " * 30))
    paper.check(not_run("another claim", "a reason " * 20))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert out.isascii() is not symbols


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_is_for_terminals_that_want_it(
    no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    Paper.of_terminal().check(check("a claim", True, "1"))
    assert ("\x1b[32m" in capsys.readouterr().out) is coloured


@pytest.mark.parametrize(
    ("usd_micros", "text"),
    [
        (0, "$0.0000"),
        (1, "$0.000001"),
        (1_000_000, "$1.0000"),
        (993_400, "$0.9934"),
        (12_000_050, "$12.000050"),
    ],
)
def test_amounts_are_exact(usd_micros: int, text: str) -> None:
    assert usd(usd_micros) == text
