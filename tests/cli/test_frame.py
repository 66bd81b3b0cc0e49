"""The frame around all commands: listing, exit codes, interruption, and what reaches a terminal."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from macroslow import __version__, errors
from macroslow.cli._main import run
from macroslow.cli._table import COMMANDS
from macroslow.cli.console.errors import exit_code, problem_lines, report
from macroslow.errors import LogUnavailableError, MacroslowError, Problem


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists_under_its_name_and_explains_itself(name):
    command = COMMANDS[name].load()
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help
    assert COMMANDS[name].help.endswith(".")


def test_help_lists_every_command_without_importing_one(macroslow):
    ran = macroslow("--help")
    assert ran.returncode == 0
    for name, lazy in COMMANDS.items():
        assert f"  {name} " in ran.stdout
        assert lazy.help in ran.stdout
    probe = "import sys; from macroslow.cli._main import run; run(['--help']); print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert "pydantic" not in modules
    assert "macroslow.cli.setup.config" not in modules


def test_help_costs_little_more_than_the_interpreter():
    bare = min(_cpu_s("-c", "pass") for _ in range(3))
    # Measured: 4 times. With the settings imported it would be 17 times, with everything 51 times.
    assert min(_cpu_s("-m", "macroslow", "--help") for _ in range(3)) < 9 * bare


def _cpu_s(*arguments: str) -> float:
    """Processor time of one run; unlike the clock's, it hardly depends on what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_version_is_told(process):
    assert process("--version").stdout == f"macroslow {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["confg"], "Did you mean"),
        (["--nonsense"], "No such option"),
        (["config", "chek"], "No such command"),
        (["config", "show", "extra"], "unexpected extra argument"),
        (["init", "--profile", "x"], "'x' is not one of"),
    ],
)
def test_wrong_usage_is_2_with_a_hint_on_stderr(macroslow, arguments, told):
    ran = macroslow(*arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert told in ran.stderr


@pytest.mark.parametrize(
    "given", ["msk_000000000001_0123456789", "sk-proj-0123456789", "eyJhbGciOiJub25lIn0.e30."]
)
def test_a_key_where_something_else_belongs_is_not_said_again(capsys, given):
    assert run(["audit", "show", given]) == 2
    assert run([given]) == 2
    report(errors.NotFoundError(f"there is no {given!r}"))
    assert given not in capsys.readouterr().err


def test_without_arguments_the_help_is_shown(macroslow):
    ran = macroslow()
    assert ran.returncode == 2
    assert "Commands:" in ran.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    # A pipe whose reading end is closed before anything is written.
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "macroslow", "config", "schema"],
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        check=False,
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, b"")


def test_ctrl_c_ends_a_command_without_a_traceback(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "macroslow", "secrets", "set", "openai", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        text=True,
    )
    _until_reading(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert err.strip() == "interrupted"


def _until_reading(pid: int) -> None:
    """Wait until the process sleeps in a read from its stdin."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        # read is 0 on x86-64 and 63 on arm64; its first argument is the descriptor.
        if Path(f"/proc/{pid}/syscall").read_text().startswith(("0 0x0 ", "63 0x0 ")):
            return
        time.sleep(0.01)
    raise TimeoutError


LEAVES = [
    one
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, MacroslowError) and one.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", LEAVES, ids=lambda one: one.__name__)
def test_every_error_has_an_exit_code_of_the_contract(error):
    made = error.__new__(error)
    expected = 78 if issubclass(error, errors.ConfigurationError) else {1, 2}
    assert exit_code(made) == expected or exit_code(made) in expected


def test_an_error_of_a_running_server_ends_as_the_same_error_here():
    made = MacroslowError("x")
    made.remote_code = "verification-failed"
    assert exit_code(made) == 1


@pytest.mark.parametrize(
    ("problem", "lines"),
    [
        (Problem("what", "do", 3, "a.b", "f.toml"), ["f.toml:3: a.b: what", "    fix: do"]),
        (Problem("what", "", None, "a.b", "environment X"), ["environment X: a.b: what"]),
        (Problem("what", "", 3), ["line 3: what"]),
        (Problem("what"), ["what"]),
    ],
)
def test_a_problem_is_told_with_its_place_first(problem, lines):
    assert list(problem_lines([problem])) == lines


def test_a_defect_is_not_a_verdict(monkeypatch, capsys):
    def broken() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("macroslow.cli.setup.config.schema", broken)
    assert run(["config", "schema"]) == 2
    assert "RuntimeError: a defect" in capsys.readouterr().err


def test_a_fresh_folder_checks_as_good_with_defaults(macroslow):
    ran = macroslow("config", "check", "--json")
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["ok"] is True


def test_the_operator_is_told_where_his_books_are_that_a_client_is_not(capsys) -> None:
    report(LogUnavailableError("the books cannot be used", reason="/srv/books.sqlite: disk I/O error"))
    assert capsys.readouterr().err == (
        "macroslow: the books cannot be used\n  /srv/books.sqlite: disk I/O error\n"
    )
    report(LogUnavailableError("the log is empty"))
    assert capsys.readouterr().err == "macroslow: the log is empty\n"
